import mdtraj
import pytest

from openmm_cgvae.core.errors import MappingError
from openmm_cgvae.molecule.mapping.community import community_mapping

TRIANGLES = [(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5)]


def carbons(n, bonds):
    topology = mdtraj.Topology()
    residue = topology.add_residue("MOL", topology.add_chain())
    atoms = [topology.add_atom(f"C{k}", mdtraj.element.carbon, residue) for k in range(n)]
    for i, j in bonds:
        topology.add_bond(atoms[i], atoms[j])
    return topology


@pytest.fixture
def dumbbell():
    """Two triangles and the bridge 2-3."""
    return carbons(6, [*TRIANGLES, (2, 3)])


def test_dumbbell_splits_at_the_bridge(dumbbell):
    assert community_mapping(dumbbell, 2).beads == ((0, 1, 2), (3, 4, 5))


@pytest.mark.parametrize("bonds", [TRIANGLES[::-1], [(j, i) for i, j in TRIANGLES]])
def test_order_of_the_bonds_does_not_matter(dumbbell, bonds):
    shuffled = carbons(6, [(3, 2), *bonds])
    for n_beads in range(1, 7):
        assert community_mapping(shuffled, n_beads).beads == community_mapping(dumbbell, n_beads).beads


def test_ties_go_to_the_lowest_indices():
    ring = carbons(4, [(2, 3), (3, 0), (0, 1), (1, 2)])
    assert community_mapping(ring, 2).beads == ((0, 3), (1, 2))


@pytest.mark.parametrize("n_beads", [1, 3, 5, 8, 22])
def test_beads_of_a_molecule_are_connected(topology, graph, n_beads):
    mapping = community_mapping(topology, n_beads)
    assert mapping.n_beads == n_beads
    first = [bead[0] for bead in mapping.beads]
    assert first == sorted(first)
    for bead in mapping.beads:
        # A tree, so a connected bead of k atoms holds k - 1 bonds.
        assert sum(i in bead and j in bead for i, j in graph.bonds) == len(bead) - 1


def test_same_call_same_mapping(topology):
    assert community_mapping(topology, 5) == community_mapping(topology, 5)


def test_more_beads_refine_fewer(topology):
    three, five = (community_mapping(topology, n) for n in (3, 5))
    assert all(any(set(small) <= set(large) for large in three.beads) for small in five.beads)


def test_weights_are_those_asked_for(topology):
    assert community_mapping(topology, 3, "mass").weights[1] == pytest.approx(12.011, abs=0.01)


@pytest.mark.parametrize("n_beads", [0, -1, 7, 1.5])
def test_impossible_numbers_of_beads_are_refused(dumbbell, n_beads):
    with pytest.raises(MappingError, match="from 1 to 6"):
        community_mapping(dumbbell, n_beads)


def test_separate_molecules_need_a_bead_each():
    topology = carbons(6, TRIANGLES)
    assert community_mapping(topology, 2).n_beads == 2
    with pytest.raises(MappingError, match="from 2 to 6"):
        community_mapping(topology, 1)


def test_topology_without_bonds_is_refused():
    with pytest.raises(MappingError, match="CONECT"):
        community_mapping(carbons(3, []), 2)
