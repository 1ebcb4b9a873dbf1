"""Beads as their source names them."""

from dataclasses import dataclass, field

import numpy as np

__all__ = ["BeadRecord", "box_from_lengths"]


@dataclass(frozen=True)
class BeadRecord:
    """The beads of a system in the order of their source.

    Parameters
    ----------
    names : list of str
    residue_names : list of str
    numbers : numpy.ndarray of int, shape (n,)
        Residue numbers.
    insertions : list of str
        Insertion codes, "" for none.
    chains : list of str
        Chain or segment ids.
    molecules : numpy.ndarray of int, shape (n,)
        Differs where the source ends a chain (TER, a chain object), whatever the ids say.
    residues : numpy.ndarray of int, shape (n,)
        The source's own division into residues, each a run of beads; a change of number where it has none.
    positions : numpy.ndarray, shape (n, 3), or None
        nm.
    bonds : numpy.ndarray of int, shape (m, 2)
    box : numpy.ndarray, shape (3, 3), or None
        Periodic box vectors in nm.
    source : str
        For messages.
    """

    names: list
    residue_names: list
    numbers: np.ndarray
    insertions: list
    chains: list
    molecules: np.ndarray
    residues: np.ndarray
    positions: np.ndarray | None
    bonds: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), dtype=int))
    box: np.ndarray | None = None
    source: str = "the topology"

    @property
    def n_beads(self):
        return len(self.names)

    def label(self, row):
        """Name of a bead for messages: its chain, residue and number."""
        chain = f"chain {self.chains[row]} " if self.chains[row] else ""
        return f"{chain}{self.residue_names[row]} {self.numbers[row]}{self.insertions[row]}"


def box_from_lengths(lengths, angles):
    """Box vectors (3, 3) in nm of lengths in nm and angles in degrees; None where a file has a box for form's sake."""
    if lengths is None or min(lengths) < 0.5:
        return None
    alpha, beta, gamma = np.radians(angles)
    a, b, c = lengths
    x = c * np.cos(beta)
    y = c * (np.cos(alpha) - np.cos(beta) * np.cos(gamma)) / np.sin(gamma)
    rows = [[a, 0, 0], [b * np.cos(gamma), b * np.sin(gamma), 0], [x, y, np.sqrt(max(c * c - x * x - y * y, 0.0))]]
    return np.array(rows)
