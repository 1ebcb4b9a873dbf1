"""Chains to measure: crambin from a crystal (PDB 1EJG), and glycines at places of one's choice."""

from pathlib import Path

import numpy as np

LETTERS = "ARNDCQEGHILKMFPSTWYV"
FILE = Path(__file__).parent / "data" / "crambin.npz"


def crambin():
    """Types, atoms (46, 14, 3) in Angstrom, mask, connected; three disulfides, no cis peptide bond."""
    with np.load(FILE) as file:
        return (
            file["residue_types"].astype(int),
            file["atoms"].astype(float),
            file["mask"].copy(),
            file["connected"].copy(),
        )


def residue(letter, number=0):
    """Index of the residue of crambin that is the n-th of its type."""
    return np.flatnonzero(crambin()[0] == LETTERS.index(letter))[number]


def points(*places):
    """Glycines of which only C-alpha is there, not connected; arguments of the metrics."""
    n = len(places)
    atoms, mask = np.zeros((n, 14, 3)), np.zeros((n, 14), dtype=bool)
    atoms[:, 1], mask[:, 1] = places, True
    return np.full(n, LETTERS.index("G")), atoms, mask, np.zeros(n, dtype=bool)


def turned(atoms, axis, moved, degrees):
    """Turn the atoms `moved` (a boolean array like a mask) about the axis through two points."""
    origin, end = axis
    direction = (end - origin) / np.linalg.norm(end - origin)
    angle = np.radians(degrees)
    rows = atoms[moved] - origin
    along = np.outer(rows @ direction, direction)
    across = rows - along
    atoms = atoms.copy()
    atoms[moved] = origin + along + np.cos(angle) * across + np.sin(angle) * np.cross(direction, across)
    return atoms
