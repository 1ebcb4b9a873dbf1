"""Levels of side-chain atoms that one torsion rotates, for every amino acid."""

import numpy as np

from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS, HEAVY_ATOMS, N_SLOTS, chi_slots

__all__ = [
    "AMINO_ACIDS",
    "ATOM_NAMES",
    "CHI_ATOMS",
    "LEVELS",
    "N_CHI",
    "N_SLOTS",
    "PROLINE",
    "SYMMETRIC_CHI",
    "level_table",
]

PROLINE = AMINO_ACIDS.index("P")
# The fifth torsion of arginine hardly rotates.
N_CHI = 4
ATOM_NAMES = dict(zip(AMINO_ACIDS, HEAVY_ATOMS, strict=True))
# Names of the four atoms of every side-chain torsion.
CHI_ATOMS = {
    residue: [tuple(names[slot] for slot in four) for four in slots[:N_CHI].tolist() if four[0] >= 0]
    for (residue, names), slots in zip(ATOM_NAMES.items(), chi_slots(), strict=True)
}
# Proline's ring closes at N: its last atom is placed from there, so that no bond accumulates the errors of three.
CHI_ATOMS["P"][1] = ("CB", "CA", "N", "CD")
# Torsions (residue, number from 0) whose two ends are alike: taken modulo 180 degrees.
SYMMETRIC_CHI = (("F", 1), ("Y", 1), ("D", 1), ("E", 2))
# Level 0 is C-beta, level k holds the atoms that chi k rotates; the last is the rigid end of arginine.
LEVELS = 6


def _level(residue: str, name: str) -> int:
    """Level at which a side-chain atom is placed: that of the torsion that turns it."""
    if name == "CB":
        return 0
    if (residue, name) in (("R", "NH1"), ("R", "NH2")):
        return 5
    branch = {"G": 1, "D": 2, "E": 3, "Z": 4}
    level = 4 if (residue, name) == ("R", "CZ") else branch.get(name[1], 2)
    # Rings and the ends of forks are turned as a whole by the last torsion.
    return min(level, len(CHI_ATOMS[residue]))


def level_table():
    """Slots of the atoms of every level and of the three atoms each level is placed from.

    Returns
    -------
    atoms : list of int array, each (20, m)
        Slots of the atoms of a level, -1 where an amino acid has fewer.
    references : int array, shape (levels, 20, 3)
        Slots of the three atoms whose frame a level is placed in.
    """
    atoms, references = [], np.zeros((LEVELS, len(AMINO_ACIDS), 3), dtype=np.int64)
    for level in range(LEVELS):
        rows = []
        for number, residue in enumerate(AMINO_ACIDS):
            names = ATOM_NAMES[residue]
            rows.append([k for k, name in enumerate(names[4:], 4) if _level(residue, name) == level])
            if level == 0:
                chain = ("N", "C", "CA")
            elif level <= len(CHI_ATOMS[residue]):
                chain = CHI_ATOMS[residue][level - 1][:3]
            else:
                chain = ("CD", "NE", "CZ") if residue == "R" else ("N", "C", "CA")
            references[level, number] = [names.index(name) for name in chain]
        width = max(map(len, rows))
        atoms.append(np.array([row + [-1] * (width - len(row)) for row in rows], dtype=np.int64))
    return atoms, references
