"""bind_protein: atoms, ids, states, ends and weights of the molecule behind beads."""

import itertools
import logging
import pickle
import sys
import tracemalloc

import numpy as np
import pytest
from proteinbeads import CRYSTAL, beads, heavy_positions, helix, rows_of

from openmm_cgvae.binding.beadfiles import read_pdb
from openmm_cgvae.binding.protein import bind_protein
from openmm_cgvae.chemistry.aminoacids.residues import HEAVY_ATOMS, RESIDUE_NAMES, VARIANT_TYPES
from openmm_cgvae.core.errors import SettingsError

ALL = list(RESIDUE_NAMES)


@pytest.fixture(scope="module")
def amber14():
    from openmm import app

    return app.ForceField("amber14-all.xml")


@pytest.fixture(scope="module")
def crystal():
    """Heavy atoms of a real protein."""
    return read_pdb(CRYSTAL)


@pytest.fixture(scope="module")
def alphas(crystal):
    """Its C-alpha."""
    return rows_of(crystal, [i for i, name in enumerate(crystal.names) if name == "CA"])


def names(protein, residue):
    return [a.name for a in list(protein.topology.residues())[residue].atoms()]


def every_variant():
    record = beads(["ALA", *VARIANT_TYPES, "CYX", "ALA"])
    protein = bind_protein(record, disulfides=[[i for i, n in enumerate(record.residue_names) if n == "CYX"]])
    assert set(protein.variants) == set(VARIANT_TYPES)
    return protein


def test_amber14_takes_every_variant(amber14):
    protein = every_variant()
    assert amber14.createSystem(protein.topology).getNumParticles() == protein.n_atoms


@pytest.mark.parametrize("termini", ["charged", "capped", ("capped", "charged")])
def test_amber14_takes_the_ends(termini, amber14):
    for first in [*RESIDUE_NAMES, "HID", "HIP"]:
        amber14.createSystem(bind_protein(beads([first, "GLY", first]), termini=termini).topology)


# OpenMM looks for a patch of every end for seconds.
@pytest.mark.slow
def test_charmm36_takes_every_variant_and_the_ends():
    from openmm import app

    charmm36 = app.ForceField("charmm36.xml")
    protein = every_variant()
    assert charmm36.createSystem(protein.topology).getNumParticles() == protein.n_atoms
    for termini, first in [(("neutral", "charged"), "ASP"), ("capped", "PRO")]:
        protein = bind_protein(beads([first, "SER", first]), termini=termini, caps="merged")
        charmm36.createSystem(protein.topology)


def test_atoms_have_pdb_names_heavy_before_hydrogens():
    protein = bind_protein(beads(["SER", "GLY", "THR"]))
    assert names(protein, 0) == ["N", "CA", "C", "O", "CB", "OG", "H", "H2", "H3", "HA", "HB2", "HB3", "HG"]
    assert names(protein, 1) == ["N", "CA", "C", "O", "H", "HA2", "HA3"]
    assert names(protein, 2)[:8] == ["N", "CA", "C", "O", "CB", "OG1", "CG2", "OXT"]


def test_output_is_read_back_by_openmm_with_the_same_bonds(tmp_path, amber14):
    from openmm import app

    record = beads(ALL + ALL, positions=np.concatenate([helix(20), helix(20) + 5.0]), molecules=[0] * 20 + [1] * 20)
    protein = bind_protein(record, termini="capped")
    path = tmp_path / "all.pdb"
    with open(path, "w") as file:
        app.PDBFile.writeFile(
            protein.topology, np.random.default_rng(0).random((protein.n_atoms, 3)), file, keepIds=True
        )
    read = app.PDBFile(str(path)).topology
    assert {tuple(sorted((a.index, b.index))) for a, b in read.bonds()} == {
        tuple(sorted(b)) for b in protein.bonds.tolist()
    }
    assert [a.name for a in read.atoms()] == [a.name for a in protein.topology.atoms()]
    amber14.createSystem(read)


def test_ids_of_chains_and_residues_are_kept():
    record = beads(["ALA"] * 6, numbers=[5, 6, 6, 7, 1, 2], insertions=["", "", "A", "", "", ""], chains="BBBBCC")
    protein = bind_protein(record)
    residues = list(protein.topology.residues())
    assert [(r.chain.id, r.id, r.insertionCode) for r in residues] == [
        ("B", "5", ""), ("B", "6", ""), ("B", "6", "A"), ("B", "7", ""), ("C", "1", ""), ("C", "2", ""),
    ]  # fmt: skip
    assert protein.connected.tolist() == [False, True, True, True, False, True]


def test_heavy_atoms_name_their_residue_and_slot():
    protein = bind_protein(beads(ALL), termini="capped")
    atoms = list(protein.topology.atoms())
    for atom, residue, slot in zip(protein.heavy_atoms, protein.heavy_residue, protein.heavy_slot, strict=True):
        assert atoms[atom].name == HEAVY_ATOMS[protein.residue_types[residue]][slot]
        # The cap in front is residue 0 of the topology.
        assert atoms[atom].residue.index == residue + 1
    assert len(protein.heavy_atoms) == sum(len(names) for names in HEAVY_ATOMS)


def test_references_are_placed_before_what_they_place():
    protein = bind_protein(beads(["PRO", *ALL]), termini="capped")
    rows = protein.placements
    level = np.full(protein.n_atoms, 99)
    level[protein.heavy_atoms] = -1
    level[rows.atoms] = rows.level
    assert (level[rows.references].max(axis=1) < rows.level).all()
    assert (np.diff(rows.level) >= 0).all()
    assert sorted([*rows.atoms, *protein.heavy_atoms]) == list(range(protein.n_atoms))


def test_caps_of_the_beads_are_kept_and_their_beads_ignored():
    protein = bind_protein(beads(["ACE", "ALA", "GLY", "NMA"], numbers=[0, 1, 2, 3]))
    assert [r.name for r in protein.topology.residues()] == ["ACE", "ALA", "GLY", "NME"]
    assert protein.bead_rows.tolist() == [1, 2]
    assert protein.ignored == {"caps, placed by geometry": [0, 3]}
    assert [r.name for r in bind_protein(beads(["ALA", "GLY", "NH2"])).topology.residues()] == ["ALA", "GLY", "NH2"]
    # A cap ends its chain, whatever the numbers say.
    record = beads(["ALA", "GLY", "NME", "ACE", "SER", "ALA"], positions=None)
    assert bind_protein(record).connected.tolist() == [False, True, False, True]


def test_merged_caps_are_atoms_of_the_residue_they_cap():
    separate = bind_protein(beads(["PRO", "GLY", "ALA"]), termini="capped")
    merged = bind_protein(beads(["PRO", "GLY", "ALA"]), termini="capped", caps="merged")
    residues = list(merged.topology.residues())
    assert [(r.name, r.id) for r in residues] == [("PRO", "1"), ("GLY", "2"), ("ALA", "3")]
    for residue in residues:
        assert len({a.name for a in residue.atoms()}) == len(list(residue.atoms()))
    assert [a.name for a in residues[0].atoms()][:4] == ["CY", "OY", "CAY", "HY1"]
    assert [a.name for a in residues[2].atoms()][-6:] == ["NT", "CAT", "HNT", "HT1", "HT2", "HT3"]
    np.testing.assert_array_equal(merged.bonds, separate.bonds)


def test_proteins_can_be_sent_to_other_processes():
    protein = pickle.loads(pickle.dumps(bind_protein(beads(["ALA", "GLY"]))))
    assert protein.topology.getNumAtoms() == protein.n_atoms


def test_breaks_have_ends_of_their_own():
    protein = bind_protein(beads(["ALA"] * 4, positions=None, numbers=[1, 2, 8, 9]), termini="charged")
    assert protein.connected.tolist() == [False, True, False, True]
    assert [("OXT" in names(protein, i), "H3" in names(protein, i)) for i in range(4)] == [
        (False, True), (True, False), (False, True), (True, False),
    ]  # fmt: skip
    # A reader bonds nothing across the end of a chain.
    assert protein.topology.getNumChains() == 2
    assert {c.id for c in protein.topology.chains()} == {"A"}


def test_states_follow_names_then_what_is_given():
    record = beads(["HIS", "HSD", "HSP", "ASPP", "LSN", "GLU", "MSE", "NALA", "CYM"])
    assert bind_protein(record).variants == ("HIE", "HID", "HIP", "ASH", "LYN", "GLU", "MET", "ALA", "CYM")
    given = bind_protein(record, histidine="HID", protonation={1: "HIP", "A:6": "GLH"})
    assert given.variants == ("HID", "HIP", "HIP", "ASH", "LYN", "GLH", "MET", "ALA", "CYM")
    assert "HE2" in names(given, 5)
    # The name in files is the PDB's.
    assert [r.name for r in given.topology.residues()][:4] == ["HIS", "HIS", "HIS", "ASP"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"histidine": "HIS"}, "HID, HIE, HIP"),
        ({"protonation": {0: "GLH"}}, "ALA 1: 'GLH' given"),
        ({"protonation": {"B:1": "ALA"}}, "none of 3 residues"),
        ({"protonation": {7: "ALA"}}, "residue 7 given"),
        ({"termini": "zwitterion"}, "charged, neutral, capped"),
        ({"disulfides": [(0, 1)]}, "ALA 1 listed"),
        ({"disulfides": "all"}, "'all' given"),
        ({"breaks": "here"}, "'here' given"),
        ({"caps": "none"}, "'none' given"),
        ({"unknown": "ignore"}, "'ignore' given"),
        ({"protonation": {1: "CYX"}}, "CYX for what is in a disulfide bond"),
    ],
)
def test_options_that_name_nothing_are_refused(options, message):
    with pytest.raises(SettingsError, match=message):
        bind_protein(beads(["ALA", "CYS", "GLY"]), **options)


def test_disulfides_of_a_crystal_are_found_from_its_alpha_carbons(alphas, crystal, caplog):
    sulphur = {int(crystal.residues[i]): crystal.positions[i] for i, n in enumerate(crystal.names) if n == "SG"}
    true = {(i, j) for i in sulphur for j in sulphur if i < j and np.linalg.norm(sulphur[i] - sulphur[j]) < 0.25}
    with caplog.at_level(logging.INFO):
        protein = bind_protein(alphas)
    found = {tuple(pair) for pair in protein.disulfides.tolist()}
    # Of all crystals, C-alpha tell 93 % of bonds, and 9 % that are none.
    assert found == true
    assert "disulfide bonds by distance" in caplog.text
    assert [protein.variants[i] for pair in protein.disulfides for i in pair] == ["CYX"] * 2 * len(found)
    assert len(bind_protein(alphas, disulfides=None).disulfides) == 0
    pair = sorted(sulphur)[:2]
    assert bind_protein(alphas, disulfides=[pair]).disulfides.tolist() == [pair]


def test_disulfide_bonds_are_in_topology_and_force_field(amber14):
    protein = bind_protein(beads(["GLY", "CYS", "GLY", "GLY", "CYS", "GLY"]), disulfides=[("A:2", "A:5")])
    bonds = {frozenset((a.name, b.name)) for a, b in protein.topology.bonds()}
    assert frozenset(("SG",)) in bonds
    assert "HG" not in names(protein, 1)
    amber14.createSystem(protein.topology)


@pytest.mark.parametrize("mapping", ["ca", "com"])
def test_disulfides_of_insulin_are_found_from_one_bead_a_residue(mapping):
    atoms = read_pdb(CRYSTAL.with_name("3i40_aa.pdb"))
    alphas = rows_of(atoms, [i for i, name in enumerate(atoms.names) if name == "CA"])
    unbonded = bind_protein(alphas, mapping=mapping, disulfides=None)
    beads = unbonded.project(heavy_positions(unbonded, atoms))
    assert bind_protein(alphas, beads, mapping).disulfides.tolist() == [[5, 10], [6, 27], [19, 39]]


@pytest.mark.parametrize("mapping", ["ca", "com"])
def test_weights_are_the_mapping(mapping, alphas, crystal):
    protein = bind_protein(alphas, mapping=mapping)
    positions = heavy_positions(protein, crystal)
    found = protein.project(positions)
    if mapping == "ca":
        np.testing.assert_array_equal(found, alphas.positions)
    else:
        masses = {"C": 12.011, "N": 14.007, "O": 15.999, "S": 32.06}
        first = [i for i, r in enumerate(crystal.residues) if r == 0]
        weights = np.array([masses[crystal.names[i][0]] for i in first])
        np.testing.assert_allclose(found[0], weights @ crystal.positions[first] / weights.sum(), atol=1e-12)
    np.testing.assert_allclose(protein.project(np.ones((protein.n_atoms, 3))), 1.0)
    assert protein.project(np.stack([positions, positions])).shape == (2, 78, 3)


def test_kept_residues_keep_their_beads():
    record = beads(["ALA", "GLY", "LIG", "POPC"], names=["CA", "CA", "B1", "PO4"], positions=None, numbers=[1, 2, 1, 9])
    kept = bind_protein(record, unknown="keep")
    atoms = list(kept.topology.atoms())
    assert [(atoms[a].name, atoms[a].residue.name, atoms[a].element) for a, _ in kept.kept] == [
        ("B1", "LIG", None), ("PO4", "POPC", None),
    ]  # fmt: skip
    assert kept.kept[:, 1].tolist() == [2, 3]
    assert kept.n_atoms == len(atoms)
    dropped = bind_protein(record, unknown="drop")
    assert dropped.ignored == {"residues that are no amino acids": [2, 3]}
    assert dropped.n_atoms == kept.n_atoms - 2


def test_calls_and_memory_are_linear_in_residues():
    """Counted, since seconds depend on what else runs."""
    costs = []
    for n in (2000, 10000):
        record = beads((ALL * 500)[:n], numbers=np.arange(1, n + 1))
        calls = itertools.count()
        tracemalloc.start()
        sys.setprofile(lambda frame, event, argument, calls=calls: next(calls))
        try:
            protein = bind_protein(record)
        finally:
            sys.setprofile(None)
            memory = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        costs.append((next(calls), memory))
        assert (protein.n_residues, protein.topology.getNumAtoms()) == (n, protein.n_atoms)
    (calls, memory), (more_calls, more_memory) = costs
    assert more_calls < 6 * calls
    assert more_memory < 6 * memory
