"""Comparison of samples with a reference along the slowest motions."""

import itertools

import numpy as np

from openmm_cgvae.core.errors import DataError, MissingDependencyError
from openmm_cgvae.core.units import as_positions_nm
from openmm_cgvae.metrics.distribution import jensen_shannon_with_floor
from openmm_cgvae.metrics.structure import in_chunks

__all__ = ["slow_coordinates", "slow_pairs", "tica_divergence"]

# More distances than this are fitted to noise by a few thousand frames.
MAX_PAIRS = 100
COMPONENTS = 2
# A component is slow if its autocorrelation after the lag time is above this.
SLOW = np.exp(-1)
# nm^2. Distances that vary by less than 0.01 nm are stiff, and are left out of the fit.
STIFF = 1e-4
# Along each component, the outermost two for what lies beyond all but 0.5 % of the reference.
BINS = 30
TAIL_PERCENT = 0.5


def tica_divergence(positions, reference, graph, runs=None, lag=None, seed=0):
    """Compare structures with a reference along the reference's slowest motions.

    Time-lagged independent component analysis (Perez-Hernandez et al., J. Chem. Phys. 139, 015102, 2013; as
    implemented in deeptime) of the distances of `slow_pairs` in the reference, pairs of times within a run only. The
    histograms over the first two components are then compared; only over the first where the second relaxes within
    the lag time, as in small molecules.

    Parameters
    ----------
    positions : Quantity or array_like, shape (frames, n, 3)
        nm.
    reference : Quantity or array_like, shape (reference frames, n, 3)
        nm, in the order of time.
    graph : MolecularGraph
    runs : array_like, shape (reference frames,), optional
        Independent run of every reference frame; one trajectory if omitted, with a floor as of independent frames.
    lag : int, optional
        Lag time in frames; 10 if omitted, or a quarter of the shortest run if that is less. It decides which motions
        are slow: compare figures of equally spaced references only.
    seed : int
        Of the thinning to equal counts.

    Returns
    -------
    (float, float) or None
        Jensen-Shannon divergence in nats and its floor (`jensen_shannon_with_floor`); None for a molecule without
        a distance that varies by more than 0.01 nm.

    Raises
    ------
    MissingDependencyError
        If deeptime is not installed.
    DataError
        If no run is longer than `lag`, or there are fewer than two runs.
    """
    found = slow_coordinates(reference, graph, runs, positions, lag=lag)
    if found is None:
        return None
    expected, found = found
    low, high = np.percentile(expected, (TAIL_PERCENT, 100 - TAIL_PERCENT), axis=0)
    # One bin is 1 wide; the histogram wraps, so that what is outside has to be put into the outermost bins.
    expected, found = (np.clip((x - low) / (high - low) * (BINS - 2) + 1, 0.5, BINS - 0.5) for x in (expected, found))
    return jensen_shannon_with_floor(found, expected, runs, seed=seed, bins=BINS, range=(0, BINS))


def slow_coordinates(reference, graph, runs, *others, lag=None):
    """Project a reference, and other structures, on the reference's slowest motions.

    Parameters
    ----------
    reference, graph, runs, lag
        As of `tica_divergence`.
    *others : array_like, shape (frames, n, 3)
        nm.

    Returns
    -------
    list of numpy.ndarray, shape (frames, 1 or 2), or None
        Of the reference and of each of the others; None for a molecule without a distance that varies.

    Raises
    ------
    MissingDependencyError
        If deeptime is not installed.
    DataError
        If no run is longer than `lag`.
    """
    pairs = slow_pairs(graph)
    features = _distances(reference, graph, pairs)
    if not features.var(0).max(initial=0) > STIFF:
        return None
    slow = _fit_tica(features, np.zeros(len(features)) if runs is None else np.asarray(runs), lag)
    return [slow(features), *(slow(_distances(positions, graph, pairs)) for positions in others)]


def slow_pairs(graph):
    """Pairs of backbone atoms whose distances tell conformations apart.

    Of the atoms of phi, psi and omega and their heavy neighbours (among them CB, without which a distance does not
    tell phi from -phi), all pairs at least 3 bonds apart. Where these are more than 100, alpha carbons (and the
    carbons in their place in caps) only, thinned evenly until they are not. Without a backbone, heavy atoms stand
    for it.

    Parameters
    ----------
    graph : MolecularGraph

    Returns
    -------
    numpy.ndarray of int, shape (p, 2)
    """
    rows = np.concatenate([graph.torsions[name] for name in ("phi", "psi", "omega")])
    atoms = alpha = graph.heavy
    if len(rows):
        atoms = _with_neighbours(graph, rows)
        alpha = np.unique(graph.torsions["omega"][:, [0, 3]])
    pairs = _pairs_apart(graph, atoms)
    if len(pairs) > MAX_PAIRS:
        pairs = _pairs_apart(graph, alpha)
    for count in range(len(alpha) - 1, 1, -1):
        if len(pairs) <= MAX_PAIRS:
            break
        pairs = _pairs_apart(graph, alpha[np.linspace(0, len(alpha) - 1, count).astype(np.int64)])
    return pairs


def _with_neighbours(graph, rows):
    """The atoms of some torsions and all heavy atoms bonded to these, sorted."""
    atoms = set(rows.ravel().tolist())
    atoms |= {k for i in atoms for k in graph.neighbours[i]}
    return np.array([i for i in sorted(atoms) if graph.atomic_numbers[i] > 1])


def _pairs_apart(graph, atoms):
    near = set(map(tuple, graph.pairs_within(2).tolist()))
    pairs = (pair for pair in itertools.combinations(atoms.tolist(), 2) if pair not in near)
    return np.array(list(pairs), dtype=np.int64).reshape(-1, 2)


def _distances(positions, graph, pairs):
    """nm, shape (frames, p), float64."""
    frames = as_positions_nm(positions, graph.n_atoms, "atoms")
    i, j = pairs.T
    return in_chunks(
        lambda chunk: np.linalg.norm(chunk[:, i].astype(np.float64) - chunk[:, j], axis=-1), frames, 6 * len(i)
    )


def _fit_tica(features, runs, lag):
    """The function that maps features to their slow components."""
    try:
        from deeptime.decomposition import TICA
    except ImportError as error:
        raise MissingDependencyError("the slow motions (TICA) need deeptime: pip install deeptime") from error
    shortest = int(np.unique(runs, return_counts=True)[1].min())
    lag = max(1, min(10, shortest // 4)) if lag is None else lag
    first = np.flatnonzero(runs[:-lag] == runs[lag:])
    if not len(first):
        raise DataError(f"no run is longer than the lag of {lag} frames: give longer runs or a shorter lag")
    model = TICA(dim=COMPONENTS, epsilon=STIFF).fit((features[first], features[first + lag])).fetch_model()
    count = max(1, np.count_nonzero(model.singular_values[:COMPONENTS] > SLOW))
    return lambda x: model.transform(x)[:, :count]
