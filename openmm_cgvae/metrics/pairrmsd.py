"""Root mean square deviations of all pairs of conformers, superposed, equivalent heavy atoms by the best label."""

import numpy as np

__all__ = ["distinct_conformers", "pair_rmsd"]

# Pairs and labellings at once.
CHUNK = 100_000
NEWTON_STEPS = 60


def pair_rmsd(first, second, symmetries):
    """Least heavy-atom RMSD of every pair over rotations, translations and equivalent labels.

    As RDKit's ``GetBestRMS`` without hydrogens, for all pairs at once: the largest eigenvalue of the quaternion matrix
    of each pair comes from its characteristic polynomial (Theobald 2005), by Newton's method from above.

    Parameters
    ----------
    first : array, shape (A, n, 3)
        Angstrom.
    second : array, shape (B, n, 3)
    symmetries : Symmetries
        Of the molecule; where they are not complete, neither is the choice of labels, and the RMSD is an upper bound.

    Returns
    -------
    numpy.ndarray, shape (A, B)
        float64.
    """
    first, second = (_centred_heavy(x, symmetries.heavy) for x in (first, second))
    best = np.full((len(first), len(second)), np.inf)
    if not best.size:
        return best
    # As many rows and labellings at a time as fit.
    rows = max(1, CHUNK // len(second))
    for start in range(0, len(first), rows):
        part, own = first[start : start + rows], best[start : start + rows]
        most = max(1, CHUNK // own.size)
        for begin in range(0, len(symmetries.orders), most):
            orders = symmetries.orders[begin : begin + most]
            labelled = part[:, orders].reshape(-1, *part.shape[1:])
            squares = _mean_squares(labelled, second).reshape(len(part), len(orders), -1)
            np.minimum(own, squares.min(1), out=own)
    return np.sqrt(best)


def distinct_conformers(positions, symmetries, prune):
    """Numbers of the conformers (K, n, 3) that are `prune` Angstrom or more from every one kept before them, a list."""
    apart, kept = pair_rmsd(positions, positions, symmetries), []
    for i in range(len(positions)):
        if not kept or apart[i, kept].min() >= prune:
            kept.append(i)
    return kept


def _centred_heavy(positions, heavy):
    heavy = np.asarray(positions, dtype=np.float64)[:, heavy]
    return heavy - heavy.mean(1, keepdims=True)


def _mean_squares(first, second):
    """Mean square deviations (A, B) of centred conformers (A, h, 3) and (B, h, 3) after the best rotation."""
    n_first, n_second, h = len(first), len(second), first.shape[1]
    total = (np.square(first).sum((1, 2))[:, None] + np.square(second).sum((1, 2))) / 2
    flat = first.transpose(0, 2, 1).reshape(-1, h) @ second.transpose(1, 0, 2).reshape(h, -1)
    s = flat.reshape(n_first, 3, n_second, 3).transpose(0, 2, 1, 3)
    # Coefficients of l^4 + c2 l^2 + c1 l + c0; with singular values a, b, c of S its roots are a + b + c and those of
    # two other signs, c with the sign of det S.
    gram = s.swapaxes(-1, -2) @ s
    trace = np.trace(gram, axis1=-2, axis2=-1)
    c2, c1 = -2 * trace, -8 * _determinant(s)
    c0 = 2 * np.square(gram).sum((-1, -2)) - np.square(trace)
    root = total.copy()
    for _ in range(NEWTON_STEPS):
        square = root * root
        value = (square + c2) * square + c1 * root + c0
        slope = 4 * square * root + 2 * c2 * root + c1
        step = np.where(slope > 0, value / np.where(slope > 0, slope, 1), 0.0)
        root -= step
        if (np.abs(step) <= 1e-13 * total).all():
            break
    return np.maximum(2 * (total - root), 0) / h


def _determinant(s):
    return (
        s[..., 0, 0] * (s[..., 1, 1] * s[..., 2, 2] - s[..., 1, 2] * s[..., 2, 1])
        - s[..., 0, 1] * (s[..., 1, 0] * s[..., 2, 2] - s[..., 1, 2] * s[..., 2, 0])
        + s[..., 0, 2] * (s[..., 1, 0] * s[..., 2, 1] - s[..., 1, 1] * s[..., 2, 0])
    )
