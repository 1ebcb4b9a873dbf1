import itertools
import json
import tracemalloc

import mdtraj
import numpy as np
import pytest
from openmm import unit

from openmm_cgvae.atomistic.restrained import bead_springs
from openmm_cgvae.core.errors import MappingError, OutputError, PositionsError, TopologyMismatchError
from openmm_cgvae.molecule.mapping import CGMapping, alpha_carbon_mapping, custom_mapping, residue_mapping


def chain_of(symbols, residues=None):
    """One atom a symbol along a chain, named by symbol and number."""
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    atoms = []
    for k, symbol in enumerate(symbols):
        residue = topology.add_residue(residues[k] if residues else "MOL", chain)
        atoms.append(topology.add_atom(f"{symbol}{k}", mdtraj.element.Element.getBySymbol(symbol), residue))
    for pair in itertools.pairwise(atoms):
        topology.add_bond(*pair)
    return topology


@pytest.fixture
def toy():
    """The paper's example C.2: atoms 1, 2, 3 in a bead, atom 4 in another."""
    return CGMapping(chain_of("CCCC"), [[0, 1, 2], [3]])


def peptide(*residues):
    """Chains of residues, each a list of atom names (elements are their first letters)."""
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for name, atoms in residues:
        residue = topology.add_residue(name, chain)
        for atom in atoms:
            topology.add_atom(atom, mdtraj.element.Element.getBySymbol(atom[0]), residue)
    return topology


def test_matrix_is_the_papers_toy_example(toy):
    np.testing.assert_allclose(toy.matrix, [[1 / 3, 1 / 3, 1 / 3, 0], [0, 0, 0, 1]], rtol=1e-15)


def test_zero_weights_give_the_papers_second_matrix():
    mapping = CGMapping(chain_of("CCCC"), [[0, 1, 2], [3]], weights=[0, 1, 0, 1])
    np.testing.assert_array_equal(mapping.matrix, [[0, 1, 0, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize("weights", [None, [12, 1, 16, 1], [0, 1, 0, 16]])
def test_sums_and_shares_are_products_with_the_matrix(weights):
    mapping = CGMapping(chain_of("CCCC"), [[3, 0], [2, 1]], weights)
    atoms, beads = np.random.default_rng(0).normal(size=(5, 4, 3)), np.random.default_rng(1).normal(size=(5, 2, 3))
    np.testing.assert_allclose(mapping.weighted_sums(atoms), mapping.matrix @ atoms, atol=1e-15)
    np.testing.assert_allclose(mapping.shared_out(beads), mapping.matrix.T @ beads, atol=1e-15)
    np.testing.assert_array_equal(mapping.sparse.toarray(), mapping.matrix)


def test_memory_of_a_projection_is_linear_in_the_atoms():
    n = 20_000
    mapping = CGMapping(chain_of("C" * n), np.arange(n).reshape(-1, 4))
    positions = np.random.default_rng(0).normal(size=(1, n, 3))
    tracemalloc.start()
    beads = mapping.project(positions)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(beads, positions.reshape(1, -1, 4, 3).mean(2), atol=1e-14)
    # Dense, M alone would be 800 MB.
    assert peak < 20e6


def test_lift_is_the_papers_m_plus(toy):
    beads = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    np.testing.assert_array_equal(toy.lift(beads), [[1, 2, 3], [1, 2, 3], [1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize("weights", [[1, 1, 1, 1], [12, 1, 16, 1], [0, 1, 1, 0]])
def test_projection_undoes_lift_for_any_weights(weights):
    mapping = CGMapping(chain_of("CCCC"), [[0, 2], [3, 1]], weights)
    beads = np.random.default_rng(0).normal(size=(5, 2, 3))
    np.testing.assert_allclose(mapping.project(mapping.lift(beads)), beads, rtol=0, atol=1e-15)


def test_geometric_projection_by_hand(toy):
    positions = np.array([[0.0, 0, 0], [3.0, 0, 0], [0.0, 6.0, 0], [7.0, 8.0, 9.0]])
    np.testing.assert_allclose(toy.project(positions), [[1, 2, 0], [7, 8, 9]], atol=1e-15)


def test_mass_projection_by_hand():
    mapping = custom_mapping(chain_of("CO"), [[0, 1]], "mass")
    carbon, oxygen = 12.01078, 15.99943
    beads = mapping.project(np.array([[0.0, 0, 0], [1.0, 0, 0]]))
    np.testing.assert_allclose(beads, [[oxygen / (carbon + oxygen), 0, 0]], rtol=1e-12)
    np.testing.assert_allclose(mapping.masses, [carbon + oxygen], rtol=1e-12)


def test_masses_count_atoms_of_weight_zero():
    mapping = CGMapping(chain_of("CH"), [[0, 1]], weights=[1, 0])
    np.testing.assert_allclose(mapping.masses, [12.01078 + 1.007947], rtol=1e-12)


def test_weights_count_within_their_bead_only():
    positions = np.random.default_rng(1).normal(size=(4, 3))
    one = CGMapping(chain_of("CCCC"), [[0, 1], [2, 3]], [1, 3, 1, 1]).project(positions)
    two = CGMapping(chain_of("CCCC"), [[0, 1], [2, 3]], [10, 30, 1, 1]).project(positions)
    np.testing.assert_allclose(one, two, atol=1e-15)


def test_float32_keeps_its_digits_far_from_the_origin():
    n = 1000
    mapping = CGMapping(chain_of("C" * n), [range(n)])
    # Multiples of 2^-10 are exact at 1000 nm in float32; their mean is too.
    offsets = (np.arange(n) % 2 * 2.0 - 1.0)[:, None] * 2.0**-10
    positions = (1000.0 + np.repeat(offsets, 3, axis=1)).astype(np.float32)
    beads = mapping.project(positions)
    assert beads.dtype == np.float32
    np.testing.assert_allclose(beads, 1000.0, rtol=0, atol=2.0**-14)


def test_quantities_are_converted_and_numbers_are_nm(toy):
    positions = np.random.default_rng(2).normal(size=(3, 4, 3))
    expected = toy.project(positions)
    np.testing.assert_allclose(toy.project(10 * positions * unit.angstrom), expected, atol=1e-14)
    np.testing.assert_allclose(toy.lift(10 * expected * unit.angstrom), toy.lift(expected), atol=1e-14)


def test_one_frame_stays_one_frame(toy):
    positions = np.zeros((4, 3))
    assert toy.project(positions).shape == (2, 3)
    assert toy.project(positions * unit.nanometer).shape == (2, 3)
    assert toy.project([unit.Quantity(row, unit.nanometer) for row in positions]).shape == (2, 3)
    assert toy.project(positions[None]).shape == (1, 2, 3)
    assert toy.lift(np.zeros((2, 3))).shape == (4, 3)
    assert toy.lift(np.zeros((1, 2, 3))).shape == (1, 4, 3)


def test_positions_of_another_molecule_are_refused(toy):
    with pytest.raises(PositionsError, match=r"shape \(5, 3\) given, \(4, 3\)"):
        toy.project(np.zeros((5, 3)))


def test_saved_mapping_loads_as_the_same(five_beads, tmp_path, reference):
    five_beads.save(tmp_path / "mapping.json")
    loaded = CGMapping.load(tmp_path / "mapping.json")
    assert loaded == five_beads
    np.testing.assert_array_equal(loaded.project(reference[0]), five_beads.project(reference[0]))
    loaded.check_topology(five_beads.topology)


def test_mappings_that_differ_in_weights_or_names_are_unequal(toy):
    topology = toy.topology
    assert toy == CGMapping(topology, toy.beads)
    assert toy != CGMapping(topology, toy.beads, weights=[1, 1, 1, 2])
    assert toy != CGMapping(topology, toy.beads, names=["A", "B"])


def test_saving_into_a_missing_folder_is_refused(toy, tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        toy.save(tmp_path / "missing" / "mapping.json")


def test_residue_mapping_puts_a_bead_on_every_residue(mapping):
    assert mapping.beads == (tuple(range(6)), tuple(range(6, 16)), tuple(range(16, 22)))
    assert mapping.names == ("ACE", "ALA", "NME")
    np.testing.assert_array_equal(mapping.bead_bonds, [[0, 1], [1, 2]])


def test_cg_topology_is_bonded_and_named_as_the_molecule(mapping):
    topology = mapping.cg_topology()
    assert [atom.name for atom in topology.atoms()] == ["ACE", "ALA", "NME"]
    assert [atom.element for atom in topology.atoms()] == [None] * 3
    assert [residue.name for residue in topology.residues()] == ["ACE", "ALA", "NME"]
    assert [(a.index, b.index) for a, b in topology.bonds()] == [(0, 1), (1, 2)]


def test_cg_bonds_join_beads_not_atoms_of_a_bead():
    ring = chain_of("CCCCCC")
    ring.add_bond(ring.atom(0), ring.atom(5))
    mapping = CGMapping(ring, [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(mapping.bead_bonds, [[0, 1], [0, 2], [1, 2]])


def test_keys_of_a_dict_name_the_beads():
    mapping = custom_mapping(chain_of("CCC"), {"head": [0], "tail": [1, 2]})
    assert mapping.names == ("head", "tail")
    assert mapping.beads == ((0,), (1, 2))


def test_openmm_and_mdtraj_topologies_give_the_same_mapping(topology, mapping):
    assert residue_mapping(topology.to_openmm()) == mapping


def test_alpha_carbons_carry_their_residue_and_the_caps():
    atoms = ["N", "CA", "C", "O"]
    topology = peptide(("ACE", ["CH3", "C", "O"]), ("ALA", atoms), ("GLY", atoms), ("NME", ["N", "C"]))
    mapping = alpha_carbon_mapping(topology)
    assert mapping.beads == (tuple(range(7)), tuple(range(7, 13)))
    assert mapping.names == ("ALA", "GLY")
    positions = np.random.default_rng(3).normal(size=(13, 3))
    np.testing.assert_allclose(mapping.project(positions), positions[[4, 8]], rtol=0, atol=1e-15)


def test_calcium_is_no_alpha_carbon():
    topology = peptide(("ALA", ["N", "CA", "C"]))
    ion = topology.add_residue("CA", topology.add_chain())
    topology.add_atom("CA", mdtraj.element.calcium, ion)
    with pytest.raises(MappingError, match="chain 1 has no alpha carbon"):
        alpha_carbon_mapping(topology)


def test_chain_without_alpha_carbon_is_refused():
    with pytest.raises(MappingError, match="chain 0 has no alpha carbon"):
        alpha_carbon_mapping(peptide(("ACE", ["CH3", "C"]), ("NME", ["N", "C"])))


@pytest.mark.parametrize(
    ("beads", "options", "message"),
    [
        ([[0, 1], [1, 2, 3]], {}, "atom 1 is in bead 0 and in bead 1"),
        ([[0, 0, 1], [2, 3]], {}, "atom 0 is in bead 0 and in bead 0"),
        ([[0, 1, 2, 3], []], {}, r"bead 1 \(B2\) is empty"),
        ([], {}, "no bead given"),
        ([[0, 1], [2, 3, 4]], {}, r"bead 1 \(B2\) names atom 4: indices from 0 to 3"),
        ([[0, 1, 2], [-1]], {}, r"bead 1 \(B2\) names atom -1"),
        ([[0, 1], [2]], {}, "atom 3 and 0 more are in no bead"),
        ([[0, 1], [2, 3]], {"weights": [1, 1, 0, 0]}, r"all weights of bead 1 \(B2\) are 0"),
        ([[0, 1], [2, 3]], {"weights": [1, -1, 1, 1]}, "negative or not finite"),
        ([[0, 1], [2, 3]], {"weights": [1, np.nan, 1, 1]}, "negative or not finite"),
        ([[0, 1], [2, 3]], {"weights": [1, np.inf, 1, 1]}, "negative or not finite"),
        ([[0, 1], [2, 3]], {"weights": [1, 1]}, r"shape \(2,\) given, \(4,\)"),
        ([[0, 1], [2, 3]], {"names": ["A"]}, "1 bead names given for 2 beads"),
    ],
)
def test_impossible_mappings_are_refused(beads, options, message):
    with pytest.raises(MappingError, match=message):
        CGMapping(chain_of("CCCC"), beads, **options)


def test_unknown_weights_are_refused():
    with pytest.raises(MappingError, match="'masses' given: 'geometric', 'mass'"):
        residue_mapping(chain_of("CC"), "masses")


def test_own_topology_is_accepted_in_either_kind(mapping, topology):
    mapping.check_topology(topology)
    mapping.check_topology(mapping.topology)


def test_topology_of_another_size_is_refused(mapping):
    with pytest.raises(TopologyMismatchError, match=r"of 4 atoms given, .* molecule of 22 atoms"):
        mapping.check_topology(chain_of("CCCC"))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (chain_of("CNO"), "atom 1 .* is MOL N1 N, MOL O1 O expected"),
        (chain_of("CON", ["MOL", "ALA", "MOL"]), "atom 1 .* is ALA O1 O, MOL O1 O expected"),
    ],
)
def test_same_size_but_other_atoms_or_order_is_refused(other, message):
    with pytest.raises(TopologyMismatchError, match=message):
        CGMapping(chain_of("CON"), [[0, 1, 2]]).check_topology(other)


def broken(mapping, **changes):
    return json.dumps(mapping.to_dict() | changes)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1, 2]",
        "7",
        "{}",
        '{"beads": 3}',
        pytest.param({"beads": [["a"]]}, id="beads-of-letters"),
        pytest.param({"weights": ["a", "b"]}, id="weights-of-letters"),
        pytest.param({"topology": {"atoms": []}}, id="half-a-topology"),
        pytest.param({"beads": None}, id="no-beads"),
    ],
)
def test_foreign_json_is_refused_as_a_mapping(text, mapping, tmp_path):
    path = tmp_path / "mapping.json"
    path.write_text(broken(mapping, **text) if isinstance(text, dict) else text)
    with pytest.raises(MappingError) as caught:
        CGMapping.load(path)
    assert "\n" not in str(caught.value)


def test_unreadable_mapping_files_are_refused(tmp_path):
    with pytest.raises(MappingError, match="does not exist"):
        CGMapping.load(tmp_path / "missing.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(MappingError, match="is not a mapping"):
        CGMapping.load(tmp_path / "binary.json")


def test_atoms_that_count_for_several_beads_by_hand(topology, reference):
    beads = [[0, 1, 2, 3], list(range(4, 22))]
    shared = [(0, 1, 1.0), (0, 5, 1.0), (1, 5, 1.0), (1, 6, 3.0)]
    mapping = CGMapping(topology, beads, shared=shared)
    x = reference[0][:3].astype(np.float64)
    expected = np.stack([(x[:, 1] + x[:, 5]) / 2, (x[:, 5] + 3 * x[:, 6]) / 4], axis=1)
    np.testing.assert_allclose(mapping.project(x), expected, atol=1e-12)
    np.testing.assert_allclose(mapping.matrix @ x, expected, atol=1e-12)
    np.testing.assert_allclose(mapping.weighted_sums(x), expected, atol=1e-12)
    np.testing.assert_allclose(
        mapping.shared_out(expected), np.einsum("bi,fbc->fic", mapping.matrix, expected), atol=1e-12
    )
    assert bead_springs(mapping, 1.0) == pytest.approx([1 / (0.25 + 0.25), 1 / (1 / 16 + 9 / 16)])
    again = CGMapping.from_dict(json.loads(json.dumps(mapping.to_dict())))
    assert again == mapping
    assert again != CGMapping(topology, beads)
    np.testing.assert_array_equal(again.project(x), mapping.project(x))


@pytest.mark.parametrize(
    "shared",
    [
        [],
        [(0, 1, 1.0)],
        [(0, 1, 1.0), (1, 22, 1.0)],
        [(0, 1, 1.0), (1, 2, -1.0)],
        [(0, 1, 1.0), (0, 1, 1.0), (1, 5, 1.0)],
        [7],
    ],
)
def test_shared_weights_that_cannot_be_are_refused(topology, shared):
    with pytest.raises(MappingError, match="shared weight"):
        CGMapping(topology, [[0, 1, 2, 3], list(range(4, 22))], shared=shared)
