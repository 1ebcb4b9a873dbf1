"""Pairs of atoms of large molecules that are closer than expected, by a tree: linear in atoms, in memory and time."""

import numpy as np

__all__ = ["LARGE", "changed_bonds", "pairs_closer"]

# Atoms from which on all pairs take longer than a tree does.
LARGE = 600


def changed_bonds(frames, graph, atoms, factor):
    """Count the bonds that are there and should not be, and the other way round.

    Parameters
    ----------
    frames : numpy.ndarray, shape (frames, n, 3)
        nm.
    graph : MolecularGraph
    atoms : numpy.ndarray of int, shape (m,)
        Those between which bonds are looked at.
    factor : float
        Of the sum of two atoms' radii, below which they are bonded.

    Returns
    -------
    numpy.ndarray of int, shape (frames,)
    """
    own = np.zeros(graph.n_atoms, dtype=bool)
    own[atoms] = True
    bonds = graph.bonds[own[graph.bonds].all(1)]
    expected, reach = _codes(bonds, graph.n_atoms), factor * graph.radii
    counts = np.zeros(len(frames), dtype=np.int64)
    for k, frame in enumerate(frames):
        pairs, squared = _near(frame, atoms, 2 * reach[atoms].max(initial=0.0))
        limits = (reach[pairs[:, 0]] + reach[pairs[:, 1]]) ** 2
        found = _codes(pairs[squared < limits.astype(frame.dtype)], graph.n_atoms)
        counts[k] = len(np.setxor1d(found, expected))
    return counts


def pairs_closer(frames, graph, atoms, distance, hops):
    """Count pairs of atoms closer than a distance in nm, and more than so many bonds apart; int, shape (frames,)."""
    bonded = _codes(graph.pairs_within(hops), graph.n_atoms)
    counts = np.zeros(len(frames), dtype=np.int64)
    for k, frame in enumerate(frames):
        pairs, squared = _near(frame, atoms, distance)
        close = _codes(pairs[squared < np.asarray(distance**2, frame.dtype)], graph.n_atoms)
        counts[k] = np.count_nonzero(~np.isin(close, bonded))
    return counts


def _near(frame, atoms, distance):
    """Pairs of atoms (p, 2) up to a distance, and their squared distances."""
    from scipy.spatial import cKDTree

    pairs = atoms[cKDTree(frame[atoms]).query_pairs(1.001 * distance, output_type="ndarray")].reshape(-1, 2)
    return pairs, np.square(frame[pairs[:, 0]] - frame[pairs[:, 1]]).sum(-1)


def _codes(pairs, n_atoms):
    """One number for each pair, whichever of the two comes first."""
    i, j = np.sort(np.asarray(pairs, dtype=np.int64).reshape(-1, 2), axis=1).T
    return i * n_atoms + j
