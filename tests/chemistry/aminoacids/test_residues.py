"""The residue library: order of types and slots, chemistry against OpenMM's force field, stereochemistry."""

import json

import numpy as np
import pytest

from openmm_cgvae.chemistry.aminoacids import residues
from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS, HEAVY_ATOMS, RESIDUE_NAMES, VARIANT_TYPES, template

# Types and slots are what weights of trained models are indexed by: the order of the training data.
SLOTS = {
    "A": "N CA C O CB", "R": "N CA C O CB CG CD NE CZ NH1 NH2", "N": "N CA C O CB CG OD1 ND2",
    "D": "N CA C O CB CG OD1 OD2", "C": "N CA C O CB SG", "Q": "N CA C O CB CG CD OE1 NE2",
    "E": "N CA C O CB CG CD OE1 OE2", "G": "N CA C O", "H": "N CA C O CB CG ND1 CD2 CE1 NE2",
    "I": "N CA C O CB CG1 CG2 CD1", "L": "N CA C O CB CG CD1 CD2", "K": "N CA C O CB CG CD CE NZ",
    "M": "N CA C O CB CG SD CE", "F": "N CA C O CB CG CD1 CD2 CE1 CE2 CZ", "P": "N CA C O CB CG CD",
    "S": "N CA C O CB OG", "T": "N CA C O CB OG1 CG2", "W": "N CA C O CB CG CD1 CD2 NE1 CE2 CE3 CZ2 CZ3 CH2",
    "Y": "N CA C O CB CG CD1 CD2 CE1 CE2 CZ OH", "V": "N CA C O CB CG1 CG2",
}  # fmt: skip


def test_types_and_slots_are_those_of_the_training_data():
    assert "".join(SLOTS) == AMINO_ACIDS
    assert [" ".join(names) for names in HEAVY_ATOMS] == list(SLOTS.values())
    assert residues.N_SLOTS == 14


@pytest.fixture(scope="module")
def amber14():
    from openmm import app

    return app.ForceField("amber14-all.xml")


@pytest.mark.parametrize("variant", VARIANT_TYPES)
def test_every_variant_is_the_residue_of_amber14(variant, amber14):
    from openmm import app

    amber = amber14._templates[variant]
    found = template(variant)
    symbols = [app.Element.getByAtomicNumber(int(n)).symbol for n in found.numbers]
    assert sorted(symbols) == sorted(a.element.symbol for a in amber.atoms)
    assert len(found.bonds) == len(amber.bonds)


@pytest.mark.parametrize("variant", VARIANT_TYPES)
@pytest.mark.parametrize("end", ["chain", "charged", "neutral"])
def test_every_atom_has_one_place(variant, end):
    found = template(variant, end, end)
    by_model = np.flatnonzero(found.slots >= 0)
    assert sorted([*by_model, *found.placed]) == list(range(found.n_atoms))
    assert found.slots[by_model].tolist() == list(range(len(HEAVY_ATOMS[found.type])))
    assert len(set(found.atoms)) == found.n_atoms
    # A hydrogen has one bond, and lies by the atom that it is bonded to.
    degree = np.bincount(found.bonds.ravel(), minlength=found.n_atoms)
    assert (degree[found.numbers == 1] == 1).all()
    bonds = {frozenset(pair) for pair in found.bonds.tolist()}
    for atom, origin, other in zip(found.placed, found.reference[:, 0], found.reference_residue[:, 0], strict=True):
        assert other == 0
        assert frozenset((int(atom), int(origin))) in bonds


@pytest.mark.parametrize("name", ["ACE", "ACE:PRO", "NME", "NH2"])
def test_caps_are_placed_whole(name):
    found = template(name)
    assert found.type == -1
    assert sorted(found.placed) == list(range(found.n_atoms))


def test_chi_follow_the_side_chain():
    names = {
        RESIDUE_NAMES[kind]: [[HEAVY_ATOMS[kind][i] for i in row] for row in rows if row[0] >= 0]
        for kind, rows in enumerate(residues.chi_slots())
    }
    assert names["ALA"] == names["GLY"] == []
    assert [row[-1] for row in names["LYS"]] == ["CG", "CD", "CE", "NZ"]
    assert names["ILE"] == [["N", "CA", "CB", "CG1"], ["CA", "CB", "CG1", "CD1"]]
    assert names["TRP"] == [["N", "CA", "CB", "CG"], ["CA", "CB", "CG", "CD1"]]
    assert [row[-1] for row in names["ARG"]] == ["CG", "CD", "NE", "CZ", "NH1"]
    assert names["THR"] == [["N", "CA", "CB", "OG1"]]


def test_exchanged_slots_are_those_of_equivalent_atoms():
    moved = {
        RESIDUE_NAMES[kind]: {HEAVY_ATOMS[kind][i] for i in np.flatnonzero(row != np.arange(14))}
        for kind, row in enumerate(residues.exchanged_slots())
    }
    assert {name: atoms for name, atoms in moved.items() if atoms} == {
        "ARG": {"NH1", "NH2"},
        "ASP": {"OD1", "OD2"},
        "GLU": {"OE1", "OE2"},
        "PHE": {"CD1", "CD2", "CE1", "CE2"},
        "TYR": {"CD1", "CD2", "CE1", "CE2"},
    }


def test_stereocentres_are_of_l_amino_acids():
    rows = residues.stereo_slots()
    assert [RESIDUE_NAMES[k] for k, c, *_ in rows if c == 1] == [n for n in RESIDUE_NAMES if n != "GLY"]
    # (N - CA) x (C - CA) . (CB - CA) is positive in L-amino acids.
    assert all(row[2:].tolist() == [0, 2, 4] for row in rows if row[1] == 1)
    others = {(RESIDUE_NAMES[k], *(HEAVY_ATOMS[k][i] for i in row)) for k, *row in rows if row[0] != 1}
    # (2S,3S)-isoleucine and (2S,3R)-threonine, as checked against 151,000 residues of crystal structures.
    assert others == {("ILE", "CB", "CA", "CG1", "CG2"), ("THR", "CB", "CA", "OG1", "CG2")}
    prochiral = {(RESIDUE_NAMES[k], *(HEAVY_ATOMS[k][i] for i in row)) for k, *row in residues.stereo_slots(True)}
    assert prochiral == {("VAL", "CB", "CA", "CG2", "CG1"), ("LEU", "CG", "CB", "CD2", "CD1")}


def test_hydrogens_two_and_three_follow_the_iupac_rule():
    """Seen from the atom nearer to the main chain, the outer heavy atom, H2 and H3 are clockwise; GLY HA2 is pro-R."""
    for name, second, third in [("LYS", "HB2", "HB3"), ("LYS", "HE2", "HE3"), ("GLY", "HA2", "HA3")]:
        found = template(name)
        rows = {found.atoms[a]: z for a, z in zip(found.placed, found.local[:, 2], strict=True)}
        assert rows[second] < 0 < rows[third]


def test_library_is_what_its_command_writes(tmp_path):
    from openmm_cgvae.chemistry.aminoacids.residuedata import PATH, write_residues

    written = json.loads(write_residues(tmp_path / "residues.json").read_text())
    stored = json.loads(PATH.read_text())

    def compare(a, b):
        assert type(a) is type(b)
        if isinstance(a, dict):
            assert a.keys() == b.keys()
            for key in a:
                compare(a[key], b[key])
        elif isinstance(a, list):
            assert len(a) == len(b)
            for left, right in zip(a, b, strict=True):
                compare(left, right)
        elif isinstance(a, float):
            # Other builds round elsewhere; conformers of the start leave angles a little different.
            assert a == pytest.approx(b, abs=10.01 if abs(b) >= 1 else 2e-3)
        else:
            assert a == b

    compare(written, stored)
