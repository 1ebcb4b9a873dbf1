import numpy as np
import pytest
import torch
from conftest import untrained_model

from openmm_cgvae.training.losses import msd_loss
from openmm_cgvae.training.posterior import encode_frames, sharpened


@pytest.fixture(scope="module")
def encoded(dataset):
    """An untrained model, frames in Angstrom, and their posterior."""
    model = untrained_model(dataset).float()
    x = 10 * torch.as_tensor(dataset.positions[:40])
    x = x - x[:, :1]
    return model, x, encode_frames(model, x)


def errors(model, x, posterior):
    with torch.no_grad():
        return (model.decode(posterior.beads, posterior.mean) - x).square().sum(-1).mean(1)


def test_sharpened_latents_give_every_frame_back_better_and_nothing_else_changes(encoded):
    model, x, posterior = encoded
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    found = sharpened(posterior, model, x, msd_loss, 20)
    assert (errors(model, x, found) < errors(model, x, posterior)).all()
    assert torch.equal(found.beads, posterior.beads)
    assert torch.equal(found.deviation, posterior.deviation)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_a_frame_is_sharpened_the_same_whatever_is_beside_it(encoded, monkeypatch):
    model, x, posterior = encoded
    arrived = []
    whole = sharpened(posterior, model, x, msd_loss, 5, arrived.append)
    # In units of the latents' spread, which is of all frames.
    monkeypatch.setattr("openmm_cgvae.training.posterior.DESCENT_CHUNK", 7)
    parts = sharpened(posterior, model, x, msd_loss, 5, arrived.append)
    spread = posterior.mean.std(0)
    assert ((whole.mean - posterior.mean).abs() / spread).amax() > 0.05
    np.testing.assert_allclose(parts.mean / spread, whole.mean / spread, atol=1e-4)
    assert arrived == [40, 7, 7, 7, 7, 7, 5]


def test_no_steps_leave_the_posterior_as_it_is(encoded):
    model, x, posterior = encoded
    assert sharpened(posterior, model, x, msd_loss, 0) is posterior
