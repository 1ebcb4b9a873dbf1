"""Whether samples at one X spread as far as molecular dynamics does there."""

import itertools

import numpy as np

from openmm_cgvae.errors import DataError, PositionsError
from openmm_cgvae.metrics.structure import match_equivalent_hydrogens
from openmm_cgvae.units import as_positions_nm

__all__ = ["diversity_ratio", "frames_at_beads"]


def diversity_ratio(samples, reference, mapping, graph, runs=None, neighbours=8, max_frames=200):
    """Compare the spread of samples at fixed X with the spread of reference frames at nearly that X.

    The spread of a set of structures is the root of half the mean squared distance of two of its members, per atom,
    equivalent hydrogens relabelled pair by pair: for independent draws, the standard deviation. The reference set of
    a frame is that of `frames_at_beads`. The ratio is that of the spreads, each pooled over frames as a mean square.

    A perfect sampler scores 1, one that gives a single structure for each X scores 0. Broken structures spread too:
    look at the ratio only where the structures are right. What remains of the neighbours' other X, beyond what
    `frames_at_beads` takes out, makes the reference's spread too large and the ratio too small; as long as
    ``neighbour_rmsd_nm`` is well below ``reference_spread_nm`` that is little. No published definition: the paper's
    RMSD_gen (section F.3) has no value that would be right.

    Parameters
    ----------
    samples : Quantity or array_like, shape (frames, s, n, 3)
        s > 1 samples for the beads of every reference frame; nm.
    reference : Quantity or array_like, shape (frames, n, 3)
        nm.
    mapping : CGMapping
    graph : MolecularGraph
    runs : array_like, shape (frames,), optional
        Independent run of every reference frame; each frame its own if omitted.
    neighbours : int
        Reference frames beside the frame itself in its set, each from another run.
    max_frames : int
        Frames to measure at, evenly spaced; the neighbours come from all.

    Returns
    -------
    dict
        ``ratio`` and ``ratio_heavy`` (without hydrogens); ``spread_nm`` and ``reference_spread_nm`` over all atoms;
        ``neighbour_rmsd_nm``, the root mean square of the bead RMSD of the neighbours.

    Raises
    ------
    PositionsError
        If the shapes do not fit.
    DataError
        If there are fewer than two samples, two runs or three beads, or the reference does not spread at all.
    """
    reference = as_positions_nm(reference, graph.n_atoms, "atoms")
    samples = np.asarray(samples)
    if samples.ndim != 4 or samples.shape[::2] != (len(reference), graph.n_atoms):
        raise PositionsError(
            f"samples of shape {samples.shape} given, ({len(reference)}, s, {graph.n_atoms}, 3) expected"
        )
    if samples.shape[1] < 2:
        raise DataError("1 sample a frame given: at least 2 have a spread")
    centres = np.linspace(0, len(reference) - 1, min(max_frames, len(reference))).astype(np.int64)
    expected, distances = frames_at_beads(reference, mapping, centres, runs, neighbours)
    own, real = _spread(samples[centres].astype(np.float64), graph), _spread(expected, graph)
    if not real[graph.heavy].mean() > 0:
        raise DataError("reference frames do not spread at fixed beads: a ratio to that cannot be given")
    return {
        "ratio": float(np.sqrt(own.mean() / real.mean())),
        "ratio_heavy": float(np.sqrt(own[graph.heavy].mean() / real[graph.heavy].mean())),
        "spread_nm": float(np.sqrt(own.mean())),
        "reference_spread_nm": float(np.sqrt(real.mean())),
        "neighbour_rmsd_nm": float(np.sqrt(np.square(distances).mean())),
    }


def frames_at_beads(reference, mapping, centres, runs=None, neighbours=8):
    """Gather reference structures at (nearly) the beads X of some frames: draws from p(x | X), as far as MD has any.

    To a frame itself come the frames of other runs with the nearest beads, one a run, so that they are independent.
    Each is superposed by its beads (Kabsch, proper rotations only, since a mirrored X is another X), and every atom
    is then shifted by what its bead still is off: x + M+ (X - M x). All structures of a set thus have exactly the
    same beads, as samples do. How the atoms within a bead follow its surroundings is left as it is.

    Parameters
    ----------
    reference : numpy.ndarray, shape (frames, n, 3)
        nm.
    mapping : CGMapping
        Of at least three beads, which do not lie on a line.
    centres : int array, shape (c,)
        Frames to gather at.
    runs : array_like, shape (frames,), optional
        Independent run of every frame; each frame its own if omitted.
    neighbours : int
        Frames to add to each; fewer if there are not as many other runs.

    Returns
    -------
    structures : numpy.ndarray, shape (c, 1 + k, n, 3)
        nm, the frame itself first, then by increasing distance.
    distances : numpy.ndarray, shape (c, k)
        RMSD of the beads in nm before the shift.

    Raises
    ------
    DataError
        If there are fewer than two runs or three beads.
    """
    reference = np.asarray(reference, dtype=np.float64)
    runs = np.arange(len(reference)) if runs is None else np.asarray(runs)
    if runs.shape != (len(reference),) or len(np.unique(runs)) < 2 or mapping.n_beads < 3:
        raise DataError(
            f"{len(np.unique(runs))} runs and {mapping.n_beads} beads given: at least 2 runs, one id a frame, and 3 "
            "beads (which two superpose only up to a turn) are expected"
        )
    beads = mapping.project(reference)
    origins = beads.mean(1, keepdims=True)
    reference, beads = reference - origins, beads - origins
    count = min(neighbours, len(np.unique(runs)) - 1)
    structures, distances = [], []
    for centre in np.asarray(centres):
        squared = _squared_bead_rmsd(beads, beads[centre])
        nearest = _nearest_of_other_runs(squared, runs, centre)[:count]
        turned = reference[nearest] @ _rotations(beads[nearest], beads[centre])
        turned += mapping.lift(beads[centre] - mapping.project(turned))
        structures.append(np.concatenate([reference[centre, None], turned]) + origins[centre])
        distances.append(np.sqrt(squared[nearest]))
    return np.stack(structures), np.stack(distances)


def _nearest_of_other_runs(distances, runs, centre):
    """The nearest frame of each run but the centre's, by increasing distance."""
    order = np.argsort(distances, kind="stable")
    order = order[runs[order] != runs[centre]]
    return order[np.sort(np.unique(runs[order], return_index=True)[1])]


def _squared_bead_rmsd(beads, target):
    """Least mean squared distance of centred beads (frames, N, 3) to a target (N, 3) under proper rotations."""
    covariances = np.einsum("fix,iy->fxy", beads, target)
    values = np.linalg.svd(covariances, compute_uv=False)
    values[:, 2] *= np.sign(np.linalg.det(covariances))
    squared = np.square(beads).sum((1, 2)) + np.square(target).sum() - 2 * values.sum(1)
    return np.maximum(squared, 0) / len(target)


def _rotations(beads, target):
    """Proper rotations R, shape (frames, 3, 3), for which beads @ R lie nearest to the target (Kabsch)."""
    u, _, vt = np.linalg.svd(np.einsum("fix,iy->fxy", beads, target))
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
    return u @ vt


def _spread(structures, graph):
    """Half the mean squared distance of two members, (frames, s, n, 3) to (n,) in nm^2."""
    pairs = list(itertools.combinations(range(structures.shape[1]), 2))
    total = np.zeros(graph.n_atoms)
    for i, j in pairs:
        matched = match_equivalent_hydrogens(structures[:, i], structures[:, j], graph)
        total += np.square(structures[:, i] - matched).sum(-1).mean(0)
    return total / (2 * len(pairs))
