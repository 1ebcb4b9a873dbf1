"""Histograms of the coordinates of a potential, and the table update that follows from their difference."""

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

__all__ = ["histogram_features", "relative_entropy_step"]

# Hat functions a table.
N_NODES = 25
# Gaussian smoothing of a correction over nodes, so that sampling noise does not stiffen the tables.
SMOOTHING_NODES = 1.5
# Pseudocount, relative to the probability of a table, that keeps empty bins above 0.
LEAST_PROBABILITY = 2e-3
# Directions in which the terms fluctuate together less than this, relative to one bin's own fluctuation, are damped.
DAMPING = 0.5
# Frames of each side from which the coupling of the terms is estimated.
MAX_FRAMES = 800


def histogram_features(potential, beads_nm):
    """Every table's coordinate spread over two neighbouring nodes of 25, summed over the terms that share the table.

    Parameters
    ----------
    potential : CGPotential
    beads_nm : numpy.ndarray, shape (frames, N, 3)

    Returns
    -------
    numpy.ndarray, shape (frames, tables, 25)
        float32. Their mean over frames is a histogram of every table.
    """
    parts = [_kind_features(terms, beads_nm) for terms in potential.terms if len(terms)]
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(beads_nm), 0, N_NODES), dtype=np.float32)


def _kind_features(terms, beads_nm):
    lower, width = terms.lower[terms.tables], (terms.upper - terms.lower)[terms.tables]
    places = np.clip((terms.values(beads_nm) - lower) / width, 0, 1) * (N_NODES - 1)
    left = np.minimum(places.astype(int), N_NODES - 2)
    features = np.zeros((len(beads_nm), len(terms.wall), N_NODES), dtype=np.float32)
    frames = np.arange(len(beads_nm))
    for t, table in enumerate(terms.tables):
        weight = places[:, t] - left[:, t]
        features[frames, table, left[:, t]] += 1 - weight
        features[frames, table, left[:, t] + 1] += weight
    return features


def relative_entropy_step(potential, sampled, reference, rng):
    """The change of all tables, in kT, that would turn the sampled histograms into the reference's.

    The gradient of the relative entropy by a table's value at a node is (p_sampled - p_reference) / kT, its Hessian the
    covariance of the histogram features (Shell, J. Chem. Phys. 2008, 129, 144108; inverse Monte Carlo, Lyubartsev and
    Laaksonen, Phys. Rev. E 1995, 52, 3730). This is Newton's step with Levenberg's damping,
    (C + 0.5 D)^-1 (p_sampled - p_reference), C from frames of both sides, D the diagonal of their mean probabilities.
    For terms that fluctuate independently it is, to second order, 2/3 of iterative Boltzmann inversion's
    ln(p_sampled / p_reference); for many terms that follow one collective motion it is not counted once a term.

    Parameters
    ----------
    potential : CGPotential
    sampled, reference : numpy.ndarray, shapes (f, tables, 25) and (r, tables, 25)
        `histogram_features` of CG and of reference frames.
    rng : numpy.random.Generator
        Chooses the frames for C.

    Returns
    -------
    list of numpy.ndarray, shapes (m, n_grid)
        For distances, angles and chiralities; no entry beyond 4 kT.
    """
    shape = sampled.shape[1:]
    sides = [features.reshape(len(features), -1) for features in (sampled, reference)]
    p, q = (features.mean(0, dtype=float) for features in sides)
    scale = np.sqrt((p + q) / 2 + LEAST_PROBABILITY)
    deviations = np.concatenate([_thinned(features - mean, rng) for features, mean in zip(sides, (p, q), strict=True)])
    deviations = deviations / scale
    gradient = (p - q) / scale
    # Woodbury: a matrix of frames by frames, not of nodes by nodes, which are many more for many beads.
    kernel = deviations @ deviations.T + DAMPING * np.eye(len(deviations))
    step = gradient - deviations.T @ np.linalg.solve(kernel, deviations @ gradient)
    step = np.clip(step / DAMPING / scale, -4, 4).reshape(shape)
    return _on_tables(potential, gaussian_filter1d(step, SMOOTHING_NODES, axis=-1, mode="nearest"))


def _thinned(deviations, rng):
    """Some rows, scaled so that half their squares' sum is the covariance."""
    chosen = rng.choice(len(deviations), min(len(deviations), MAX_FRAMES), replace=False)
    return deviations[chosen] / np.sqrt(2 * len(chosen))


def _on_tables(potential, nodes):
    """Splines through the nodes at the entries of the tables."""
    counts = np.cumsum([len(terms.wall) for terms in potential.terms])[:-1]
    changes = []
    for terms, part in zip(potential.terms, np.split(nodes, counts), strict=True):
        entries = np.linspace(0, 1, terms.energies.shape[-1])
        spline = CubicSpline(np.linspace(0, 1, N_NODES), part, axis=1, bc_type="natural") if len(part) else None
        changes.append(np.zeros_like(terms.energies) if spline is None else spline(entries))
    return changes
