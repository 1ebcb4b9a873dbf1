import numpy as np
import pytest

from openmm_cgvae.core.errors import PositionsError, SettingsError, TopologyMismatchError
from openmm_cgvae.metrics import structure
from openmm_cgvae.metrics.structure import (
    bond_angles,
    bond_graph_edit_ratio,
    bond_lengths,
    cis_trans,
    clashes,
    correct_chirality,
    correct_cis_trans,
    handedness,
    match_equivalent_hydrogens,
    rmsd,
    torsion_angles,
    valid_graphs,
)
from openmm_cgvae.molecule.graph import MolecularGraph

# A tetrahedron's corners; a bond along one is scaled to its length in nm.
CORNERS = np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]]) / np.sqrt(3)


def molecule(numbers, bonds, names=None, residues=None, residue_index=None):
    n = len(numbers)
    return MolecularGraph(
        atomic_numbers=np.array(numbers),
        bonds=np.array(bonds, dtype=np.int64).reshape(-1, 2),
        names=tuple(names or ["X"] * n),
        residues=tuple(residues or ["MOL"] * n),
        residue_index=np.array(residue_index or [0] * n),
    )


@pytest.fixture
def water():
    positions = np.array([[0.0, 0.0, 0.0], [0.096, 0.0, 0.0], [-0.024, 0.093, 0.0]])
    return molecule([8, 1, 1], [[0, 1], [0, 2]]), positions


@pytest.fixture
def chiral():
    """CHFClBr."""
    lengths = np.array([0.109, 0.135, 0.177, 0.194])
    positions = np.concatenate([np.zeros((1, 3)), CORNERS * lengths[:, None]])
    return molecule([6, 1, 9, 17, 35], [[0, k] for k in range(1, 5)]), positions


@pytest.fixture
def ethane():
    """Its two carbons along z, the hydrogens 0.1 nm from the axis."""
    angles = np.radians([0, 120, 240, 60, 180, 300])
    ring = 0.1 * np.stack([np.cos(angles), np.sin(angles), np.zeros(6)], axis=1)
    ring[:3, 2], ring[3:, 2] = -0.04, 0.194
    positions = np.concatenate([[[0, 0, 0], [0, 0, 0.154]], ring])
    return molecule([6, 6] + [1] * 6, [[0, 1], *[[0, k] for k in (2, 3, 4)], *[[1, k] for k in (5, 6, 7)]]), positions


@pytest.fixture
def chain():
    """Five carbons in a row, 0.15 nm apart."""
    positions = np.zeros((5, 3))
    positions[:, 0] = 0.15 * np.arange(5)
    return molecule([6] * 5, [[0, 1], [1, 2], [2, 3], [3, 4]]), positions


@pytest.fixture
def peptide():
    """CA-C-N-CA of two residues, trans, then cis, then at exactly 120 degrees."""
    graph = molecule([6, 6, 7, 6], [[0, 1], [1, 2], [2, 3]], ["CA", "C", "N", "CA"], ["ALA"] * 4, [0, 0, 1, 1])
    frames = np.zeros((3, 4, 3))
    frames[:, 0], frames[:, 2] = [0.1, 0.1, 0], [0, 0, 0.13]
    turn = np.radians(45 + np.array([180, 0, 120]))
    frames[:, 3] = np.stack([0.14 * np.cos(turn), 0.14 * np.sin(turn), np.full(3, 0.18)], axis=1)
    return graph, frames


def test_intact_molecule_has_no_edit(water):
    graph, positions = water
    assert bond_graph_edit_ratio(positions, graph) == 0
    assert valid_graphs(positions, graph).tolist() == [True]


def test_each_broken_bond_and_each_extra_contact_is_one_edit(water):
    graph, positions = water
    frames = np.repeat(positions[None], 3, axis=0)
    frames[0, 1] = [0.5, 0.0, 0.0]  # broken: O-H
    frames[1, 2] = [0.096, 0.07, 0.0]  # added: H-H at 0.07 nm, and O-H at 0.119 nm stays below 1.3 * (0.66 + 0.31) A
    frames[2, 1:] = [[0.5, 0.0, 0.0], [0.55, 0.0, 0.0]]  # both broken, H-H added
    np.testing.assert_allclose(bond_graph_edit_ratio(frames, graph), [1 / 2, 1 / 2, 3 / 2])
    assert valid_graphs(frames, graph).tolist() == [False, False, False]


@pytest.mark.parametrize("factor, edits", [(0.999, 0), (1.001, 1)])
def test_bond_breaks_at_the_cutoff(water, factor, edits):
    graph, positions = water
    positions[1] *= factor * graph.bond_cutoffs[0, 1] / 0.096
    np.testing.assert_allclose(bond_graph_edit_ratio(positions, graph), edits / 2)


def test_edges_among_a_subset_only(ethane):
    graph, positions = ethane
    positions[2] += 1.0
    np.testing.assert_allclose(bond_graph_edit_ratio(positions, graph), 1 / 7)
    assert bond_graph_edit_ratio(positions, graph, graph.heavy) == 0
    assert bond_graph_edit_ratio(positions, graph, graph.atomic_numbers > 1) == 0
    positions[1] += 1.0
    np.testing.assert_allclose(bond_graph_edit_ratio(positions, graph, graph.heavy), 1)


def test_subset_without_bonds_counts_plain_edits(water):
    graph, positions = water
    assert bond_graph_edit_ratio(positions, graph, [1, 2]) == 0


@pytest.mark.parametrize("atoms", [[0, 3], [True, False], []])
def test_atoms_that_do_not_exist_are_refused(water, atoms):
    graph, positions = water
    with pytest.raises(SettingsError):
        bond_graph_edit_ratio(positions, graph, atoms)


def test_far_from_the_origin_in_single_precision(ethane):
    graph, positions = ethane
    assert bond_graph_edit_ratio((positions + 50).astype(np.float32), graph) == 0


def test_mirror_image_has_the_opposite_hand(chiral):
    graph, positions = chiral
    frames = np.stack([positions, positions * [1, 1, -1]])
    signs = handedness(frames, graph)
    assert signs.shape == (2, 1)
    assert abs(signs[0, 0]) == 1
    assert signs[1] == -signs[0]
    assert correct_chirality(frames, graph, signs[0]).tolist() == [True, False]
    assert correct_chirality(frames, graph, signs).tolist() == [True, True]


def test_molecule_without_stereocentre_is_always_right(ethane):
    graph, positions = ethane
    assert handedness(positions, graph).shape == (1, 0)
    assert correct_chirality(positions, graph, []).tolist() == [True]


def test_signs_of_another_molecule_are_refused(chiral):
    graph, positions = chiral
    with pytest.raises(TopologyMismatchError, match="handedness"):
        correct_chirality(positions, graph, [1, 1])


def test_cis_trans_and_torsion_angles(peptide):
    graph, frames = peptide
    angles = torsion_angles(frames, graph, graph.torsions["omega"])
    np.testing.assert_allclose(np.degrees(np.abs(angles[:, 0])), [180, 0, 120], atol=1e-6)
    assert cis_trans(frames, graph)[:, 0].tolist() == [True, False, True]
    assert correct_cis_trans(frames, graph).tolist() == [True, False, True]
    assert correct_cis_trans(frames, graph, [False]).tolist() == [False, True, False]


def test_before_proline_both_are_right(peptide):
    graph, frames = peptide
    proline = molecule(graph.atomic_numbers, graph.bonds, graph.names, ["ALA", "ALA", "PRO", "PRO"], [0, 0, 1, 1])
    assert correct_cis_trans(frames, proline).all()


def test_clash_needs_more_than_three_bonds_between(chain):
    graph, positions = chain
    frames = np.repeat(positions[None], 3, axis=0)
    frames[1, 4] = [0.0, 0.119, 0.0]  # four bonds from the first atom
    frames[2, 3] = [0.0, 0.119, 0.0]  # three bonds only
    assert clashes(frames, graph).tolist() == [False, True, False]
    assert not clashes(frames, graph, contact_nm=0.118).any()


def test_hydrogens_do_not_clash(ethane):
    graph, positions = ethane
    positions[2] = positions[5]
    assert not clashes(positions, graph).any()


def test_bond_lengths_and_angles():
    graph = molecule([8, 1, 1], [[0, 1], [0, 2]])
    frames = np.array([[[0, 0, 0], [0.1, 0, 0], [0, 0.2, 0]], [[0, 0, 0], [0.1, 0, 0], [-0.2, 0, 0]]])
    np.testing.assert_allclose(bond_lengths(frames, graph), [[0.1, 0.2], [0.1, 0.2]])
    np.testing.assert_allclose(bond_angles(frames, graph), [[np.pi / 2], [np.pi]])


def test_rmsd_is_direct(water):
    graph, positions = water
    moved = positions + np.array([0.3, 0.0, 0.4])
    np.testing.assert_allclose(rmsd(moved, positions), [0.5])
    one = positions.copy()
    one[2, 2] += 0.3
    np.testing.assert_allclose(rmsd(np.stack([one, moved]), positions), [0.3 / np.sqrt(3), 0.5])
    assert rmsd(one, positions, graph.heavy) == 0


def test_rmsd_refuses_another_number_of_frames(water):
    _, positions = water
    with pytest.raises(PositionsError, match="3 frames and 2 reference"):
        rmsd(np.stack([positions] * 3), np.stack([positions] * 2))
    with pytest.raises(PositionsError):
        rmsd(positions, positions[0])


def test_turned_methyl_matches_exactly(ethane):
    graph, positions = ethane
    turned = positions[[0, 1, 3, 4, 2, 7, 5, 6]]
    assert rmsd(turned, positions) > 0.05
    matched = match_equivalent_hydrogens(np.stack([turned, positions]), positions, graph)
    np.testing.assert_allclose(rmsd(np.stack([turned, positions]), matched), 0, atol=1e-12)


def test_matching_never_exchanges_two_hydrogens(ethane):
    graph, positions = ethane
    swapped = positions[[0, 1, 3, 2, 4, 5, 6, 7]]
    assert rmsd(swapped, match_equivalent_hydrogens(swapped, positions, graph)) > 0.05


def test_chunks_change_nothing(peptide, ethane, chiral, monkeypatch):
    rng = np.random.default_rng(0)
    cases = []
    for graph, frames in (peptide, ethane, chiral):
        noisy = frames.reshape(-1, graph.n_atoms, 3)[rng.integers(0, frames.ndim - 1, 50)]
        cases.append((graph, noisy + rng.normal(0, 0.03, noisy.shape)))
    measures = (bond_graph_edit_ratio, clashes, handedness, cis_trans, bond_lengths, bond_angles)
    whole = [measure(frames, graph) for graph, frames in cases for measure in measures]
    monkeypatch.setattr(structure, "CHUNK", 1)
    pieces = [measure(frames, graph) for graph, frames in cases for measure in measures]
    for a, b in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(a, b)
        assert len(a) == 50


def test_agrees_with_all_distances_at_once(ethane):
    graph, positions = ethane
    frames = positions + np.random.default_rng(1).normal(0, 0.03, (40, 8, 3))
    distances = np.linalg.norm(frames[:, :, None] - frames[:, None], axis=-1)
    differs = np.triu((distances < graph.bond_cutoffs) != (graph.bond_distances == 1), k=1)
    np.testing.assert_allclose(bond_graph_edit_ratio(frames, graph), differs.sum((1, 2)) / 7)


def test_no_frames_give_no_values(ethane):
    graph, _ = ethane
    empty = np.zeros((0, 8, 3))
    assert bond_graph_edit_ratio(empty, graph).shape == (0,)
    assert bond_lengths(empty, graph).shape == (0, 7)


def test_positions_of_another_molecule_or_broken_are_refused(water):
    graph, positions = water
    with pytest.raises(PositionsError):
        bond_graph_edit_ratio(positions[:2], graph)
    with pytest.raises(PositionsError, match="NaN"):
        clashes(positions * np.nan, graph)
