"""What a heavy-atom residue looks like in crystals: bonds, angles, rings, side-chain torsions, and their spread.

An atom is (residue, slot), slots in the order ``N CA C O CB ...`` of `ResidueShapes.atom_names`. The values are
measured on crystal chains by `openmm_cgvae.metrics.shapesurvey.measure_shapes` and stored in ``residueshapes.npz``;
what follows from the bonds alone is derived here.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

__all__ = ["RESIDUE_NAMES", "SLOTS", "ResidueShapes", "pick", "residue_shapes"]

N, CA, C, O, CB = range(5)  # noqa: E741
# That of cysteine.
SULFUR = 5
SLOTS = 14
FILE = Path(__file__).with_name("residueshapes.npz")
RESIDUE_NAMES = {
    "A": "ALA", "R": "ARG", "N": "ASN", "D": "ASP", "C": "CYS", "Q": "GLN", "E": "GLU", "G": "GLY", "H": "HIS",
    "I": "ILE", "L": "LEU", "K": "LYS", "M": "MET", "F": "PHE", "P": "PRO", "S": "SER", "T": "THR", "W": "TRP",
    "Y": "TYR", "V": "VAL",
}  # fmt: skip
# Equivalent atoms: which of the two carries which name says nothing of the structure.
EQUIVALENT = {
    "R": [("NH1", "NH2")],
    "D": [("OD1", "OD2")],
    "E": [("OE1", "OE2")],
    "F": [("CD1", "CD2"), ("CE1", "CE2")],
    "Y": [("CD1", "CD2"), ("CE1", "CE2")],
}
HALF_TURN_CHI2 = "FYD"
TORSIONS = 4


@dataclass(frozen=True, eq=False)
class ResidueShapes:
    """Geometry of the 20 residues, padded with -1 (indices) and 1 (spreads) to the size of the largest.

    Attributes
    ----------
    letters : tuple of str
        One-letter codes; a residue type is an index into it.
    atom_names : tuple of tuple of str
        Heavy atoms of each type, by slot.
    bonds : int array, shape (20, b, 2)
        Slots of bonded atoms.
    bond_lengths, bond_spreads : arrays, shape (20, b)
        Mean and standard deviation, Angstrom.
    angles : int array, shape (20, a, 3)
    angle_means, angle_spreads : arrays, shape (20, a)
        Degrees.
    peptide_lengths, peptide_spreads : arrays, shape (2,)
        C-N of the peptide bond, Angstrom; second: before proline.
    link_means, link_spreads : arrays, shape (2, 3)
        Angles CA-C-N, O-C-N, C-N-CA over the peptide bond, degrees; second row: before proline.
    ramachandran : array, shape (5, 72, 72)
        Share of crystal residues in bins of phi, psi no more populated than this one; classes as in
        `openmm_cgvae.metrics.peptides.ramachandran_classes`.
    rotamers : array, shape (20, 36, 36)
        The same of chi1, chi2 (chi1 alone is the first column; chi2 of half a turn fills half the bins).
    """

    letters: tuple
    atom_names: tuple
    bonds: np.ndarray
    bond_lengths: np.ndarray
    bond_spreads: np.ndarray
    angles: np.ndarray
    angle_means: np.ndarray
    angle_spreads: np.ndarray
    peptide_lengths: np.ndarray
    peptide_spreads: np.ndarray
    link_means: np.ndarray
    link_spreads: np.ndarray
    ramachandran: np.ndarray
    rotamers: np.ndarray

    def type_of(self, letter):
        """Index of a one-letter code."""
        return self.letters.index(letter)

    @cached_property
    def present(self):
        """Which slots a type has; bool, shape (20, 14)."""
        return np.arange(SLOTS) < np.array([len(names) for names in self.atom_names])[:, None]

    @cached_property
    def separations(self):
        """Bonds between two atoms of a residue, shape (20, 14, 14); 99 where a type has no such atoms."""
        return np.stack([_separations(bonds[bonds[:, 0] >= 0]) for bonds in self.bonds])

    @cached_property
    def rings(self):
        """Smallest rings, atoms in bond order: list of (type, tuple of slots)."""
        return [(kind, ring) for kind, bonds in enumerate(self.bonds) for ring in _rings(bonds[bonds[:, 0] >= 0])]

    @cached_property
    def torsions(self):
        """Slots of chi1 to chi4, shape (20, 4, 4), -1 where a type has none.

        They follow the first-named branch, and end before rings (but within that of proline) and planar groups.
        """
        return np.stack([self._torsions_of(kind) for kind in range(len(self.letters))])

    @cached_property
    def half_turn(self):
        """Types whose chi2 repeats after half a turn; bool, shape (20,)."""
        return np.array([letter in HALF_TURN_CHI2 for letter in self.letters])

    @cached_property
    def relabelled(self):
        """Slots after the names of equivalent atoms are exchanged; shape (20, 14)."""
        slots = np.tile(np.arange(SLOTS), (len(self.letters), 1))
        for letter, pairs in EQUIVALENT.items():
            kind = self.type_of(letter)
            for pair in pairs:
                one, other = (self.atom_names[kind].index(name) for name in pair)
                slots[kind, [one, other]] = other, one
        return slots

    def _torsions_of(self, kind):
        names = self.atom_names[kind]
        bonds = self.bonds[kind]
        bonded = {tuple(pair) for pair in bonds} | {tuple(pair[::-1]) for pair in bonds}
        ring = {slot for of, slots in self.rings if of == kind for slot in slots}
        path = [N, CA, CB] if len(names) > CB else []
        while path and (ends := [s for s in range(CB, len(names)) if s not in path and (path[-1], s) in bonded]):
            path.append(ends[0])
        rows = np.full((TORSIONS, 4), -1)
        for k in range(min(TORSIONS, len(path) - 3)):
            row = path[k : k + 4]
            if {row[1], row[2]} <= ring and self.letters[kind] != "P":
                break
            rows[k] = row
        return rows


@lru_cache(maxsize=1)
def residue_shapes():
    """The shapes measured on the crystal chains this package ships the table of; `ResidueShapes`."""
    with np.load(FILE, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    arrays = {name: value.astype(np.float64) if value.dtype.kind == "f" else value for name, value in arrays.items()}
    letters, names = arrays.pop("letters"), arrays.pop("atom_names")
    return ResidueShapes(tuple(map(str, letters)), tuple(tuple(str(row).split()) for row in names), **arrays)


def pick(atoms, slots):
    """Atoms of each residue by slot: (..., N, 14, 3) and (N, k) or (N, j, k) to (..., N, k, 3) or (..., N, j, k, 3)."""
    residues = np.arange(len(slots)).reshape(-1, *[1] * (slots.ndim - 1))
    return atoms[..., residues, slots, :]


def _separations(bonds):
    """Shortest paths over bonds; shape (14, 14)."""
    steps = np.where(np.eye(SLOTS, dtype=bool), 0, 99)
    steps[bonds[:, 0], bonds[:, 1]] = steps[bonds[:, 1], bonds[:, 0]] = 1
    for k in range(SLOTS):
        steps = np.minimum(steps, steps[:, k : k + 1] + steps[k : k + 1])
    return np.minimum(steps, 99)


def _rings(bonds):
    """The smallest ring over each bond, each ring once, as tuples of slots in bond order."""
    found = {}
    for bond in bonds:
        others = bonds[(bonds != bond).any(1)]
        path = _shortest_path(others, *bond)
        if path:
            found[frozenset(path)] = tuple(path)
    return list(found.values())


def _shortest_path(bonds, start, end):
    """Slots from start to end over bonds; empty if there is no way."""
    steps = _separations(bonds)
    if steps[start, end] >= 99:
        return []
    path = [int(start)]
    while path[-1] != end:
        path.append(next(s for s in range(SLOTS) if steps[path[-1], s] == 1 and steps[s, end] < steps[path[-1], end]))
    return path


def bends(bonds):
    """Every two bonds that share an atom, as rows of slots (end, middle, end)."""
    pairs = {tuple(map(int, bond)) for bond in bonds} | {tuple(map(int, bond[::-1])) for bond in bonds}
    return [(a, b, c) for (a, b), (d, c) in itertools.product(sorted(pairs), sorted(pairs)) if b == d and a < c]
