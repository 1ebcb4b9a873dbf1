from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import TINY
from models.test_prior import beads_of

from openmm_cgvae.models.flow import FlowPrior, LocalFlowPrior


def test_calibration_standardises_the_condition(five_bead_dataset):
    prior = FlowPrior(five_bead_dataset.spec, TINY)
    X = beads_of(five_bead_dataset, 200)
    prior.calibrate(X)
    standard = (prior.raw_condition(X) - prior.condition_mean) / prior.condition_scale
    # Ten distances and five signed volumes.
    assert standard.shape == (200, 15)
    torch.testing.assert_close(standard.mean(0), torch.zeros(15), atol=1e-4, rtol=0)
    torch.testing.assert_close(standard.std(0), torch.ones(15), atol=1e-3, rtol=0)


@pytest.fixture(params=[FlowPrior, LocalFlowPrior])
def flow(request, dataset):
    torch.manual_seed(0)
    return request.param(dataset.spec, replace(TINY, latent=1, flow_width=32, flow_steps=8)).double()


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


def test_a_step_takes_one_velocity_and_the_first_two(flow, monkeypatch):
    times = []
    monkeypatch.setattr(flow, "velocity", lambda z, t, condition: times.append(t.item()) or torch.zeros_like(z))
    flow.n_steps = 4
    flow(torch.randn(6, 3, 3, dtype=torch.float64), torch.randn(6, 3, 1, dtype=torch.float64))
    assert times == [0.0, 0.25, 0.25, 0.5, 0.75]


def test_latents_are_moved_back_to_their_own_mean_and_scale(flow, monkeypatch):
    monkeypatch.setattr(flow, "velocity", lambda z, t, condition: torch.zeros_like(z))
    flow.latent_mean.fill_(5.0)
    flow.latent_scale.fill_(0.5)
    noise = torch.randn(6, 3, 1, dtype=torch.float64)
    torch.testing.assert_close(flow(torch.randn(6, 3, 3, dtype=torch.float64), noise), 5.0 + 0.5 * noise)


def test_a_sample_ends_no_further_out_than_latents_of_training(flow, monkeypatch):
    """Whatever the network says of beads that it has not seen: 50 deviations off, or 1e30."""
    mean, deviation = torch.randn(200, 3, 1, dtype=torch.float64), torch.full((200, 3, 1), 0.1, dtype=torch.float64)
    flow.standardise(mean, deviation)
    # One latent a bead, so that the furthest of each bead is the largest of either sign.
    furthest = (((mean - mean.mean(0)).square() + 0.01).sqrt() / flow.latent_scale.view(3, 1)).amax(0)
    torch.testing.assert_close(flow.latent_reach, furthest)
    noise, X = torch.randn(6, 3, 1, dtype=torch.float64), torch.randn(6, 3, 3, dtype=torch.float64)
    for outward in (50.0, -1e30):
        away = torch.tensor([outward, 0.0, 0.0], dtype=torch.float64)
        monkeypatch.setattr(flow, "velocity", lambda z, t, condition, away=away: away.expand_as(z))
        z = (flow(X, noise).flatten(1) - flow.latent_mean) / flow.latent_scale
        assert (z[:, 0].abs() <= furthest[0] * (1 + 1e-12)).all()
        # It comes to where the network points, as far as it may, and the other beads' latents do not notice.
        assert (np.sign(outward) * z[:, 0] > 0.9 * furthest[0]).all()
        torch.testing.assert_close(z[:, 1:], noise[:, 1:, 0], atol=1e-12, rtol=0)


def test_matching_loss_gives_the_latents_no_gradient_of_their_own(flow):
    # The trainer detaches them; the running moments must not keep a graph either.
    X, z = torch.randn(6, 3, 3, dtype=torch.float64), torch.randn(6, 3, 1, dtype=torch.float64)
    loss = flow.train().matching_loss(X, z, torch.Generator().manual_seed(0))
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in flow.parameters())
    assert not flow.latent_mean.requires_grad


def test_moments_of_the_latents_follow_what_is_observed(flow):
    z = 3 + torch.randn(6, 3, 1, dtype=torch.float64)
    flow.observe(z)
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
    for _ in range(400):
        loss = flow.matching_loss(*draw(256), generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        for k in range(2):
            z = flow.eval()(shapes[k].expand(2000, -1, -1), torch.randn(2000, 3, 1, generator=generator))
            assert z.mean().item() == pytest.approx(mean[k].item(), abs=0.1)
            assert z.std(0).mean().item() == pytest.approx(spread[k].item(), rel=0.2)


def test_latents_on_a_thin_ring_are_sampled_on_one(dataset):
    """What holds two latents together is a product of both, as a bond between atoms of two beads is.

    Blocks of linear maps and activations gave a spread of 0.135 to 0.155 (Heun's method, as many velocities).
    """
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    flow = FlowPrior(dataset.spec, replace(TINY, latent=1, flow_width=32, flow_layers=2, flow_steps=8)).train()
    beads = torch.tensor([[0.0, 0, 0], [4, 0, 0], [4, 5, 0]])
    optimizer = torch.optim.Adam(flow.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 800)
    for _ in range(800):
        angle = 2 * np.pi * torch.rand(256, generator=generator)
        radius = 1.4 + 0.07 * torch.randn(256, generator=generator)
        off = torch.randn(256, generator=generator)
        z = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle), off], dim=1).unsqueeze(2)
        loss = flow.matching_loss(beads.expand(256, -1, -1), z, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.inference_mode():
        z = flow.eval()(beads.expand(4000, -1, -1), torch.randn(4000, 3, 1, generator=generator))
    radius = z[:, :2, 0].norm(dim=1)
    assert radius.mean().item() == pytest.approx(1.4, abs=0.03)
    assert radius.std().item() < 0.12


def test_gain_is_the_rate_at_which_samples_follow_the_beads(dataset, monkeypatch):
    # Every latent is its noise plus twice the first bead distance, in units of the latents' own scale.
    flow = FlowPrior(dataset.spec, replace(TINY, latent=1)).double()
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


def test_moments_of_a_whole_posterior_are_those_of_its_samples(flow):
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(20_000, 3, 1, generator=generator).double()
    deviation = torch.full_like(mean, 0.5)
    flow.standardise(mean, deviation)
    z = (mean + deviation * torch.randn(mean.shape, generator=generator)).flatten(1)
    torch.testing.assert_close(flow.latent_mean, z.mean(0), atol=0.01, rtol=0)
    torch.testing.assert_close(flow.latent_scale, z.std(0), atol=0.0, rtol=0.01)


LOCAL = replace(TINY, flow_cutoff_angstrom=6.0)


@pytest.fixture
def local(five_bead_dataset):
    torch.manual_seed(0)
    return LocalFlowPrior(five_bead_dataset.spec, LOCAL).double().eval()


def test_neighbour_list_gives_what_all_pairs_give(local, five_bead_dataset):
    X, noise = beads_of(five_bead_dataset).double(), torch.randn(6, 5, TINY.latent).double()
    with torch.inference_mode():
        dense = local(X, noise)
        local.radial.dense_points = 0
        listed = local(X, noise)
    torch.testing.assert_close(listed, dense, rtol=0, atol=1e-12)
    assert (dense - noise).abs().max() > 1e-3


def test_messages_reach_so_many_cutoffs_and_no_farther(five_bead_dataset):
    """One block for the beads and one for the latents: what is more than two cutoffs away does not matter."""
    local = LocalFlowPrior(five_bead_dataset.spec, LOCAL).double().eval()
    # On a line no bead has a volume, which would know its partners whatever the distance.
    X = torch.zeros(1, 5, 3, dtype=torch.float64)
    X[0, :, 0] = torch.tensor([0.0, 5.0, 10.0, 30.0, 35.0])
    near, far, noise = X.clone(), X.clone(), torch.randn(1, 5, TINY.latent).double()
    near[0, 2, 0] -= 0.5
    far[0, 3, 0] -= 0.5
    with torch.inference_mode():
        first = local(X, noise)
        assert (local(near, noise)[0, 1] - first[0, 1]).abs().max() > 1e-6
        torch.testing.assert_close(local(far, noise)[0, :3], first[0, :3], rtol=0, atol=0)
        assert (local(far, noise)[0, 4] - first[0, 4]).abs().max() > 1e-6


def test_mirrored_beads_give_other_samples(local, five_bead_dataset):
    X, noise = beads_of(five_bead_dataset).double(), torch.randn(6, 5, TINY.latent).double()
    local.calibrate(X)
    with torch.inference_mode():
        assert (local(-X, noise) - local(X, noise)).abs().max() > 1e-3


@pytest.mark.parametrize("kind", [FlowPrior, LocalFlowPrior])
def test_dropout_disturbs_training_and_not_sampling(kind, five_bead_dataset):
    prior = kind(five_bead_dataset.spec, replace(TINY, flow_dropout=0.5))
    X, z = beads_of(five_bead_dataset), torch.randn(6, 5, TINY.latent)

    def loss():
        return prior.matching_loss(X, z, torch.Generator().manual_seed(0)).item()

    assert prior.train() is prior
    assert loss() != loss()
    prior.eval()
    assert loss() == loss()
