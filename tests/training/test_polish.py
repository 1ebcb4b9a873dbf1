from dataclasses import replace

import pytest
import torch
from conftest import TINY

from openmm_cgvae.models import CGVAE
from openmm_cgvae.training import polish
from openmm_cgvae.training.losses import geometry_loss, msd_loss
from openmm_cgvae.training.polish import polish_decoder

CONFIG = replace(TINY, refinement_layers=1, refinement_width=8)


def model_and_frames(dataset):
    torch.manual_seed(0)
    model = CGVAE(dataset.spec, CONFIG).float()
    x = 10 * torch.as_tensor(dataset.positions)
    x = x - x[:, :1]
    model.bounds.calibrate(x)
    return model, x


@torch.no_grad()
def sampled_geometry(model, x):
    X = model.project(x)
    noise = torch.randn(*X.shape[:2], TINY.latent, generator=torch.Generator().manual_seed(1))
    return geometry_loss(model.bounds, model.sample(X, noise)).item()


@pytest.fixture(scope="module")
def polished(dataset):
    """Model before, and after 60 updates without and with a weight on geometry."""
    models = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polish, "LEARNING_RATE", 5e-3)
        for weight in (None, 0.0, 20.0):
            model, x = model_and_frames(dataset)
            if weight is not None:
                polish_decoder(model, x, msd_loss, 60, weight)
            models[weight] = model
    return models, x


def test_geometry_of_prior_samples_improves_with_its_weight(polished):
    models, x = polished
    before, without, with_ = (sampled_geometry(models[weight], x) for weight in (None, 0.0, 20.0))
    assert with_ < 0.8 * without
    assert with_ < 0.8 * before


def test_decoder_and_refinement_alone_are_changed(polished):
    models, _ = polished
    before, after = models[None].state_dict(), models[20.0].state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder", "refinement"}


def test_same_seed_gives_the_same_decoder_to_the_bit(dataset):
    states, calls = [], []
    for seed in (3, 3, 4):
        model, x = model_and_frames(dataset)
        polish_decoder(model, x, msd_loss, 2, 5.0, seed, on_update=lambda: calls.append(0))
        states.append(model.decoder.state_dict())
    assert len(calls) == 6
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])
