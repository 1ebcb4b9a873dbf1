"""What a heavy-atom residue looks like in crystals: bonds, angles, rings, side-chain torsions, and their spread.

An atom is (residue, slot), types and slots as in `openmm_cgvae.chemistry.aminoacids.residues`. The values are measured
on crystal chains by `openmm_cgvae.preparation.shapesurvey.measure_shapes` and stored in ``residueshapes.npz``; what
follows from the bonds alone is derived here.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS, HEAVY_ATOMS, N_SLOTS, chi_slots, exchanged_slots

__all__ = ["ResidueShapes", "pick", "present_slots", "residue_shapes"]

N, CA, C, O, CB = range(5)  # noqa: E741
# That of cysteine.
SULFUR = 5
CYSTEINE, PROLINE = AMINO_ACIDS.index("C"), AMINO_ACIDS.index("P")
FILE = Path(__file__).with_name("residueshapes.npz")
_PRESENT = np.arange(N_SLOTS) < np.array([len(names) for names in HEAVY_ATOMS])[:, None]
# Types whose chi2 repeats after half a turn: it ends in an atom that has an equivalent one.
_CHI2_END = chi_slots()[:, 1, 3]
HALF_TURN_CHI2 = (_CHI2_END >= 0) & (exchanged_slots()[np.arange(len(AMINO_ACIDS)), _CHI2_END] != _CHI2_END)


@dataclass(frozen=True, eq=False)
class ResidueShapes:
    """Geometry of the 20 residues, padded with -1 (indices) and 1 (spreads) to the size of the largest.

    Attributes
    ----------
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

    @cached_property
    def separations(self):
        """Bonds between two atoms of a residue, shape (20, 14, 14); 99 where a type has no such atoms."""
        return np.stack([_separations(bonds[bonds[:, 0] >= 0]) for bonds in self.bonds])

    @cached_property
    def rings(self):
        """Smallest rings, atoms in bond order: list of (type, tuple of slots)."""
        return [(kind, ring) for kind, bonds in enumerate(self.bonds) for ring in _rings(bonds[bonds[:, 0] >= 0])]


@lru_cache(maxsize=1)
def residue_shapes():
    """The shapes measured on the crystal chains this package ships the table of; `ResidueShapes`."""
    with np.load(FILE, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return ResidueShapes(**{k: v.astype(np.float64 if v.dtype.kind == "f" else np.int64) for k, v in arrays.items()})


def present_slots(types):
    """Which heavy atoms these residues have; bool, shape (N, 14)."""
    return _PRESENT[types]


def pick(atoms, slots):
    """Atoms of each residue by slot: (..., N, 14, 3) and (N, k) or (N, j, k) to (..., N, k, 3) or (..., N, j, k, 3)."""
    residues = np.arange(len(slots)).reshape(-1, *[1] * (slots.ndim - 1))
    return atoms[..., residues, slots, :]


def _separations(bonds):
    """Shortest paths over bonds; shape (14, 14)."""
    steps = np.where(np.eye(N_SLOTS, dtype=bool), 0, 99)
    steps[bonds[:, 0], bonds[:, 1]] = steps[bonds[:, 1], bonds[:, 0]] = 1
    for k in range(N_SLOTS):
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
        path.append(next(s for s in range(N_SLOTS) if steps[path[-1], s] == 1 and steps[s, end] < steps[path[-1], end]))
    return path
