import mdtraj
import numpy as np
import pytest
import torch

from openmm_cgvae.core.errors import DataError, MappingError, PositionsError, SettingsError
from openmm_cgvae.molecule.mapping import CGMapping, custom_mapping
from openmm_cgvae.molecule.mapping import autograin as module
from openmm_cgvae.molecule.mapping.autograin import autograin_loss, autograin_mapping

EPOCHS = 25


@pytest.fixture(scope="module")
def learned(topology, reference):
    """Mappings by number of beads."""
    return {n: autograin_mapping(topology, reference[0], n, seed=1, epochs=EPOCHS) for n in (1, 3, 5, 8)}


def random_mapping(topology, n_beads, seed=0):
    beads = np.random.default_rng(seed).permutation(topology.n_atoms) % n_beads
    return custom_mapping(topology, [np.flatnonzero(beads == k) for k in range(n_beads)])


def mean_radius(mapping, positions):
    offsets = positions - mapping.lift(mapping.project(positions))
    squares = (offsets**2).sum(-1).mean(0)
    return np.mean([np.sqrt(squares[list(bead)].mean()) for bead in mapping.beads])


def explicit_loss(members, projection, decode, positions):
    """The paper's sums, frame by frame; matrices as in the paper: C (N x n), M (N x n), D (n x N)."""
    x = positions.astype(float) - positions.mean(1, keepdims=True, dtype=float)
    beads = np.einsum("Ii,fix->fIx", projection, x)
    msd = ((np.einsum("iI,fIx->fix", decode, beads) - x) ** 2).sum(-1).mean()
    return msd + 0.25 * ((np.einsum("Ii,fIx->fix", members, beads) - x) ** 2).sum(-1).mean()


@pytest.mark.parametrize("n_beads", [1, 3, 5, 8])
def test_mapping_is_valid_and_in_order(learned, n_beads):
    mapping = learned[n_beads]
    assert isinstance(mapping, CGMapping)
    assert mapping.n_beads == n_beads
    first = [bead[0] for bead in mapping.beads]
    assert first == sorted(first)
    assert all(list(bead) == sorted(bead) for bead in mapping.beads)


def test_one_bead_an_atom(topology, reference):
    mapping = autograin_mapping(topology, reference[0], 22, epochs=1)
    assert mapping.beads == tuple((i,) for i in range(22))


def test_same_seed_same_mapping_whatever_the_global_state(topology, reference, learned):
    torch.manual_seed(123)
    np.random.seed(5)
    assert autograin_mapping(topology, reference[0], 5, seed=1, epochs=EPOCHS) == learned[5]


def test_other_seeds_start_elsewhere(topology, reference):
    mappings = [autograin_mapping(topology, reference[0], 5, seed=s, epochs=1) for s in (1, 2)]
    assert mappings[0] != mappings[1]


def test_rotating_and_shifting_every_frame_changes_nothing(topology, reference, learned):
    generator = np.random.default_rng(3)
    rotations = np.linalg.qr(generator.normal(size=(len(reference[0]), 3, 3)))[0]
    moved = reference[0].astype(float) @ rotations + generator.normal(size=(len(reference[0]), 1, 3))
    assert autograin_mapping(topology, moved, 3, seed=1, epochs=EPOCHS).beads == learned[3].beads


@pytest.mark.parametrize("n_beads", [3, 5, 8])
def test_beads_are_compact(topology, reference, learned, n_beads):
    at_random = [mean_radius(random_mapping(topology, n_beads, seed), reference[0]) for seed in range(5)]
    assert mean_radius(learned[n_beads], reference[0]) < 0.7 * min(at_random)


def test_loss_is_below_that_of_a_permuted_residue_mapping(topology, reference, mapping, learned):
    order = np.random.default_rng(0).permutation(topology.n_atoms)
    permuted = custom_mapping(topology, [order[list(bead)] for bead in mapping.beads])
    assert autograin_loss(learned[3], reference[0]) < 0.5 * autograin_loss(permuted, reference[0])


def test_loss_is_not_above_the_residue_mapping(reference, mapping, learned):
    assert autograin_loss(learned[3], reference[0]) <= autograin_loss(mapping, reference[0])


def test_loss_is_the_papers_with_the_best_decode_matrix(reference, five_beads):
    positions = reference[0][:20]
    x = positions.astype(float) - positions.mean(1, keepdims=True, dtype=float)
    atoms = x.transpose(0, 2, 1).reshape(-1, 22)
    decode = np.linalg.lstsq(atoms @ five_beads.matrix.T, atoms, rcond=1e-8)[0].T
    members = np.eye(5)[five_beads.assignment].T
    expected = explicit_loss(members, five_beads.matrix, decode, positions)
    assert autograin_loss(five_beads, positions) == pytest.approx(expected, rel=1e-6)


def test_soft_loss_is_the_papers_frame_by_frame(reference):
    scores = torch.randn(2, 22, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    decode = torch.randn(2, 22, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    moments = torch.from_numpy(module._second_moments(reference[0][:10]))
    for found, score, matrix in zip(module._soft_loss(moments, scores, decode), scores, decode, strict=True):
        members = score.softmax(-1).numpy().T
        projection = members / members.sum(1, keepdims=True)
        expected = explicit_loss(members, projection, matrix.numpy(), reference[0][:10])
        assert float(found) == pytest.approx(expected, rel=1e-10)


def test_soft_loss_and_its_gradient_stay_finite_for_a_bead_that_no_atom_wants(reference):
    scores = torch.zeros(1, 22, 3, dtype=torch.float64)
    scores[..., 2] = -1e5
    scores.requires_grad_()
    moments = torch.from_numpy(module._second_moments(reference[0][:10]))
    loss = module._soft_loss(moments, scores, torch.ones(1, 22, 3, dtype=torch.float64)).sum()
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(scores.grad).all()


def test_empty_beads_get_the_outermost_atoms(reference):
    moments = module._second_moments(reference[0])
    filled = module._fill_empty(np.zeros(22, dtype=np.int64), moments, 4)
    assert sorted(np.bincount(filled, minlength=4)) == [1, 1, 1, 19]
    x = reference[0] - reference[0].mean(1, keepdims=True)
    outermost = (x**2).sum(-1).mean(0).argmax()
    assert filled[outermost] == 1


def test_all_starts_with_empty_beads_still_give_a_mapping(topology, reference, monkeypatch):
    monkeypatch.setattr(module, "_train", lambda *_: np.zeros((2, 22), dtype=np.int64))
    mapping = autograin_mapping(topology, reference[0], 6)
    assert mapping.n_beads == 6


def test_best_start_is_taken(topology, reference, five_beads, monkeypatch):
    bad = random_mapping(topology, 5).assignment
    monkeypatch.setattr(module, "_train", lambda *_: np.stack([bad, five_beads.assignment]))
    assert autograin_mapping(topology, reference[0], 5).beads == five_beads.beads


def test_more_frames_than_1000_are_drawn_by_the_seed(topology, reference, monkeypatch):
    monkeypatch.setattr(module, "MAX_FRAMES", 50)
    seen = []
    monkeypatch.setattr(module, "_second_moments", lambda frames: seen.append(frames) or np.eye(22))
    for seed in (1, 1, 2):
        autograin_mapping(topology, reference[0], 3, seed=seed, epochs=1)
    assert all(len(frames) == 50 for frames in seen)
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])


def test_weights_are_those_asked_for(topology, reference):
    geometric, mass = (autograin_mapping(topology, reference[0], 3, epochs=1, weights=w) for w in ("geometric", "mass"))
    assert geometric.beads == mass.beads
    assert set(geometric.weights) == {1.0}
    assert mass.weights[1] == pytest.approx(12.011, abs=0.01)


def test_openmm_topology_will_do(topology, reference):
    given = topology.to_openmm()
    a, b = (autograin_mapping(t, reference[0], 3, epochs=1).beads for t in (given, topology))
    assert a == b


@pytest.mark.parametrize("n_beads", [0, -1, 23, 2.5])
def test_impossible_numbers_of_beads_are_refused(topology, reference, n_beads):
    with pytest.raises(MappingError, match="from 1 to 22"):
        autograin_mapping(topology, reference[0], n_beads)


@pytest.mark.parametrize(("frames", "n_beads"), [(1, 3), (0, 3), (3, 12)])
def test_too_few_frames_are_refused(topology, reference, frames, n_beads):
    with pytest.raises(DataError, match=f"frames given: {frames};"):
        autograin_mapping(topology, reference[0][:frames], n_beads)


def test_positions_of_another_molecule_are_refused(topology, reference):
    with pytest.raises(PositionsError):
        autograin_mapping(topology, reference[0][:, :21], 3)


@pytest.mark.parametrize("setting", [{"seed": -1}, {"seed": 2**63}, {"epochs": 0}])
def test_settings_out_of_range_are_refused(topology, reference, setting):
    with pytest.raises(SettingsError, match=next(iter(setting))):
        autograin_mapping(topology, reference[0], 3, **setting)


def test_two_rigid_groups_that_move_apart_become_two_beads():
    generator = np.random.default_rng(0)
    topology = mdtraj.Topology()
    residue = topology.add_residue("MOL", topology.add_chain())
    for k in range(8):
        topology.add_atom(f"C{k}", mdtraj.element.carbon, residue)
    shape = 0.1 * generator.normal(size=(8, 3))
    centres = generator.normal(size=(50, 2, 3))
    positions = shape + centres[:, [0, 1, 0, 1, 0, 1, 0, 1]]
    mapping = autograin_mapping(topology, positions, 2, epochs=EPOCHS)
    assert mapping.beads == ((0, 2, 4, 6), (1, 3, 5, 7))
