import copy
from dataclasses import replace

import pytest
import torch
from conftest import TINY

from openmm_cgvae.errors import SettingsError
from openmm_cgvae.models import CGVAE
from openmm_cgvae.training import smoothing
from openmm_cgvae.training.smoothing import smooth_prior

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


def largest_gain(model, x):
    X, generator = model.project(x), torch.Generator().manual_seed(2)
    noise, direction = (torch.randn(*X.shape[:2], size, generator=generator) for size in (1, 3))
    with torch.no_grad():
        return model.prior.gain(X, noise, direction).max().item()


def test_bounding_the_gain_makes_the_steepest_samples_gentler_than_flow_matching_alone(steep, monkeypatch):
    for name, value in {"CANDIDATES": 512, "LEARNING_RATE": 3e-3, "EMA_DECAY": 0.9}.items():
        monkeypatch.setattr(smoothing, name, value)
    model, x = steep
    start, steepest = copy.deepcopy(model.prior.state_dict()), {}
    for weight in (0.0, 1.0):
        model.prior.load_state_dict(start)
        monkeypatch.setattr(smoothing, "GAIN_WEIGHT", weight)
        smooth_prior(model, x, steps=60)
        steepest[weight] = largest_gain(model, x)
    assert steepest[0.0] > 2 * smoothing.GAIN_BOUND
    assert steepest[1.0] < steepest[0.0] / 1.3


def test_same_seed_gives_the_same_prior_to_the_bit_and_nothing_else_changes(dataset):
    x = 10 * torch.as_tensor(dataset.positions)
    before, states, calls = None, [], []
    for seed in (3, 3, 4):
        torch.manual_seed(0)
        model = CGVAE(dataset.spec, CONFIG).float()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        smooth_prior(model, x, steps=2, seed=seed, on_step=lambda: calls.append(0))
        states.append(model.state_dict())
    assert len(calls) == 6
    assert all(torch.equal(states[0][name], states[1][name]) for name in before)
    changed = {name for name in before if not torch.equal(before[name], states[0][name])}
    assert changed == {f"prior.{name}" for name, _ in model.prior.named_parameters()}
    assert not torch.equal(states[0]["prior.leave.weight"], states[2]["prior.leave.weight"])


def test_gaussian_prior_is_refused(dataset):
    model = CGVAE(dataset.spec, replace(TINY, prior="gaussian"))
    with pytest.raises(SettingsError, match="GaussianPrior given: only a flow prior"):
        smooth_prior(model, torch.as_tensor(dataset.positions))
