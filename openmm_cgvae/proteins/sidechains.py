"""Which atoms a side chain is built from: for every amino acid, levels of atoms that one torsion turns."""

import numpy as np

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

AMINO_ACIDS = "ARNDCQEGHILKMFPSTWYV"
PROLINE = AMINO_ACIDS.index("P")
N_SLOTS = 14
N_CHI = 4
BACKBONE = ("N", "CA", "C", "O")
SIDE_CHAINS = {
    "A": "CB", "R": "CB CG CD NE CZ NH1 NH2", "N": "CB CG OD1 ND2", "D": "CB CG OD1 OD2", "C": "CB SG",
    "Q": "CB CG CD OE1 NE2", "E": "CB CG CD OE1 OE2", "G": "", "H": "CB CG ND1 CD2 CE1 NE2", "I": "CB CG1 CG2 CD1",
    "L": "CB CG CD1 CD2", "K": "CB CG CD CE NZ", "M": "CB CG SD CE", "F": "CB CG CD1 CD2 CE1 CE2 CZ", "P": "CB CG CD",
    "S": "CB OG", "T": "CB OG1 CG2", "W": "CB CG CD1 CD2 NE1 CE2 CE3 CZ2 CZ3 CH2", "Y": "CB CG CD1 CD2 CE1 CE2 CZ OH",
    "V": "CB CG1 CG2",
}  # fmt: skip
ATOM_NAMES = {residue: (*BACKBONE, *names.split()) for residue, names in SIDE_CHAINS.items()}
# The chain of atoms along which the side-chain torsions lie: chi k is that of atoms k to k + 3.
_CHAINS = {
    "R": "N CA CB CG CD NE CZ", "N": "N CA CB CG OD1", "D": "N CA CB CG OD1", "C": "N CA CB SG",
    "Q": "N CA CB CG CD OE1", "E": "N CA CB CG CD OE1", "H": "N CA CB CG ND1", "I": "N CA CB CG1 CD1",
    "L": "N CA CB CG CD1", "K": "N CA CB CG CD CE NZ", "M": "N CA CB CG SD CE", "F": "N CA CB CG CD1",
    "P": "N CA CB CG CD", "S": "N CA CB OG", "T": "N CA CB OG1", "W": "N CA CB CG CD1", "Y": "N CA CB CG CD1",
    "V": "N CA CB CG1",
}  # fmt: skip
CHI_ATOMS = {
    residue: [tuple(names.split()[k : k + 4]) for k in range(len(names.split()) - 3)]
    for residue, names in _CHAINS.items()
}
# The ring closes at N: its last atom is placed from there, so that no bond gathers the errors of three.
CHI_ATOMS["P"][1] = ("CB", "CA", "N", "CD")
# Torsions (residue, number from 0) whose two ends are alike: taken modulo 180 degrees.
SYMMETRIC_CHI = (("F", 1), ("Y", 1), ("D", 1), ("E", 2))
# Level 0 is C-beta, level k what chi k turns; the last is the end of arginine, which nothing turns.
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
            elif level <= len(CHI_ATOMS.get(residue, ())):
                chain = CHI_ATOMS[residue][level - 1][:3]
            else:
                chain = ("CD", "NE", "CZ") if residue == "R" else ("N", "C", "CA")
            references[level, number] = [names.index(name) for name in chain]
        width = max(map(len, rows))
        atoms.append(np.array([row + [-1] * (width - len(row)) for row in rows], dtype=np.int64))
    return atoms, references
