"""Divergences between distributions, and their floors from finite sampling."""

import numpy as np

from openmm_cgvae.core.errors import DataError

__all__ = ["jensen_shannon", "jensen_shannon_floor", "jensen_shannon_with_floor", "wasserstein"]


def jensen_shannon(samples_a, samples_b, bins=60, range=(-np.pi, np.pi)):
    """Jensen-Shannon divergence of the histograms of periodic values.

    In nats, not its root: from 0 for equal histograms to ln 2 for disjoint ones. Finite samples of one distribution
    give more than 0; see `jensen_shannon_floor`.

    Parameters
    ----------
    samples_a, samples_b : array_like, shape (s,) or (s, d)
        Angles in radians; d = 2 (phi, psi) gives the divergence of two Ramachandran plots.
    bins : int
        Number of bins along each dimension.
    range : (float, float)
        One period: values outside are wrapped into it. A narrower one folds a symmetric torsion, (-pi/3, pi/3) for
        a methyl group.

    Returns
    -------
    float

    Raises
    ------
    DataError
        If a set is empty or not finite, or the two differ in dimension.
    """
    p, q = (_histogram(samples, bins, range) for samples in (samples_a, samples_b))
    if p.shape != q.shape:
        raise DataError(f"histograms of {p.size} and {q.size} bins cannot be compared: give samples of one dimension")
    mean = (p + q) / 2
    return float((_relative_entropy(p, mean) + _relative_entropy(q, mean)) / 2)


def _histogram(samples, bins, limits):
    """Probability of every bin, shape (bins**d,)."""
    samples = np.asarray(samples, dtype=np.float64)
    samples = samples[:, None] if samples.ndim == 1 else samples
    if samples.ndim != 2 or not samples.size or not np.isfinite(samples).all():
        raise DataError(
            f"samples of shape {samples.shape} given, (s,) or (s, d) with s > 0 and finite values expected: "
            "choose one torsion, and leave broken frames out"
        )
    low, high = limits
    cells = np.floor((samples - low) / (high - low) * bins).astype(np.int64) % bins
    flat = np.ravel_multi_index(tuple(cells.T), (bins,) * samples.shape[1])
    return np.bincount(flat, minlength=bins ** samples.shape[1]) / len(samples)


def _relative_entropy(p, q):
    filled = p > 0
    return np.sum(p[filled] * np.log(p[filled] / q[filled]))


def jensen_shannon_floor(reference, runs=None, count=None, splits=8, seed=0, **histogram):
    """Divergence between two halves of a reference: what a perfect model would score with as many samples.

    Parameters
    ----------
    reference : array_like, shape (s,) or (s, d)
    runs : array_like, shape (s,), optional
        Independent run of every sample: a run is then never divided, so that slow motions count. Without it samples
        are taken as independent, and the floor of a correlated trajectory is too low.
    count : int, optional
        Samples a half; as many as there are if omitted.
    splits : int
        Ways of halving to average over.
    seed : int
    **histogram
        ``bins`` and ``range`` of `jensen_shannon`.

    Returns
    -------
    float
        nats.

    Raises
    ------
    DataError
        If there are fewer than two runs, or fewer than `count` samples in a half.
    """
    reference = np.asarray(reference)
    runs = _checked_runs(runs, len(reference))
    halves = _halves(runs, _half_size(runs) if count is None else count, splits, seed)
    return float(np.mean([jensen_shannon(reference[a], reference[b], **histogram) for a, b in halves]))


def jensen_shannon_with_floor(samples, reference, runs=None, splits=8, seed=0, **histogram):
    """Divergence of samples from a reference, and the floor of the reference, at the same count.

    Both sets are thinned at random to what a half of the reference holds, or to the number of samples if that is
    less. The samples are compared with all runs of the reference, so that a model applied to the very frames of the
    reference may fall below a floor that is set by the differences between runs.

    Parameters
    ----------
    samples : array_like, shape (s,) or (s, d)
    reference : array_like, shape (r,) or (r, d)
    runs : array_like, shape (r,), optional
        Independent run of every reference sample, as in `jensen_shannon_floor`.
    splits : int
        Ways of thinning, and of halving, to average over.
    seed : int
    **histogram
        ``bins`` and ``range`` of `jensen_shannon`.

    Returns
    -------
    divergence, floor : float
        nats.

    Raises
    ------
    DataError
        If a set is empty, or there are fewer than two runs.
    """
    samples, reference = np.asarray(samples), np.asarray(reference)
    runs = _checked_runs(runs, len(reference))
    count = min(len(samples), _half_size(runs))
    rng = np.random.default_rng(seed)
    divergences = []
    for _ in range(splits):
        thinned = [x[rng.choice(len(x), count, replace=False)] for x in (samples, reference)]
        divergences.append(jensen_shannon(*thinned, **histogram))
    return float(np.mean(divergences)), jensen_shannon_floor(reference, runs, count, splits, seed, **histogram)


def _checked_runs(runs, n_samples):
    """Run of every sample; each its own run if none are given."""
    runs = np.arange(n_samples) if runs is None else np.asarray(runs)
    if runs.shape != (n_samples,):
        raise DataError(f"run ids of shape {runs.shape} given, ({n_samples},) expected: one a reference frame")
    if len(np.unique(runs)) < 2:
        raise DataError(f"a reference of {len(np.unique(runs))} run given, at least 2 to compare expected")
    return runs


def _half_size(runs):
    """Samples that both halves have however the runs are dealt."""
    lengths = np.unique(runs, return_counts=True)[1]
    return int(np.sort(lengths)[: len(lengths) // 2].sum())


def _halves(runs, count, splits, seed):
    """Yield pairs of index arrays, shape (count,), that share no run."""
    if count > _half_size(runs):
        raise DataError(f"{count} samples a half asked for, the reference has {_half_size(runs)}: ask for fewer")
    for split in range(splits):
        rng = np.random.default_rng([seed, split])
        dealt = rng.permutation(np.unique(runs))
        first = np.isin(runs, dealt[: len(dealt) // 2])
        yield tuple(rng.choice(np.flatnonzero(side), count, replace=False) for side in (first, ~first))


def wasserstein(samples_a, samples_b):
    """Wasserstein-1 distance of every column, in the unit of the samples.

    Parameters
    ----------
    samples_a : array_like, shape (s,) or (s, k)
        Non-periodic values, such as `bond_lengths` or `bond_angles`.
    samples_b : array_like, shape (r,) or (r, k)

    Returns
    -------
    numpy.ndarray, shape (k,)

    Raises
    ------
    DataError
        If a set is empty, or the numbers of columns differ.
    """
    from scipy.stats import wasserstein_distance

    a, b = (np.asarray(samples, dtype=np.float64) for samples in (samples_a, samples_b))
    a, b = (samples[:, None] if samples.ndim == 1 else samples for samples in (a, b))
    if not len(a) or not len(b) or a.shape[1:] != b.shape[1:]:
        raise DataError(f"samples of shapes {a.shape} and {b.shape} given, (s, k) and (r, k) without empty expected")
    return np.array([wasserstein_distance(x, y) for x, y in zip(a.T, b.T, strict=True)])
