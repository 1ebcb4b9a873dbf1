"""Where frames that are appended to a trajectory go on: one clock a file, no gaps, no doubled frames, one box."""

import logging

import numpy as np

from openmm_cgvae.core.errors import OutputError

__all__ = ["SINGLE", "TOLERANCE", "ClockWarning", "frames_to_keep", "spacing_of", "warn_of_cut"]

logger = logging.getLogger(__name__)

# Of the interval of frames: what rounding of times may make.
TOLERANCE = 0.02
# Relative spacing of float32, in which files hold times.
SINGLE = 2.5e-7


def spacing_of(times):
    """Mean interval of times (f,) in ps; None of one time or none, and of times that do not rise."""
    if times is None or len(times) < 2:
        return None
    spacing = float(times[-1] - times[0]) / (len(times) - 1)
    return spacing if spacing > 0 else None


class ClockWarning:
    """Says once that single precision has too few digits for the times of a file.

    Parameters
    ----------
    kind : str
        Such as "an XTC file".
    name : path
    """

    def __init__(self, kind, name):
        self._kind, self._name, self._told = kind, name, False

    def check(self, times):
        """Look at times (f,) in ps that are to be written."""
        times = np.asarray(times, dtype=float)
        off = abs(times.astype(np.float32) - times).max(initial=0.0)
        if not self._told and off > TOLERANCE * (spacing_of(times) or np.inf):
            self._told = True
            logger.warning(
                "%s has 7 digits for a time, too few for the frames of %s, %g ps apart at %g ps: their times are "
                "rounded, a DCD file's would not be", self._kind, self._name, spacing_of(times), times[0],
            )  # fmt: skip


def frames_to_keep(path, old, new, boxed_old, boxed_new, gaps=False, n_old=0, before=None, spare=0):
    """Say how many frames of a file stay when a run goes on with it.

    Frames are counted, not compared by time, so that the rounding of times does not matter, however long a run is.

    Parameters
    ----------
    path : path
    old : numpy.ndarray, shape (f,), or None
        Times of the frames that are there, in ps; None where the file does not tell them.
    new : numpy.ndarray, shape (k,), or None
        Times of the frames that come, as many as are known.
    boxed_old, boxed_new : bool
        Whether frames have a periodic box.
    gaps : bool
        Whether frames may be missing in between, such as bad ones that were left out.
    n_old, before : int, optional
        Of frames without times: how many are there, and how many the run has made before the first that comes.
    spare : int
        Frames of one report, of a run that goes on from a checkpoint: so many may all be later than that.

    Returns
    -------
    int
        Frames at and after the first that comes, written after the checkpoint the run goes on from, do not stay. -1
        for all.

    Raises
    ------
    OutputError
        If box, interval or times do not go together.
    """
    if boxed_old != boxed_new:
        new_have, old_have = ("a periodic box" if boxed else "no periodic box" for boxed in (boxed_new, boxed_old))
        raise OutputError(f"cannot append frames with {new_have} to {path}, which has {old_have}: give a new file")
    if (old is None) != (new is None):
        raise OutputError(f"cannot append to {path}: the times of its frames, or of those that come, are not known")
    if old is None:
        return _by_count(path, n_old, before, gaps)
    spacing, coming = spacing_of(old), spacing_of(new)
    start, size = float(new[0]), coming or spacing
    if spacing and coming and abs(coming - spacing) > TOLERANCE * spacing:
        raise OutputError(
            f"cannot append frames {coming:g} ps apart to {path}, whose frames are {spacing:g} ps apart: "
            "report as often as before, or give a new file"
        )
    if size is None:
        size = abs(start - float(old[-1])) or 1.0
    # In frames since the file's first, each clock in its own units.
    number = start / size - float(old[0]) / (spacing or size)
    slack = min(0.4, TOLERANCE + 4 * SINGLE * abs(start) / size)
    keep = int(np.count_nonzero(old < start - 0.5 * size)) if gaps else max(0, round(number))
    if number < -slack or (keep == 0 and len(old) > spare):
        raise OutputError(
            f"cannot append to {path}: it begins at {old[0]:g} ps, and the run at {start:g} ps: go on from a "
            "checkpoint with its step count, or give a new file"
        )
    if not gaps and (keep > len(old) or abs(number - keep) > slack):
        last = min(keep, len(old)) - 1
        raise OutputError(
            f"cannot append to {path}: its frames end at {old[last]:g} ps, the next is at {start:g} ps where "
            f"{old[last] + size:g} ps is expected: go on from a checkpoint that is not ahead of it"
        )
    return keep


def _by_count(path, n_old, before, gaps):
    """As `frames_to_keep`, of frames without times."""
    if before is None or gaps:
        return -1
    if before > n_old:
        raise OutputError(
            f"cannot append to {path}: it has {n_old} frames, {before} are expected before those that come: go on from "
            "a checkpoint that is not ahead of it"
        )
    return before


def warn_of_cut(path, n_frames, n_bytes):
    """Log that frames after the checkpoint, or part of one, go."""
    if n_frames > 0:
        logger.warning("%d frames at the end of %s, later than where the run goes on, are cut off", n_frames, path)
    elif n_bytes > 0:
        logger.warning("an incomplete frame of %d bytes at the end of %s is cut off", n_bytes, path)
