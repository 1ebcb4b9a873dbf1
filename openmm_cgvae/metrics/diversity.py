"""Diversity of samples at fixed X relative to molecular dynamics."""

import itertools

import numpy as np

from openmm_cgvae.core.errors import DataError, PositionsError
from openmm_cgvae.core.units import as_positions_nm, value_in_md_units
from openmm_cgvae.metrics.structure import match_equivalent_hydrogens

__all__ = ["diversity_ratio", "move_to_beads", "nearest_frames"]

# Of what MD frames and their neighbours differ by, this must be left after the correction to be measured against.
LEAST_LEFT = 0.1


def diversity_ratio(samples, reference, mapping, graph, runs=None, neighbours=8, max_frames=400):
    """Compare the spread of samples at fixed X with that of reference frames.

    The variance of independent structures is half the mean squared distance of two of them, per atom, equivalent
    hydrogens relabelled pair by pair. MD is never twice at one X, so that there are three variances:

    - V, of samples at the X of a frame;
    - W, of a frame and its `nearest_frames`, which `move_to_beads` brought onto its X: it also holds what a structure
      changes with the little that the neighbours' X is off;
    - W', the same of samples instead, one at each of these X.

    W' - V is thus that change alone, as the model sees it, and ratio = sqrt(V / (W - (W' - V))), each pooled over
    frames before. A perfect sampler has W' = W and scores 1 however far the neighbours are; one that gives a single
    structure for each X scores 0. sqrt(V / W) is given beside it, for a model that jumps with X has a large W' - V
    that MD has not. Broken structures spread too: look at the ratio only where the structures are right. The
    definition is this project's own: the paper's RMSD_gen (section F.3) has no value that would be right.

    Parameters
    ----------
    samples : Quantity or array_like, shape (frames, s, n, 3)
        s > 1 samples for the beads of every reference frame; nm.
    reference : Quantity or array_like, shape (frames, n, 3)
        nm.
    mapping : CGMapping
        Of at least three beads, which do not lie on a line.
    graph : MolecularGraph
    runs : array_like, shape (frames,), optional
        Independent run of every reference frame; each frame its own if omitted.
    neighbours : int
        Frames of other runs to compare a frame with.
    max_frames : int
        Frames to measure at, evenly spaced; the neighbours come from all.

    Returns
    -------
    dict
        ``ratio`` and ``ratio_heavy`` (without hydrogens); ``ratio_uncorrected``, sqrt(V / W); ``spread_nm``, the root
        of V, and ``reference_spread_nm``, that of W - (W' - V), over all atoms; ``neighbour_rmsd_nm``, the root mean
        square of the bead RMSD of frames and neighbours.

    Raises
    ------
    PositionsError
        If the shapes do not fit.
    DataError
        If there are fewer than two samples, two runs or three beads, or the reference does not spread beyond what
        is put down to the neighbours' X, because it is too small or the model too bad.
    """
    reference = as_positions_nm(reference, graph.n_atoms, "atoms")
    samples = _checked_samples(samples, reference.shape)
    beads = mapping.project(reference.astype(np.float64))
    centres = np.linspace(0, len(reference) - 1, min(max_frames, len(reference))).astype(np.int64)
    nearest, distances = nearest_frames(beads, centres, runs, neighbours)
    turn = np.arange(nearest.shape[1]) % samples.shape[1]
    pairs = list(itertools.combinations(range(samples.shape[1]), 2))
    own = _variance(*(samples[centres][:, list(side)] for side in zip(*pairs, strict=True)), graph)
    near = move_to_beads(samples[nearest, turn], beads[centres], mapping)
    own_near = _variance(samples[centres][:, turn], near, graph)
    near = move_to_beads(reference[nearest], beads[centres], mapping)
    real_near = _variance(np.broadcast_to(reference[centres, None], near.shape), near, graph)
    real = real_near - (own_near - own)
    if any(real[atoms].mean() <= LEAST_LEFT * real_near[atoms].mean() for atoms in (graph.heavy, slice(None))):
        raise DataError(
            f"reference frames {np.sqrt(np.square(distances).mean()):.2g} nm apart in their beads do not tell how "
            "they spread at fixed beads: give more frames, or a better model"
        )
    return {
        "ratio": float(np.sqrt(own.mean() / real.mean())),
        "ratio_heavy": float(np.sqrt(own[graph.heavy].mean() / real[graph.heavy].mean())),
        "ratio_uncorrected": float(np.sqrt(own.mean() / real_near.mean())),
        "spread_nm": float(np.sqrt(own.mean())),
        "reference_spread_nm": float(np.sqrt(real.mean())),
        "neighbour_rmsd_nm": float(np.sqrt(np.square(distances).mean())),
    }


def _checked_samples(samples, shape):
    """The samples as an array of (frames, s, n, 3) that fits a reference of (frames, n, 3)."""
    samples = np.asarray(value_in_md_units(samples))
    if samples.ndim != 4 or (samples.shape[0], *samples.shape[2:]) != shape:
        raise PositionsError(f"samples of shape {samples.shape} given, ({shape[0]}, s, {shape[1]}, 3) expected")
    if samples.shape[1] < 2:
        raise DataError("1 sample a frame given: at least 2 have a spread")
    return samples


def nearest_frames(beads, centres, runs=None, neighbours=8):
    """Find the frames of other runs whose beads are most like those of some frames.

    Parameters
    ----------
    beads : numpy.ndarray, shape (frames, N, 3)
        nm; three beads or more.
    centres : int array, shape (c,)
        The frames to find neighbours of.
    runs : array_like, shape (frames,), optional
        Independent run of every frame; each frame its own if omitted.
    neighbours : int
        Frames to find for each; all of other runs if these are fewer.

    Returns
    -------
    nearest : int array, shape (c, k)
        By increasing distance. Each is independent of the centre; two of them may share a run.
    distances : numpy.ndarray, shape (c, k)
        RMSD of the beads in nm after superposition by proper rotations, since a mirrored X is another X.

    Raises
    ------
    DataError
        If there are fewer than two runs or three beads.
    """
    runs = np.arange(len(beads)) if runs is None else np.asarray(runs)
    if runs.shape != (len(beads),) or len(np.unique(runs)) < 2 or beads.shape[1] < 3:
        raise DataError(
            f"{len(np.unique(runs))} runs and {beads.shape[1]} beads given: at least 2 runs, one id a frame, and 3 "
            "beads (two superpose only up to a turn) are expected"
        )
    beads = beads - beads.mean(1, keepdims=True)
    # As many for every frame, so that they make one array.
    count = min(neighbours, len(runs) - np.unique(runs, return_counts=True)[1].max())
    nearest, distances = [], []
    for centre in np.asarray(centres):
        squared = _squared_bead_rmsd(beads, beads[centre])
        squared[runs == runs[centre]] = np.inf
        nearest.append(np.argsort(squared, kind="stable")[:count])
        distances.append(np.sqrt(squared[nearest[-1]]))
    return np.stack(nearest), np.stack(distances)


def _squared_bead_rmsd(beads, target):
    """Least mean squared distance of centred beads (frames, N, 3) to a target (N, 3) under proper rotations."""
    covariances = np.einsum("fix,iy->fxy", beads, target)
    values = np.linalg.svd(covariances, compute_uv=False)
    values[:, 2] *= np.sign(np.linalg.det(covariances))
    squared = np.square(beads).sum((1, 2)) + np.square(target).sum() - 2 * values.sum(1)
    return np.maximum(squared, 0) / len(target)


def move_to_beads(structures, beads, mapping):
    """Bring structures onto given beads.

    Each is superposed by its beads (Kabsch, Acta Cryst. A32, 922, 1976; proper rotations only), and every atom then
    shifted by what its bead still is off, x + M+ (X - M x), so that it has exactly these beads, as samples have. How
    the atoms within a bead follow its surroundings is left as it is.

    Parameters
    ----------
    structures : numpy.ndarray, shape (c, k, n, 3)
        nm.
    beads : numpy.ndarray, shape (c, N, 3)
        For the k structures of each row; nm.
    mapping : CGMapping

    Returns
    -------
    numpy.ndarray, shape (c, k, n, 3)
        nm, float64.
    """
    flat = np.asarray(structures, dtype=np.float64).reshape(-1, *np.shape(structures)[2:])
    targets = np.repeat(np.asarray(beads, dtype=np.float64), np.shape(structures)[1], axis=0)
    origins, own = targets.mean(1, keepdims=True), mapping.project(flat)
    centre = own.mean(1, keepdims=True)
    u, _, vt = np.linalg.svd(np.einsum("fix,fiy->fxy", own - centre, targets - origins))
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
    moved = (flat - centre) @ (u @ vt) + origins
    return (moved + mapping.lift(targets - mapping.project(moved))).reshape(np.shape(structures))


def _variance(one, other, graph):
    """Half the mean squared distance of pairs, one of each array (frames, s, n, 3), to (n,) in nm^2."""
    one, other = (np.asarray(x, dtype=np.float64).reshape(-1, graph.n_atoms, 3) for x in (one, other))
    return np.square(one - match_equivalent_hydrogens(one, other, graph)).sum(-1).mean(0) / 2
