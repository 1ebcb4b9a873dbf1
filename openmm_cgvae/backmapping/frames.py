"""Samples the frames to be written, and minimises and wraps them if asked."""

from typing import NamedTuple

import numpy as np

from openmm_cgvae.core.checks import check_memory
from openmm_cgvae.core.errors import PositionsError, SettingsError, TopologyMismatchError
from openmm_cgvae.core.periodic import molecule_labels, wrap

__all__ = ["BackmappedFrames", "FrameBackmapper", "sample_times"]


class BackmappedFrames(NamedTuple):
    """Structures of the frames that could be backmapped.

    Parameters
    ----------
    positions : numpy.ndarray, shape (frames * samples, n, 3)
        nm.
    vectors : numpy.ndarray, shape (frames * samples, 3, 3), or None
        Box of each.
    minimized : MinimizationResult or None
        What the minimiser did.
    rows : numpy.ndarray of int
        Which of the frames given they are of.
    skipped : dict of int to str
        Numbers of frames left out, and why.
    error : PositionsError or None
        Of the first bad frame, if such frames are to be raised: structures are of the frames before it.
    moved : tuple of float, int, float
        How far the model moved beads: the sum in nm, of how many, and the most.
    """

    positions: np.ndarray
    vectors: np.ndarray | None
    minimized: object
    rows: np.ndarray
    skipped: dict
    error: PositionsError | None
    moved: tuple = (0.0, 0, 0.0)


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
    on_bad_frame : {"raise", "skip"}
        What becomes of a frame of beads that cannot be backmapped: not finite, or unlike any of training.
    group : int
        So many consecutive numbers are sampled in one call, places of frames that are not given filled with others, so
        that structures do not depend, by their last bits, on which frames are given together. 0 to sample what is
        given.

    Raises
    ------
    TopologyMismatchError
        If the minimizer is of another mapping.
    SettingsError
        If `on_bad_frame` is another word.
    """

    def __init__(self, backmapper, n_samples, seed, minimizer=None, on_bad_frame="raise", group=0):
        if on_bad_frame not in ("raise", "skip"):
            raise SettingsError(f"on_bad_frame={on_bad_frame!r} given: 'raise' or 'skip' is expected")
        # Noise, and two copies of the structures: at least.
        check_memory(3 * 12 * n_samples * backmapper.n_atoms, f"{n_samples} samples a frame")
        self._skip, self._group = on_bad_frame == "skip", group
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
        frames = np.asarray(frames)
        atoms, rows, bad = self._sampled(beads, frames, correlation, vectors)
        atoms = atoms.reshape(-1, *atoms.shape[2:])
        vectors = None if vectors is None else vectors[rows]
        vectors = None if vectors is None else np.repeat(vectors, self._n_samples, axis=0)
        result = None
        if self._minimizer is not None and len(atoms):
            boxes = vectors if self._minimizer.periodic else None
            result = self._minimizer.minimize(atoms, progress=False, boxVectors=boxes)
            atoms = result.positions
        if into_box and vectors is not None:
            atoms = wrap(atoms, vectors, self._molecules)
        skipped = {int(frames[row]): str(error) for row, error in bad.items()} if self._skip else {}
        error = None if self._skip or not bad else bad[min(bad)]
        take = getattr(self._backmapper, "take_moved", None)
        return BackmappedFrames(atoms, vectors, result, rows, skipped, error, take() if take else (0.0, 0, 0.0))

    def _sampled(self, beads, frames, correlation, vectors):
        """Structures (frames, samples, n, 3) of the good frames, their rows, and the errors of bad ones, by row."""

        def sample(rows):
            made = []
            for taken, numbers, places in self._calls(rows, frames):
                box = None if vectors is None else vectors[taken]
                atoms = self._backmapper.sample(beads[taken], self._n_samples, self._seed, numbers, correlation, box)
                made.append(atoms[places])
            return np.concatenate(made)

        rows, bad = np.arange(len(frames)), {}
        while len(rows):
            try:
                return sample(rows), rows, bad
            except PositionsError:
                bad |= _bad_rows(sample, rows, frames, first_only=not self._skip)
            rows = np.array([row for row in rows if row not in bad and (self._skip or row < min(bad))], dtype=int)
        return np.empty((0, self._n_samples, self._backmapper.n_atoms, 3), np.float32), rows, bad

    def _calls(self, rows, frames):
        """Rows that are sampled together for those asked for, their numbers, and where those asked for are in them."""
        if not self._group:
            yield rows, frames[rows], slice(None)
            return
        groups = frames[rows] // self._group
        for group in np.unique(groups):
            own, first = rows[groups == group], group * self._group
            places = frames[own] - first
            taken = np.full(self._group, own[0])
            taken[places] = own
            yield taken, first + np.arange(self._group), places


def _bad_rows(sample, rows, frames, first_only):
    """The frames that cannot be sampled, found by halving: a dict of row to error, in order."""
    try:
        sample(rows)
        return {}
    except PositionsError as raised:
        error = raised
    if len(rows) == 1:
        text = error.text if error.frame is not None else f"frame {{frame}}: {error.text}"
        return {int(rows[0]): PositionsError(text, int(frames[rows[0]]))}
    half = len(rows) // 2
    bad = _bad_rows(sample, rows[:half], frames, first_only)
    if not (bad and first_only):
        bad |= _bad_rows(sample, rows[half:], frames, first_only)
    # Some checks are of several frames together, which pass alone: they name the worst.
    named = [] if bad else rows[frames[rows] == error.frame]
    if not bad and not len(named):
        raise error
    return bad or {int(named[0]): error}


def sample_times(times, n_samples, spacing):
    """Times (frames * samples,) of the samples of frames, which share out the interval between two frames.

    A DCD or XTC file then holds evenly spaced times.
    """
    return (times[:, None] + np.arange(n_samples) * spacing / n_samples).ravel()
