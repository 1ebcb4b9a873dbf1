"""Evenly spaced frames, as many as can be measured and drawn."""

import numpy as np

from openmm_cgvae.core.errors import DataError, SettingsError
from openmm_cgvae.io.trajectory_files import TrajectoryReader

__all__ = ["read_structures", "thinned"]


def read_structures(paths, topology, most=5000, n_samples=1, stride=1, salvage=False):
    """Read evenly spaced frames of a trajectory in which the samples of a frame follow one another.

    Parameters
    ----------
    paths : sequence of path
        Read as one.
    topology : mdtraj.Topology or openmm.app.Topology
    most : int
        Structures to keep, at most.
    n_samples : int
        Structures of every frame.
    stride : int
        Use every stride-th frame.
    salvage : bool
        As of `TrajectoryReader`.

    Returns
    -------
    structures : numpy.ndarray, shape (frames, n_samples, n, 3)
        nm.
    numbers : numpy.ndarray of int, shape (frames,)
        Of the frames in the file.

    Raises
    ------
    DataError
        If the number of structures is no multiple of `n_samples`, and as of `TrajectoryReader`.
    """
    if n_samples < 1 or stride < 1:
        raise SettingsError(f"{n_samples} samples a frame, stride {stride} given: 1 or more is expected of both")
    total = TrajectoryReader(list(paths), topology, salvage=salvage).n_frames
    if total is None:
        total = sum(len(chunk.frames) for chunk in TrajectoryReader(list(paths), topology, salvage=salvage))
    if total % n_samples:
        raise DataError(
            f"{total} structures given, no multiple of the {n_samples} a frame: give their number (--samples)"
        )
    frames = np.arange(0, total // n_samples, stride)
    frames = frames[thinned(len(frames), max(1, most // n_samples))]
    wanted = (frames[:, None] * n_samples + np.arange(n_samples)).ravel()
    kept, start = [], 0
    for chunk in TrajectoryReader(list(paths), topology, salvage=salvage):
        inside = wanted[(wanted >= start) & (wanted < start + len(chunk.positions))]
        kept.append(chunk.positions[inside - start])
        start += len(chunk.positions)
    structures = np.concatenate(kept).astype(np.float32)
    return structures.reshape(len(frames), n_samples, *structures.shape[1:]), frames


def thinned(count, most):
    """At most so many evenly spaced numbers below `count`."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64))
