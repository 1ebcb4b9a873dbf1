import pytest
import torch
from torch.distributions import Normal
from torch.distributions import kl_divergence as exact_kl

from openmm_cgvae.models import BoundsProjection
from openmm_cgvae.training.losses import geometry_loss, graph_loss, kl_divergence, match_hydrogens, msd_loss


def frames(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_msd_averages_squared_distances_over_atoms_and_frames():
    reference = frames([[0, 0, 0], [1, 1, 1]], [[0, 0, 0], [1, 1, 1]])
    predicted = frames([[1, 0, 0], [1, 1, 3]], [[0, 0, 0], [1, 1, 1]])
    # (1 + 4)/2 in the first frame, 0 in the second.
    assert msd_loss(predicted, reference).item() == pytest.approx(1.25)


def test_graph_loss_compares_the_lengths_of_its_pairs_only():
    pairs = torch.tensor([[0, 1], [1, 2]])
    reference = frames([[0, 0, 0], [1, 0, 0], [1, 1, 0]])
    predicted = frames([[0, 0, 0], [3, 0, 0], [3, 0, 2]])
    # Lengths 3 and 2 for 1 and 1: (4 + 1)/2; the pair 0-2 is not asked for.
    assert graph_loss(predicted, reference, pairs).item() == pytest.approx(2.5)


def test_graph_loss_has_a_finite_gradient_where_atoms_coincide():
    predicted = torch.zeros(1, 2, 3, requires_grad=True)
    graph_loss(predicted, torch.ones(1, 2, 3), torch.tensor([[0, 1]])).backward()
    assert torch.isfinite(predicted.grad).all()


@pytest.mark.parametrize("with_prior", [False, True])
def test_kl_is_that_of_torch_distributions(with_prior):
    torch.manual_seed(0)
    mean, log_variance, prior_mean, prior_log_variance = torch.randn(4, 5, 3, 2, dtype=torch.float64)
    prior = (prior_mean, prior_log_variance) if with_prior else ()
    p = Normal(prior_mean, (prior_log_variance / 2).exp()) if with_prior else Normal(0.0, 1.0)
    expected = exact_kl(Normal(mean, (log_variance / 2).exp()), p).sum(-1).mean()
    torch.testing.assert_close(kl_divergence(mean, log_variance, *prior), expected)


def test_kl_of_equal_gaussians_is_zero():
    mean, log_variance = torch.randn(2, 4, 3, 2)
    assert kl_divergence(mean, log_variance, mean, log_variance).item() == pytest.approx(0.0, abs=1e-6)


@pytest.fixture
def methyl():
    """One other atom and three hydrogens of a methyl, at 10, 1, 2, 4 along x."""
    return frames([[10, 0, 0], [1, 0, 0], [2, 0, 0], [4, 0, 0]])


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_turned_methyl_is_matched_by_relabelling(methyl, turn):
    predicted = methyl.clone()
    predicted[:, 1:] = methyl[:, 1:].roll(turn, dims=1)
    matched = match_hydrogens(predicted, methyl, torch.tensor([[1, 2, 3]]))
    torch.testing.assert_close(matched, predicted)


def test_swap_of_two_hydrogens_is_not_undone_since_it_would_change_handedness(methyl):
    predicted = methyl[:, [0, 2, 1, 3]]
    matched = match_hydrogens(predicted, methyl, torch.tensor([[1, 2, 3]]))
    # From 2, 1, 4 it is 1 + 1 + 0 to 1, 2, 4; 4 + 0 + 4 to 4, 1, 2; 0 + 9 + 9 to 2, 4, 1.
    torch.testing.assert_close(matched, methyl)


def test_each_methyl_of_each_frame_is_matched_by_itself():
    torch.manual_seed(0)
    reference = torch.randn(2, 7, 3)
    groups = torch.tensor([[4, 2, 6], [0, 1, 3]])
    predicted = reference.clone()
    predicted[0, groups[0]] = reference[0, groups[0]].roll(1, dims=0)
    predicted[1, groups[1]] = reference[1, groups[1]].roll(2, dims=0)
    original = reference.clone()
    torch.testing.assert_close(match_hydrogens(predicted, reference, groups), predicted)
    torch.testing.assert_close(reference, original)


def test_molecule_without_methyls_is_left_alone(methyl):
    assert match_hydrogens(methyl + 1, methyl, torch.zeros(0, 3, dtype=torch.long)) is methyl


def test_choice_of_labels_gets_no_gradient_but_the_prediction_does(methyl):
    predicted = methyl.roll(1, dims=1).requires_grad_()
    matched = match_hydrogens(predicted, methyl, torch.tensor([[1, 2, 3]]))
    assert not matched.requires_grad
    msd_loss(predicted, matched).backward()
    torch.testing.assert_close(predicted.grad, 2 * (predicted - matched).detach() / 4)


@pytest.fixture
def bounds(dataset):
    bounds = BoundsProjection(dataset.spec, 10)
    x = 10 * torch.as_tensor(dataset.positions)
    bounds.calibrate(x - x[:, :1])
    return bounds


def test_frames_that_bounds_were_taken_from_have_no_geometry_loss(dataset, bounds):
    x = 10 * torch.as_tensor(dataset.positions)
    assert geometry_loss(bounds, x - x[:, :1]).item() == 0


def test_geometry_loss_is_what_distances_lack_over_the_number_of_atoms(dataset, bounds):
    """A frame blown up by 1.5 has too long pairs and too large volumes, and none that collide."""
    x = 10 * torch.as_tensor(dataset.positions[:1])
    x = 1.5 * (x - x[:, :1])
    lengths = (x[:, bounds.pairs[:, 0]] - x[:, bounds.pairs[:, 1]]).norm(dim=-1)
    too_long = (lengths - bounds.upper).clamp_min(0).sum().item() / 22
    loss = geometry_loss(bounds, x).item()
    assert too_long > 0.5
    assert too_long < loss < 2 * too_long


def test_geometry_loss_sees_a_mirrored_centre_and_leads_back(dataset, bounds):
    x = 10 * torch.as_tensor(dataset.positions[:1])
    x = -(x - x[:, :1])
    assert (bounds.length_errors(bounds.lengths(x)) == 0).all()
    x.requires_grad_()
    loss = geometry_loss(bounds, x)
    loss.backward()
    assert loss.item() > 0
    assert torch.isfinite(x.grad).all()
    moved = (x - 0.5 * x.grad).detach()
    before, after = (bounds.shape_errors(bounds.measure_shapes(y)[0]).abs().sum().item() for y in (x, moved))
    assert after < 0.99 * before


def test_geometry_loss_sees_atoms_that_collide(dataset, bounds):
    """The last methyl group moved onto the first: only contacts, where nothing bonded changes."""
    x = 10 * torch.as_tensor(dataset.positions[:1])
    x = torch.cat([x - x[:, :1], x - x[:, :1] + 100.0])
    apart = geometry_loss(bounds, x)
    x = x[:1].clone()
    far = x.clone()
    x[0, 19:22] += x[0, 0] - x[0, 18]
    x[0, 18] = x[0, 0] + 0.3
    _, closest = bounds.contact_list(x)
    assert apart.item() == 0
    assert len(closest) > 0
    assert geometry_loss(bounds, x).item() > geometry_loss(bounds, far).item()
