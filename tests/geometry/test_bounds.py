"""The bounds projection: what it leaves alone, what it mends, and what it keeps."""

import numpy as np
import pytest
import torch
from conftest import TINY, rotation, untrained_model
from scipy.spatial.transform import Rotation

from openmm_cgvae.geometry.shapes import turns_and_gradients
from openmm_cgvae.metrics import cis_trans, torsion_angles, valid_graphs
from openmm_cgvae.models import BoundsProjection
from openmm_cgvae.models.export import script_model
from openmm_cgvae.molecule.graph import signed_volume
from openmm_cgvae.molecule.mapping import custom_mapping
from openmm_cgvae.preparation.dataset import prepare_dataset

SWEEPS = 100


@pytest.fixture(scope="module")
def frames(dataset):
    """Training and other frames in Angstrom, (100, 22, 3) each."""
    x = torch.as_tensor(dataset.positions) * 10
    x = x - x.mean(1, keepdim=True)
    return x[::2], x[1::2]


def calibrated(data, frames):
    bounds = BoundsProjection(data.spec, SWEEPS)
    bounds.calibrate(frames[0])
    return bounds


@pytest.fixture(scope="module")
def project(dataset, frames):
    return calibrated(dataset, frames)


def distorted(frames, spread, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return frames[1] + spread * torch.randn(frames[1].shape, generator=generator)


def test_training_frames_stay_as_they_are_to_the_bit(project, frames):
    assert torch.equal(project(frames[0]), frames[0])


def test_other_frames_of_the_same_md_hardly_move(project, frames):
    """A hundred frames do not show every bond at its longest."""
    moved = (project(frames[1]) - frames[1]).norm(dim=-1)
    assert moved.mean() < 0.01
    assert moved.max() < 0.3


@pytest.mark.parametrize("spread", [0.1, 0.3])
def test_noisy_frames_become_valid_and_come_closer_to_the_truth(project, frames, graph, spread):
    noisy = distorted(frames, spread)
    mended = project(noisy)
    before = valid_graphs(noisy.numpy() / 10, graph).mean()
    assert before < 0.9
    assert valid_graphs(mended.numpy() / 10, graph).all()
    assert (mended - frames[1]).square().mean() < (noisy - frames[1]).square().mean()


def test_a_methyl_with_all_hydrogens_on_one_side_is_mended(project, frames, dataset):
    row = dataset.spec.alike_pairs[1]
    centre, one, other, first = (frames[1][:, k] for k in row[:4])
    normal = torch.linalg.cross(one - centre, other - centre)
    normal = normal / normal.norm(dim=-1, keepdim=True)
    flat = frames[1].clone()
    # Through the plane of the others, a little beyond.
    flat[:, row[3]] -= 1.1 * ((first - centre) * normal).sum(-1, keepdim=True) * normal
    right = signed_volume(frames[1].numpy(), row[None, :4])
    assert (np.sign(signed_volume(flat.numpy(), row[None, :4])) == -np.sign(right)).all()
    assert (np.sign(signed_volume(project(flat).numpy(), row[None, :4])) == np.sign(right)).mean() > 0.95


def test_an_inverted_stereocentre_is_turned_back(project, frames, graph):
    """Swap the hydrogen and the methyl carbon of the alpha carbon."""
    inverted = frames[1].clone()
    centre, side, hydrogen = 8, 10, 9
    out, up = (inverted[:, k] - inverted[:, centre] for k in (side, hydrogen))
    shift = inverted[:, centre] + up * 1.4 - inverted[:, side]
    inverted[:, hydrogen] = inverted[:, centre] + out * 0.7
    inverted[:, [10, 11, 12, 13]] += shift.unsqueeze(1)
    right = np.sign(signed_volume(frames[1].numpy(), graph.stereocentres))
    assert (np.sign(signed_volume(inverted.numpy(), graph.stereocentres)) == -right).all()
    mended = project(inverted).numpy()
    assert (np.sign(signed_volume(mended, graph.stereocentres)) == right).mean() > 0.95


def test_all_four_neighbours_of_a_stereocentre_are_on_their_sides(dataset, project, frames):
    """The fourth is the hydrogen: put it through the plane of the others, whose own volume does not tell."""
    flipped = frames[1].clone()
    centre, hydrogen = 8, 9
    flipped[:, hydrogen] = 2 * flipped[:, centre] - flipped[:, hydrogen]
    bounds = BoundsProjection(dataset.spec, SWEEPS)
    assert (bounds.shapes[: bounds.n_volumes, 0] == centre).sum() == 4
    bounds.calibrate(frames[0])
    assert (bounds.shape_errors(bounds.measure_shapes(flipped)[0]).abs().amax(1) > 0.1).all()
    assert (bounds.shape_errors(bounds.measure_shapes(project(flipped))[0]).abs().amax(1) < 0.1).float().mean() > 0.9


def test_a_turned_peptide_bond_is_turned_back(dataset, frames, graph):
    """Also where training frames are so rough that distances about the bond leave room for the other side."""
    project = calibrated(dataset, [distorted(frames[::-1], 0.15)])
    x = frames[1][:40].double().numpy() / 10
    before, (_, b, c, _) = cis_trans(x, graph), graph.torsions["omega"][0]
    beyond = [i for i in range(22) if graph.bond_distances[i, c] < graph.bond_distances[i, b] and i != c]
    for degrees in (80, 100):
        turned, axis = x.copy(), x[:, c] - x[:, b]
        axis *= np.radians(degrees) / np.linalg.norm(axis, axis=1, keepdims=True)
        for k, turn in enumerate(Rotation.from_rotvec(axis).as_matrix()):
            turned[k, beyond] = (turned[k, beyond] - x[k, c]) @ turn.T + x[k, c]
        wrong = np.abs(torsion_angles(turned, graph, graph.torsions["omega"][:1]))
        assert np.degrees(wrong).mean() == pytest.approx(180 - degrees, abs=15)
        mended = project(torch.as_tensor(turned * 10, dtype=torch.float32)).numpy() / 10
        assert (cis_trans(mended, graph) == before).all()


def test_gradients_of_torsions_are_those_of_autograd():
    corners = torch.randn(4, 5, 3, 2, dtype=torch.float64, requires_grad=True)
    turn, gradient = turns_and_gradients(corners)
    torch.testing.assert_close(gradient, torch.autograd.grad(turn.sum(), corners)[0])
    # A square zigzag by hand: areas 1 and 1, trans.
    flat = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, -1.0, 0.0]])
    assert turns_and_gradients(flat[:, None, :, None])[0].item() == -1.0


@pytest.mark.parametrize("weights", ["geometric", "mass", "alpha-carbon-like"])
def test_beads_stay_where_they_are_whatever_the_weights(reference, topology, frames, weights):
    if weights == "alpha-carbon-like":
        weights = np.zeros(topology.n_atoms)
        weights[[1, 8, 18]] = 1
    beads = [[atom.index for atom in residue.atoms] for residue in topology.residues]
    data = prepare_dataset(*reference, custom_mapping(topology, beads, weights), temperature=None)
    noisy = distorted(frames, 0.3).double()
    matrix = torch.as_tensor(data.spec.projection)
    mended = calibrated(data, frames)(noisy)
    assert (mended - noisy).abs().max() > 0.1
    assert (matrix @ mended - matrix @ noisy).abs().max() < 1e-10


def test_mended_frames_turn_and_move_with_the_noisy_ones(project, frames):
    noisy = distorted(frames, 0.3).double()
    turn = torch.as_tensor(rotation(2))
    moved = project(noisy @ turn.T + 3.0)
    assert (moved - (project(noisy) @ turn.T + 3.0)).abs().max() < 1e-6


def test_a_frame_does_not_depend_on_its_batch(project, frames):
    noisy = torch.cat([distorted(frames, 0.4), frames[0]])
    together = project(noisy)
    alone = torch.cat([project(frame) for frame in noisy.split(1)])
    assert torch.equal(together, alone)


def test_small_changes_of_a_frame_change_the_result_little(project, frames):
    """Violations weigh what an atom is asked to do, so that a bound just touched does not make a jump."""
    noisy = distorted(frames, 0.3).double()
    generator = torch.Generator().manual_seed(3)
    nudged = noisy + 1e-7 * torch.randn(noisy.shape, generator=generator, dtype=noisy.dtype)
    assert (project(nudged) - project(noisy)).abs().max() < 1e-3


def test_the_exported_model_samples_inside_the_bounds_unless_told_otherwise(dataset, frames):
    model = untrained_model(dataset, TINY)
    model.bounds.calibrate(frames[0])
    module = script_model(model)
    beads = torch.as_tensor(dataset.spec.projection @ dataset.positions[:20]).float()
    noise = torch.randn(20, 3, TINY.latent, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        mended = module(beads, noise)
        module.bounded = False
        raw = module(beads, noise)
        lengths = [model.bounds.lengths(10 * x) for x in (raw, mended)]
    excess = [model.bounds.length_errors(length).abs().amax(1).median() for length in lengths]
    assert excess[0] > 0.5
    assert excess[1] < 0.2 * excess[0]


@pytest.mark.parametrize("dense_atoms", [500, 0], ids=["dense", "listed"])
def test_the_contact_list_is_that_of_all_pairs_one_by_one(dense_atoms, dataset, frames):
    """Pairs i < j with a closest approach, less than the skin above it; no atom is close to itself."""
    bounds = BoundsProjection(dataset.spec, SWEEPS)
    bounds.calibrate(frames[0])
    bounds.dense_atoms = dense_atoms
    noisy = distorted(frames, 0.3)[:5]
    lower, distance = bounds.closest_approach(), torch.cdist(noisy, noisy, compute_mode="donot_use_mm_for_euclid_dist")
    assert (lower.tril() == 0).all()
    expected = torch.nonzero((lower > 0) & (distance < lower + bounds.skin))
    contacts, closest = bounds.contact_list(noisy)
    order = np.lexsort(contacts.t().flip(0).numpy())
    assert torch.equal(contacts[order], expected)
    _, i, j = contacts.unbind(1)
    assert torch.equal(closest, lower[i, j].to(closest.dtype))
    assert (bounds.separations(noisy, contacts) > 0).all()


def test_a_large_molecule_is_mended_from_lists_as_from_all_pairs(dataset, frames):
    bounds = BoundsProjection(dataset.spec, SWEEPS)
    bounds.calibrate(frames[0])
    noisy = distorted(frames, 0.3)
    dense = bounds(noisy)
    bounds.dense_atoms = 0
    listed = torch.jit.script(bounds)(noisy)
    assert (dense - noisy).abs().max() > 0.1
    assert (listed - dense).abs().max() < 1e-4  # Angstrom


def test_no_sweeps_change_nothing(dataset, frames):
    bounds = BoundsProjection(dataset.spec, 0)
    bounds.calibrate(frames[0])
    noisy = distorted(frames, 0.3)
    assert torch.equal(bounds(noisy), noisy)
