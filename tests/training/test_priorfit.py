import copy
from dataclasses import replace

import pytest
import torch
from conftest import TINY

from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.models import CGVAE
from openmm_cgvae.training import priorfit
from openmm_cgvae.training.posterior import encode_frames
from openmm_cgvae.training.priorfit import fit_prior

CONFIG = replace(TINY, latent=1, flow_width=32, flow_steps=4)


@pytest.fixture
def steep(dataset):
    """A model whose prior follows the beads steeply, and frames."""
    torch.manual_seed(0)
    model = CGVAE(dataset.spec, CONFIG).float()
    x = 10 * torch.as_tensor(dataset.positions)
    model.prior.calibrate(model.project(x))
    with torch.no_grad():
        model.prior.embed[0].weight.mul_(30)
        model.prior.leave.weight.mul_(5)
    return model, x - x[:, :1]


def fitted(model, x, validation, updates, **settings):
    """Fit the prior of a model to what it encodes; the loss."""
    return fit_prior(model.prior, encode_frames(model, x), encode_frames(model, validation), updates, **settings)


def largest_gain(model, x):
    X, generator = model.project(x), torch.Generator().manual_seed(2)
    noise, direction = (torch.randn(*X.shape[:2], size, generator=generator) for size in (1, 3))
    with torch.no_grad():
        return model.prior.gain(X, noise, direction).max().item()


def test_bounding_the_gain_makes_the_steepest_samples_gentler_than_flow_matching_alone(steep, monkeypatch):
    settings = {"CANDIDATES": 512, "LEARNING_RATE": 3e-3, "EMA_DECAY": 0.9, "GAIN_BOUND": 4.0}
    for name, value in settings.items():
        monkeypatch.setattr(priorfit, name, value)
    model, x = steep
    start, steepest = copy.deepcopy(model.prior.state_dict()), {}
    for weight in (1e-9, 1.0):
        model.prior.load_state_dict(start)
        fitted(model, x, x[:20], 100, smoothing=weight)
        steepest[weight] = largest_gain(model, x)
    assert steepest[1e-9] > 2 * priorfit.GAIN_BOUND
    assert steepest[1.0] < steepest[1e-9] / 2


def test_same_seed_gives_the_same_prior_to_the_bit_and_nothing_else_changes(dataset):
    x = 10 * torch.as_tensor(dataset.positions)
    before, states, calls = None, [], []
    for seed in (3, 3, 4):
        torch.manual_seed(0)
        model = CGVAE(dataset.spec, CONFIG).float()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        fitted(model, x, x[:20], 2, seed=seed, on_update=lambda: calls.append(0))
        states.append(model.state_dict())
    assert len(calls) == 6
    assert all(torch.equal(states[0][name], states[1][name]) for name in before)
    changed = {name for name in before if not torch.equal(before[name], states[0][name])}
    moments = {"latent_mean", "latent_scale", "latent_reach"}
    assert changed == {f"prior.{name}" for name in {name for name, _ in model.prior.named_parameters()} | moments}
    assert not torch.equal(states[0]["prior.leave.weight"], states[2]["prior.leave.weight"])


def test_gaussian_prior_is_refused(dataset):
    model = CGVAE(dataset.spec, replace(TINY, prior="gaussian"))
    with pytest.raises(SettingsError, match="GaussianPrior given: only a flow prior can be fitted"):
        fitted(model, *2 * [torch.as_tensor(dataset.positions)], 1)


@pytest.mark.parametrize("prior", ["flow", "local-flow"])
def test_weights_with_the_lowest_validation_loss_are_kept(dataset, monkeypatch, prior):
    """A learning rate that wrecks the weights: what is kept is no worse than what was there before the last."""
    monkeypatch.setattr(priorfit, "CHECK_EVERY", 1)
    x = 10 * torch.as_tensor(dataset.positions)
    measured, original = [], priorfit._validation_loss

    def recorded(*args):
        measured.append(original(*args))
        return measured[-1]

    monkeypatch.setattr(priorfit, "_validation_loss", recorded)
    monkeypatch.setattr(priorfit, "LEARNING_RATE", 0.3)
    monkeypatch.setattr(priorfit, "EMA_DECAY", 0.1)
    model = CGVAE(dataset.spec, replace(CONFIG, prior=prior)).float()
    loss = fitted(model, x, x[:40], 12)
    assert len(measured) == 12
    assert loss == min(measured) < max(measured)
    kept = original(model.prior, encode_frames(model, x[:40]))
    assert kept == pytest.approx(loss, rel=1e-6)


def test_fitting_lowers_the_loss(dataset):
    torch.manual_seed(0)
    model = CGVAE(dataset.spec, replace(CONFIG, prior="local-flow")).float()
    with torch.no_grad():
        # Untrained it is near what little a latent of random weights can be told: only a wrong one has much to learn.
        model.prior.leave.weight.mul_(5)
    x = 10 * torch.as_tensor(dataset.positions)
    few, many = (fitted(model, x, x[:40], updates) for updates in (1, 120))
    assert many < 0.7 * few
