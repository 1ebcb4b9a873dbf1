"""Samples the frames to be written, and minimises and wraps them if asked."""

from typing import NamedTuple

import numpy as np

from openmm_cgvae.core.errors import TopologyMismatchError
from openmm_cgvae.core.periodic import molecule_labels, wrap

__all__ = ["BackmappedFrames", "FrameBackmapper", "sample_times"]


class BackmappedFrames(NamedTuple):
    """Structures (frames * samples, n, 3) in nm, box vectors of each or None, and what the minimiser did, or None."""

    positions: np.ndarray
    vectors: np.ndarray | None
    minimized: object


class FrameBackmapper:
    """Backmaps frames as `BackmapReporter` and `backmap_trajectory` write them.

    Parameters
    ----------
    backmapper : Sampler
    n_samples : int
        Structures for each frame, one after the other.
    seed : int
    minimizer : Minimizer, optional
        Minimises each structure briefly, beads restrained.

    Raises
    ------
    TopologyMismatchError
        If the minimizer is of another mapping.
    """

    def __init__(self, backmapper, n_samples, seed, minimizer=None):
        if minimizer is not None and minimizer.mapping != backmapper.mapping:
            raise TopologyMismatchError("the minimizer is of another mapping than the backmapper: make it of the same")
        self._backmapper, self._n_samples, self._seed, self._minimizer = backmapper, n_samples, seed, minimizer
        topology = backmapper.topology
        self._molecules = molecule_labels(topology.getNumAtoms(), [(i.index, j.index) for i, j in topology.bonds()])

    def __call__(self, beads, frames, correlation=0.0, vectors=None, into_box=False):
        """Backmap frames.

        Parameters
        ----------
        beads : numpy.ndarray, shape (frames, N, 3)
            nm.
        frames : int array, shape (frames,)
            Numbers that key the noise.
        correlation : float
            Correlation time of the noise in frames.
        vectors : numpy.ndarray, shape (frames, 3, 3), optional
            Box vectors in nm, of a periodic system.
        into_box : bool
            Translate molecules into the box.

        Returns
        -------
        BackmappedFrames
        """
        atoms = self._backmapper.sample(beads, self._n_samples, self._seed, frames, correlation, vectors)
        atoms = atoms.reshape(-1, *atoms.shape[2:])
        vectors = None if vectors is None else np.repeat(vectors, self._n_samples, axis=0)
        result = None
        if self._minimizer is not None:
            boxes = vectors if self._minimizer.periodic else None
            result = self._minimizer.minimize(atoms, progress=False, boxVectors=boxes)
            atoms = result.positions
        if into_box and vectors is not None:
            atoms = wrap(atoms, vectors, self._molecules)
        return BackmappedFrames(atoms, vectors, result)


def sample_times(times, n_samples, spacing):
    """Times (frames * samples,) of the samples of frames, which share out the interval between two frames.

    A DCD or XTC file then holds evenly spaced times.
    """
    return (times[:, None] + np.arange(n_samples) * spacing / n_samples).ravel()
