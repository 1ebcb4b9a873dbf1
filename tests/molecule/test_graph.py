import mdtraj
import numpy as np
import pytest

from openmm_cgvae.core.errors import TopologyMismatchError
from openmm_cgvae.molecule.graph import MolecularGraph, dihedral, signed_volume


def pentane_like(n=5):
    """A chain of carbons without hydrogens."""
    return MolecularGraph(
        atomic_numbers=np.full(n, 6),
        bonds=np.array([[k, k + 1] for k in range(n - 1)]),
        names=("C",) * n,
        residues=("MOL",) * n,
        residue_index=np.zeros(n, dtype=int),
    )


def test_bond_distances_count_bonds_along_the_shortest_path():
    i = np.arange(5)
    np.testing.assert_array_equal(pentane_like().bond_distances, abs(i[:, None] - i))


def test_bond_distances_take_the_short_way_round_a_ring():
    ring = MolecularGraph(
        atomic_numbers=np.full(6, 6),
        bonds=np.array([[k, (k + 1) % 6] for k in range(6)]),
        names=("C",) * 6,
        residues=("MOL",) * 6,
        residue_index=np.zeros(6, dtype=int),
    )
    np.testing.assert_array_equal(ring.bond_distances[0], [0, 1, 2, 3, 2, 1])


def test_unconnected_atoms_are_as_far_apart_as_there_are_atoms():
    pair = MolecularGraph(np.array([1, 1, 1, 1]), np.array([[0, 1], [2, 3]]), ("H",) * 4, ("H2",) * 4, np.arange(4))
    np.testing.assert_array_equal(pair.bond_distances, [[0, 1, 4, 4], [1, 0, 4, 4], [4, 4, 0, 1], [4, 4, 1, 0]])


@pytest.mark.parametrize(
    ("hops", "pairs"),
    [
        (1, [[0, 1], [1, 2], [2, 3]]),
        (2, [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]),
        (3, [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]),
    ],
)
def test_pairs_within_hops_come_once_each(hops, pairs):
    np.testing.assert_array_equal(pentane_like(4).pairs_within(hops), pairs)


def test_heavy_atoms_of_alanine_dipeptide(graph):
    np.testing.assert_array_equal(graph.heavy, [1, 4, 5, 6, 8, 10, 14, 15, 16, 18])


def test_the_only_stereocentre_of_alanine_is_its_alpha_carbon(graph):
    assert len(graph.stereocentres) == 1
    centre, *neighbours = (graph.names[i] for i in graph.stereocentres[0])
    assert centre == "CA"
    assert set(neighbours) < {"N", "C", "CB", "HA"}


def test_branches_of_valine_are_told_apart_and_hydrogens_of_one_atom_are_a_pair():
    """Isobutanol: CH(CH3)2-CH2-OH, whose middle carbon has two alike methyls."""
    elements = [6, 6, 6, 1, 6, 1, 1, 8, 1, 1, 1, 1, 1, 1, 1]
    bonds = [[0, 1], [0, 2], [0, 3], [0, 4], [4, 5], [4, 6], [4, 7], [7, 8], *([1, k] for k in (9, 10, 11))]
    bonds += [[2, k] for k in (12, 13, 14)]
    numbers = np.array(elements)
    names = tuple(str(k) for k in range(15))
    graph = MolecularGraph(numbers, np.array(bonds), names, ("IBU",) * 15, np.zeros(15, dtype=int))
    assert graph.symmetry_classes[1] == graph.symmetry_classes[2]
    assert graph.stereocentres[:, 0].tolist() == [0]
    assert graph.alike_pairs.tolist() == [[1, 0, 11, 9, 10], [2, 0, 14, 12, 13], [4, 0, 7, 5, 6]]


def test_l_alanine_has_one_handedness_and_its_mirror_image_the_other(graph, reference):
    positions = reference[0]
    names = dict(zip(graph.names[6:16], range(6, 16), strict=True))
    # The CORN rule: seen from HA, CO, R and N run clockwise.
    corn = np.array([[names["CA"], names["C"], names["CB"], names["N"]]])
    assert (signed_volume(positions, corn) > 0).all()
    mirrored = positions * np.array([-1, 1, 1], dtype=np.float32)
    rows = graph.stereocentres
    np.testing.assert_allclose(signed_volume(mirrored, rows), -signed_volume(positions, rows), rtol=1e-6)


def test_signed_volume_of_the_unit_axes_is_one():
    corner = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]) + 5.0
    assert signed_volume(corner, np.array([[0, 1, 2, 3]])) == pytest.approx([1.0])
    assert signed_volume(corner, np.array([[0, 2, 1, 3]])) == pytest.approx([-1.0])


def test_hydrogens_of_the_three_methyls_are_equivalent(graph):
    np.testing.assert_array_equal(graph.equivalent_hydrogens, [[0, 2, 3], [11, 12, 13], [19, 20, 21]])
    for group in graph.equivalent_hydrogens:
        assert len(set(graph.symmetry_classes[group])) == 1
    assert graph.symmetry_classes[0] != graph.symmetry_classes[11]


@pytest.mark.parametrize("name", ["phi", "psi"])
def test_backbone_torsions_are_those_of_mdtraj(name, graph, topology, reference):
    trajectory = mdtraj.Trajectory(reference[0], topology)
    indices, angles = getattr(mdtraj, f"compute_{name}")(trajectory)
    np.testing.assert_array_equal(graph.torsions[name], indices)
    np.testing.assert_allclose(np.cos(dihedral(reference[0], indices) - angles), 1.0, atol=1e-5)


def test_methyl_torsions_turn_about_the_bond_of_each_methyl(graph, topology, reference):
    rows = graph.torsions["methyl"]
    names = [[graph.names[i] for i in row] for row in rows]
    assert [row[:3] for row in names] == [["H1", "CH3", "C"], ["HB1", "CB", "CA"], ["H1", "C", "N"]]
    angles = mdtraj.compute_dihedrals(mdtraj.Trajectory(reference[0], topology), rows)
    np.testing.assert_allclose(np.cos(dihedral(reference[0], rows) - angles), 1.0, atol=1e-5)


def test_both_peptide_bonds_have_an_omega_that_is_trans(graph, reference):
    omega = dihedral(reference[0], graph.torsions["omega"])
    assert omega.shape[1] == 2
    assert (np.abs(omega) > np.radians(120)).all()


@pytest.mark.parametrize("degrees", [-150, -60, 0, 45, 180])
def test_dihedral_has_the_iupac_sign(degrees):
    angle = np.radians(degrees)
    # Looking along +z, the last bond is turned clockwise, which is by +angle from x towards y.
    points = np.array([[1.0, 0, 0], [0, 0, 0], [0, 0, 1], [np.cos(angle), np.sin(angle), 1]])
    value = dihedral(points, np.array([[0, 1, 2, 3]]))
    assert np.cos(value - angle) == pytest.approx([1.0])


def test_bond_cutoff_is_the_papers_factor_times_the_covalent_radii():
    # RDKit: C 0.76, H 0.31 Angstrom.
    ethane = MolecularGraph(np.array([6, 1]), np.array([[0, 1]]), ("C", "H"), ("M", "M"), np.zeros(2, dtype=int))
    np.testing.assert_allclose(ethane.bond_cutoffs, 1.3 * np.array([[0.152, 0.107], [0.107, 0.062]]))


def methanol(element=mdtraj.element.oxygen, bonds=((0, 1),)):
    topology = mdtraj.Topology()
    residue = topology.add_residue("MOH", topology.add_chain())
    atoms = [topology.add_atom("C", mdtraj.element.carbon, residue), topology.add_atom("O", element, residue)]
    for i, j in bonds:
        topology.add_bond(atoms[i], atoms[j])
    return topology


def test_atom_without_element_is_refused():
    with pytest.raises(TopologyMismatchError, match=r"atom 1 \(MOH O\) and 0 more have no element or no bond"):
        MolecularGraph.from_topology(methanol(element=mdtraj.element.virtual))


def test_atom_without_bond_is_refused():
    with pytest.raises(TopologyMismatchError, match=r"atom 0 \(MOH C\) and 1 more .* CONECT"):
        MolecularGraph.from_topology(methanol(bonds=()))
