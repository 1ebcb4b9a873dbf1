"""Pairs of atoms of large molecules that are closer than expected, by a tree: linear in atoms, in memory and time."""

import numpy as np

from openmm_cgvae.core.parallel import available_cores, in_threads

__all__ = ["LARGE", "changed_bonds", "pairs_closer"]

# Atoms from which on all pairs take longer than a tree does.
LARGE = 600


def changed_bonds(frames, graph, selections, factor):
    """Count the bonds that are there and should not be, and the other way round; int, shape (selections, frames).

    Of frames (frames, n, 3) in nm, between the atoms of each of the selections, int arrays. Two atoms are bonded that
    are closer than `factor` times the sum of their radii.
    """
    own = np.zeros((len(selections), graph.n_atoms), dtype=bool)
    for row, selected in zip(own, selections, strict=True):
        row[selected] = True
    atoms, reach = np.flatnonzero(own.any(0)), factor * graph.radii
    expected = [np.unique(_codes(graph.bonds[row[graph.bonds].all(1)], graph.n_atoms)) for row in own]

    def changed(frame):
        pairs, squared = _near(frame, atoms, 2 * reach[atoms].max(initial=0.0))
        limits = np.square(reach[pairs].sum(1))
        pairs = pairs[squared < limits.astype(frame.dtype)]
        found = [_codes(pairs[row[pairs].all(1)], graph.n_atoms) for row in own]
        # A pair is found once.
        return [len(f) + len(e) - 2 * np.count_nonzero(_among(f, e)) for f, e in zip(found, expected, strict=True)]

    return _counted(changed, frames, len(own)).T


def pairs_closer(frames, graph, atoms, distance, hops):
    """Count pairs of atoms closer than a distance in nm, and more than so many bonds apart; int, shape (frames,)."""
    bonded = np.unique(_codes(graph.pairs_within(hops), graph.n_atoms))

    def closer(frame):
        pairs, squared = _near(frame, atoms, distance)
        close = _codes(pairs[squared < np.asarray(distance**2, frame.dtype)], graph.n_atoms)
        return np.count_nonzero(~_among(close, bonded))

    return _counted(closer, frames)


def _counted(count, frames, *shape):
    """What `count` finds in each frame; trees are asked outside Python's lock."""
    found = list(in_threads(count, frames, available_cores()))
    return np.array(found, dtype=np.int64).reshape(len(frames), *shape)


def _near(frame, atoms, distance):
    """Pairs of atoms (p, 2) up to a distance, and their squared distances."""
    from scipy.spatial import cKDTree

    # A tree for one question: what makes it faster to ask takes longer than asking.
    tree = cKDTree(frame[atoms], balanced_tree=False, compact_nodes=False)
    pairs = atoms[tree.query_pairs(1.001 * distance, output_type="ndarray")].reshape(-1, 2)
    apart = frame[pairs[:, 0]] - frame[pairs[:, 1]]
    return pairs, np.einsum("pc,pc->p", apart, apart)


def _among(codes, known):
    """Tell which codes are among known ones, sorted and each once."""
    if not len(known):
        return np.zeros(len(codes), dtype=bool)
    return known[np.searchsorted(known, codes).clip(max=len(known) - 1)] == codes


def _codes(pairs, n_atoms):
    """One number for each pair, whichever of the two comes first."""
    i, j = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
    return np.minimum(i, j) * n_atoms + np.maximum(i, j)
