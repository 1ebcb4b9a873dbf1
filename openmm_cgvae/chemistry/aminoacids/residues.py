"""The residue library: atoms, bonds, stereochemistry and hydrogens of amino acids, their variants, termini and caps.

Read from residues.json, which ``python -m openmm_cgvae.chemistry.aminoacids.residuedata`` writes from OpenMM and RDKit.

An amino acid is an integer *type*, its place in `AMINO_ACIDS`. Its heavy atoms have *slots*, their places in
`HEAVY_ATOMS`; N, CA, C and O are slots 0 to 3 of every type. What a model of heavy atoms leaves out, hydrogens, OXT
and caps, is placed: see `Template`.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

__all__ = [
    "AMINO_ACIDS",
    "BACKBONE",
    "CAPS",
    "HEAVY_ATOMS",
    "N_SLOTS",
    "RESIDUE_NAMES",
    "VARIANT_TYPES",
    "Template",
    "chi_slots",
    "exchanged_slots",
    "stereo_slots",
    "template",
]

_LIBRARY = json.loads(Path(__file__).with_name("residues.json").read_text())
_VARIANTS = _LIBRARY["variants"]

# One-letter codes in the order of types.
AMINO_ACIDS = _LIBRARY["order"]
# Variant name (amber14) to type.
VARIANT_TYPES = {name: AMINO_ACIDS.index(entry["letter"]) for name, entry in _VARIANTS.items()}
# First variant of every type: others differ in hydrogens only.
_BY_TYPE = [next(e for e in _VARIANTS.values() if e["letter"] == letter) for letter in AMINO_ACIDS]
# PDB residue name by type.
RESIDUE_NAMES = tuple(entry["name"] for entry in _BY_TYPE)
# Names of heavy atoms by type and slot.
HEAVY_ATOMS = tuple(tuple(name for name, element in entry["atoms"] if element != "H") for entry in _BY_TYPE)
N_SLOTS = max(len(names) for names in HEAVY_ATOMS)
# Caps, residues of their own.
CAPS = ("ACE", "NME", "NH2")
# Atoms that a neighbouring residue may be placed by.
BACKBONE = ("N", "CA", "C", "O", "CD")
_NUMBERS = {"H": 1, "C": 6, "N": 7, "O": 8, "S": 16}


@dataclass(frozen=True)
class Template:
    """One residue in a chain: an amino acid in one protonation state, with or without a terminus, or a cap.

    Atom indices count within the residue. Position of a placed atom: with unit vectors u1, u2 from its first
    reference, the origin, to the two others, x lies along u1 (or along u1 + u2 where symmetric), z along u1 x u2,
    and y = z x x; the atom is at origin + axes^T local. An atom of a rotor is turned about -x by the rotor's angle,
    which is the torsion (third reference, second, first, first atom of the rotor) in radians.

    Parameters
    ----------
    name : str
        PDB residue name.
    type : int
        Amino acid, -1 for a cap.
    atoms : tuple of str
        PDB atom names: heavy atoms in slot order, OXT, hydrogens.
    numbers : numpy.ndarray of int, shape (n,)
        Atomic numbers.
    bonds : numpy.ndarray of int, shape (b, 2)
    slots : numpy.ndarray of int, shape (n,)
        Slot of every heavy atom that a model places, -1 for what is placed by geometry.
    backbone : numpy.ndarray of int, shape (5,)
        Index of N, CA, C, O and CD, -1 where there is none.
    placed : numpy.ndarray of int, shape (p,)
        Atoms placed by geometry, references first.
    reference_residue : numpy.ndarray of int, shape (p, 3)
        -1, 0 or 1: residue before, this, or behind.
    reference : numpy.ndarray of int, shape (p, 3)
        Index of a reference in this residue, place in `BACKBONE` in another.
    symmetric : numpy.ndarray of bool, shape (p,)
    local : numpy.ndarray, shape (p, 3)
        nm.
    rotor : numpy.ndarray of int, shape (p,)
        Rotor of a placed atom, -1 for none.
    wells : tuple of tuple of float
        Preferred torsions of every rotor in radians.
    """

    name: str
    type: int
    atoms: tuple
    numbers: np.ndarray
    bonds: np.ndarray
    slots: np.ndarray
    backbone: np.ndarray
    placed: np.ndarray
    reference_residue: np.ndarray
    reference: np.ndarray
    symmetric: np.ndarray
    local: np.ndarray
    rotor: np.ndarray
    wells: tuple

    @property
    def n_atoms(self):
        return len(self.atoms)


@cache
def template(name, n="chain", c="chain"):
    """Return the `Template` of a variant or a cap.

    Parameters
    ----------
    name : str
        A key of `VARIANT_TYPES` or one of `CAPS`; "ACE:PRO" is the acetyl in front of proline.
    n, c : {"chain", "charged", "neutral"}
        What there is at the nitrogen and behind the carbonyl of an amino acid.
    """
    if name in _LIBRARY["caps"]:
        return _compile(_LIBRARY["caps"][name], [], -1)
    entry = _VARIANTS[name]
    start = _LIBRARY["n_terminus"].get(f"{n}:{name}", _LIBRARY["n_terminus"][n])
    return _compile(entry, [start, _LIBRARY["c_terminus"][c]], VARIANT_TYPES[name])


def _compile(entry, ends, kind):
    parts = [entry, *ends]
    atoms = [atom for part in parts for atom in part["atoms"]]
    own = [name for name, element in entry["atoms"] if element != "H"] if kind >= 0 else []
    # Heavy atoms before hydrogens; hydrogens of the nitrogen before the others, as in PDB files.
    parents = dict(_parent_pairs(parts))
    order = {name: i for i, (name, _) in enumerate(atoms)}
    atoms.sort(key=lambda a: (a[1] == "H", order.get(parents.get(a[0]), 0) if a[1] == "H" else 0))
    names = tuple(name for name, _ in atoms)
    index = {name: i for i, name in enumerate(names)}
    rows = [row for part in parts for row in part["placements"]]
    rotors = [rotor for part in parts for rotor in part["rotors"]]
    turned = {name: k for k, (group, _) in enumerate(rotors) for name in group}
    references = [[_reference(name, index) for name in row[1:4]] for row in rows]
    return Template(
        name=entry["name"],
        type=kind,
        atoms=names,
        numbers=np.array([_NUMBERS[element] for _, element in atoms]),
        bonds=np.array([[index[a], index[b]] for part in parts for a, b in part["bonds"]]),
        slots=np.array([own.index(name) if name in own else -1 for name in names]),
        backbone=np.array([index.get(name, -1) for name in BACKBONE]),
        placed=np.array([index[row[0]] for row in rows], dtype=int),
        reference_residue=np.array(references, dtype=int).reshape(-1, 3, 2)[..., 0],
        reference=np.array(references, dtype=int).reshape(-1, 3, 2)[..., 1],
        symmetric=np.array([row[4] for row in rows], dtype=bool),
        local=np.array([row[5:] for row in rows], dtype=float).reshape(-1, 3),
        rotor=np.array([turned.get(row[0], -1) for row in rows], dtype=int),
        wells=tuple(tuple(np.radians(wells)) for _, wells in rotors),
    )


def _parent_pairs(parts):
    """Hydrogen and the atom it is bonded to."""
    hydrogens = {name for part in parts for name, element in part["atoms"] if element == "H"}
    for part in parts:
        for a, b in part["bonds"]:
            if a in hydrogens or b in hydrogens:
                yield (a, b) if a in hydrogens else (b, a)


def _reference(name, index):
    """Residue offset and atom of a reference written as CA, -C or +N."""
    if name[0] in "+-":
        return (-1 if name[0] == "-" else 1), BACKBONE.index(name[1:])
    return 0, index[name]


@cache
def chi_slots():
    """Slots of the side-chain torsions, shape (20, 5, 4), -1 where a type has fewer."""
    table = np.full((len(AMINO_ACIDS), 5, 4), -1)
    for kind, entry in enumerate(_BY_TYPE):
        for k, names in enumerate(entry["chi"]):
            table[kind, k] = [HEAVY_ATOMS[kind].index(name) for name in names]
    return table


@cache
def exchanged_slots():
    """Slots of every type with equivalent atoms exchanged, shape (20, 14): CD1 and CD2 of PHE; others as they are."""
    table = np.tile(np.arange(N_SLOTS), (len(AMINO_ACIDS), 1))
    for kind, entry in enumerate(_BY_TYPE):
        for pairs in entry["equivalent"]:
            for a, b in pairs:
                if a in HEAVY_ATOMS[kind]:
                    i, j = HEAVY_ATOMS[kind].index(a), HEAVY_ATOMS[kind].index(b)
                    table[kind, i], table[kind, j] = j, i
    return table


@cache
def stereo_slots(prochiral=False):
    """Slots of stereocentres, shape (c, 5): type, centre, and three neighbours that span a positive volume.

    With `prochiral`, the centres of valine and leucine whose alike branches only names tell apart.
    """
    rows = []
    for kind, entry in enumerate(_BY_TYPE):
        for names in entry["prochiral" if prochiral else "stereocentres"]:
            rows.append([kind, *(HEAVY_ATOMS[kind].index(name) for name in names)])
    return np.array(rows)
