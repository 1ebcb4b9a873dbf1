"""Sequences grouped by likeness, so that no test has a relative in training."""

import numpy as np

__all__ = ["sequence_clusters", "sequence_identity", "split_clusters"]

# Scores of the alignment, chosen so that sequences drawn at random align to less than a quarter.
MATCH, MISMATCH, GAP = 5, -2, 6
# Scores are held above the number of matches in one integer.
SHIFT = 1 << 20
N_TYPES, WORD = 20, 3
# A sequence is aligned to so many clusters, those with which it shares the most words.
CANDIDATES = 12


def sequence_identity(one, other):
    """Return the part of the shorter sequence that is the same in the best alignment, whose ends are free.

    Parameters
    ----------
    one, other : int array
        Residue types.
    """
    one, other = np.asarray(one, dtype=np.int64), np.asarray(other, dtype=np.int64)
    if not len(one) or not len(other):
        return 0.0
    columns = GAP * SHIFT * np.arange(len(other) + 1)
    above, best = np.zeros(len(other) + 1, dtype=np.int64), 0
    for kind in one:
        pair = np.where(other == kind, MATCH * SHIFT + 1, MISMATCH * SHIFT)
        row = above - GAP * SHIFT
        row[1:] = np.maximum(row[1:], above[:-1] + pair)
        # What scores nothing begins anew, without its matches.
        row[row < SHIFT] = 0
        # A gap of any length along the row, each place of it at the same cost.
        above = np.maximum.accumulate(row + columns) - columns
        best = max(best, int(above.max()))
    return (best % SHIFT) / min(len(one), len(other))


def sequence_clusters(sequences, identity=0.4):
    """Cluster sequences greedily: longest first, each joins the cluster whose first it is most like.

    Relatives that share few words of three residues are missed: this keeps close relatives together, and is no
    replacement for a search of remote ones.

    Parameters
    ----------
    sequences : sequence of int array
        Residue types.
    identity : float
        Least `sequence_identity` to the first of a cluster.

    Returns
    -------
    int array, shape (sequences,)
    """
    lengths = np.array([len(sequence) for sequence in sequences])
    clusters = np.full(len(sequences), -1)
    holders, firsts = [[] for _ in range(N_TYPES**WORD)], []
    for k in np.argsort(-lengths, kind="stable"):
        words = _words(sequences[k])
        shared = np.bincount(
            np.concatenate([holders[w] for w in words] or [[]]).astype(np.int64), minlength=len(firsts)
        )
        # Long clusters share words by chance.
        density = shared / np.sqrt([len(sequences[first]) for first in firsts]) if firsts else shared
        near = [c for c in np.argsort(-density, kind="stable")[:CANDIDATES] if shared[c] > 0]
        alike = [sequence_identity(sequences[k], sequences[firsts[c]]) for c in near]
        if alike and max(alike) >= identity:
            clusters[k] = near[int(np.argmax(alike))]
            continue
        clusters[k] = len(firsts)
        for word in words:
            holders[word].append(len(firsts))
        firsts.append(k)
    return clusters


def _words(sequence):
    """Different words of three residues, as numbers."""
    types = np.asarray(sequence, dtype=np.int64)
    if len(types) < WORD:
        return np.zeros(0, dtype=np.int64)
    return np.unique((types[:-2] * N_TYPES + types[1:-1]) * N_TYPES + types[2:])


def split_clusters(clusters, fractions=(0.05, 0.05), seed=0):
    """Put whole clusters into validation and test, the others into train.

    Parameters
    ----------
    clusters : int array, shape (c,)
    fractions : (float, float)
        Of the clusters for validation, at least one, and for test.
    seed : int

    Returns
    -------
    str array, shape (c,)
    """
    names = np.unique(clusters)
    order = np.random.Generator(np.random.Philox(seed)).permutation(names)
    n_validation = max(1, round(fractions[0] * len(names)))
    n_test = round(fractions[1] * len(names))
    splits = np.full(len(clusters), "train", dtype="U10")
    splits[np.isin(clusters, order[:n_validation])] = "validation"
    splits[np.isin(clusters, order[n_validation : n_validation + n_test])] = "test"
    return splits
