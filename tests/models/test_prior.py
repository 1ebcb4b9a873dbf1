from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import TINY

from openmm_cgvae.models.prior import FlowPrior, GaussianPrior

GAUSSIAN = replace(TINY, prior="gaussian")


def beads_of(data, count=6):
    X = torch.as_tensor(data.spec.projection) @ torch.as_tensor(data.positions[:count], dtype=torch.float64)
    return 10 * (X - X.mean(1, keepdim=True)).float()


@pytest.fixture(params=["dataset", "five_bead_dataset"], ids=["3-beads", "5-beads"])
def data(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=[(FlowPrior, TINY), (GaussianPrior, GAUSSIAN)], ids=["flow", "gaussian"])
def prior(request, data):
    torch.manual_seed(0)
    cls, config = request.param
    return cls(data.spec, config).eval()


def test_scripted_prior_samples_as_the_plain_one(prior, data):
    X = beads_of(data)
    noise = torch.randn(6, data.spec.n_beads, TINY.latent)
    with torch.inference_mode():
        plain, scripted = prior(X, noise), torch.jit.script(prior)(X, noise)
    assert plain.shape == noise.shape
    assert plain.dtype == torch.float32
    torch.testing.assert_close(scripted, plain, rtol=1e-5, atol=1e-6)


def test_frames_do_not_influence_each_other(prior, data):
    X = beads_of(data)
    noise = torch.randn(6, data.spec.n_beads, TINY.latent)
    with torch.inference_mode():
        together = prior(X, noise)
        alone = torch.cat([prior(X[k : k + 1], noise[k : k + 1]) for k in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_gradients_stay_finite_where_beads_coincide(prior, data):
    X = beads_of(data)
    X[:, 1] = X[:, 0]
    X.requires_grad_()
    prior(X, torch.randn(6, data.spec.n_beads, TINY.latent)).sum().backward()
    assert torch.isfinite(X.grad).all()


def test_gaussian_prior_is_its_mean_plus_noise_times_its_spread(dataset):
    torch.manual_seed(0)
    prior = GaussianPrior(dataset.spec, GAUSSIAN)
    X = beads_of(dataset)
    noise = torch.randn(6, 3, TINY.latent)
    with torch.no_grad():
        mean, log_variance = prior.parameters_of(X)
        torch.testing.assert_close(prior(X, torch.zeros_like(noise)), mean)
        torch.testing.assert_close((prior(X, noise) - mean) / noise, torch.exp(log_variance / 2), rtol=1e-4, atol=1e-5)


def test_gaussian_prior_counts_the_atoms_of_each_kind(dataset):
    prior = GaussianPrior(dataset.spec, GAUSSIAN)
    np.testing.assert_array_equal(prior.composition.sum(1), np.bincount(dataset.spec.assignment))
    np.testing.assert_array_equal(prior.composition.sum(0), np.bincount(dataset.spec.atom_types))


def test_calibration_standardises_the_condition(five_bead_dataset):
    prior = FlowPrior(five_bead_dataset.spec, TINY)
    X = beads_of(five_bead_dataset, 200)
    prior.calibrate(X)
    standard = (prior.raw_condition(X) - prior.condition_mean) / prior.condition_scale
    # Ten distances and five signed volumes.
    assert standard.shape == (200, 15)
    torch.testing.assert_close(standard.mean(0), torch.zeros(15), atol=1e-4, rtol=0)
    torch.testing.assert_close(standard.std(0), torch.ones(15), atol=1e-3, rtol=0)


@pytest.fixture
def flow(dataset):
    torch.manual_seed(0)
    return FlowPrior(dataset.spec, replace(TINY, latent=1, flow_width=32, flow_steps=8)).double()


@pytest.mark.parametrize("rate", [-1.5, 0.7])
def test_sampling_integrates_the_velocity_to_second_order(flow, monkeypatch, rate):
    # dz/dt = rate z + t has the solution z(1) = e^rate (z0 + 1/rate^2) - 1/rate - 1/rate^2.
    monkeypatch.setattr(flow, "velocity", lambda z, t, condition: rate * z + t)
    noise = torch.randn(6, 3, 1, dtype=torch.float64)
    X = torch.randn(6, 3, 3, dtype=torch.float64)
    exact = np.exp(rate) * (noise + 1 / rate**2) - 1 / rate - 1 / rate**2
    errors = []
    for flow.n_steps in (8, 16, 32):
        errors.append((flow(X, noise) - exact).abs().max().item())
    assert errors[0] < 0.05
    # Halving the step quarters the error.
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)


def test_latents_are_moved_back_to_their_own_mean_and_scale(flow, monkeypatch):
    monkeypatch.setattr(flow, "velocity", lambda z, t, condition: torch.zeros_like(z))
    flow.latent_mean.fill_(5.0)
    flow.latent_scale.fill_(0.5)
    noise = torch.randn(6, 3, 1, dtype=torch.float64)
    torch.testing.assert_close(flow(torch.randn(6, 3, 3, dtype=torch.float64), noise), 5.0 + 0.5 * noise)


def test_matching_loss_gives_the_latents_no_gradient_of_their_own(flow):
    # The trainer detaches them; the running moments must not keep a graph either.
    X, z = torch.randn(6, 3, 3, dtype=torch.float64), torch.randn(6, 3, 1, dtype=torch.float64)
    loss = flow.train().matching_loss(X, z, torch.Generator().manual_seed(0))
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in flow.parameters())
    assert not flow.latent_mean.requires_grad


def test_moments_of_the_latents_stay_as_they_are_in_validation(flow):
    X, z = torch.randn(6, 3, 3, dtype=torch.float64), 3 + torch.randn(6, 3, 1, dtype=torch.float64)
    flow.eval().matching_loss(X, z, torch.Generator().manual_seed(0))
    assert (flow.latent_mean == 0).all()
    assert (flow.latent_scale == 1).all()
    flow.train().matching_loss(X, z, torch.Generator().manual_seed(0))
    torch.testing.assert_close(flow.latent_mean, 0.01 * z.reshape(6, 3).mean(0))
    torch.testing.assert_close(flow.latent_scale, 0.99 + 0.01 * z.reshape(6, 3).std(0))


def test_flow_matching_learns_mean_and_spread_that_depend_on_the_beads(flow):
    """Latents are N(1, 0.3) for a short and N(-1, 0.6) for a long first bead distance."""
    generator = torch.Generator().manual_seed(0)
    shapes = torch.tensor([[[0.0, 0, 0], [4, 0, 0], [4, 5, 0]], [[0.0, 0, 0], [7, 0, 0], [7, 5, 0]]])
    mean, spread = torch.tensor([1.0, -1.0]), torch.tensor([0.3, 0.6])

    def draw(count):
        which = torch.randint(2, (count,), generator=generator)
        z = mean[which, None, None] + spread[which, None, None] * torch.randn(count, 3, 1, generator=generator)
        return shapes[which], z

    flow = flow.float().train()
    flow.calibrate(shapes)
    optimizer = torch.optim.Adam(flow.parameters(), lr=3e-3)
    for _ in range(800):
        loss = flow.matching_loss(*draw(256), generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        for k in range(2):
            z = flow.eval()(shapes[k].expand(2000, -1, -1), torch.randn(2000, 3, 1, generator=generator))
            assert z.mean().item() == pytest.approx(mean[k].item(), abs=0.1)
            assert z.std(0).mean().item() == pytest.approx(spread[k].item(), rel=0.2)


def test_gain_is_the_rate_at_which_samples_follow_the_beads(flow, monkeypatch):
    # Every latent is its noise plus twice the first bead distance, in units of the latents' own scale.
    monkeypatch.setattr(flow, "condition", lambda X: 2 * (X[:, 0] - X[:, 1]).norm(dim=-1, keepdim=True))
    monkeypatch.setattr(flow, "velocity", lambda z, t, condition: condition.expand_as(z))
    flow.latent_scale.fill_(0.5)
    X = torch.tensor([[0.0, 0, 0], [0.4, 0, 0], [0.4, 0.5, 0]], dtype=torch.float64).expand(2, -1, -1)
    direction = torch.zeros_like(X)
    direction[0, 1, 0] = 1.5
    direction[1, 1, 1] = 1.5
    noise = torch.randn(2, 3, 1, dtype=torch.float64)
    torch.testing.assert_close(flow.gain(X, noise, direction), torch.tensor([3.0, 0.0]).double(), atol=1e-3, rtol=1e-6)


def test_beads_far_outside_training_do_not_make_the_flow_explode(flow):
    X = 100 * torch.randn(20, 3, 3, generator=torch.Generator().manual_seed(0))
    z = flow(X.to(flow.latent_scale.dtype), torch.zeros(20, 3, 1, dtype=flow.latent_scale.dtype))
    assert ((z.flatten(1) - flow.latent_mean) / flow.latent_scale).abs().max() <= flow.reach + 1e-4
