"""What trajectories of frames one after the other share: complete frames alone are read, and runs go on with a file."""

from pathlib import Path

from openmm_cgvae.core.errors import DataError, OutputError
from openmm_cgvae.formats.joining import frames_to_keep, warn_of_cut
from openmm_cgvae.formats.outputfile import OutputFile

__all__ = ["FrameWriter", "check_complete"]


def check_complete(path, n_frames, fault=None, salvage=False, n_announced=None):
    """Refuse a file without a complete frame, or one that is cut off or damaged and not to be salvaged.

    Parameters
    ----------
    path : path
    n_frames : int
        Complete frames.
    fault : str, optional
        What is wrong behind them, such as "is truncated".
    salvage : bool
        Take the complete frames all the same.
    n_announced : int, optional
        Frames by the file's own count.

    Raises
    ------
    DataError
    """
    if not n_frames:
        raise DataError(f"trajectory {path} {fault or 'is empty'}: it holds no complete frame")
    if fault and not salvage:
        known = f" after {n_frames} complete frames"
        if n_announced is not None:
            known = f": {n_announced} frames announced, {n_frames} complete"
        raise DataError(
            f"trajectory {path} {fault}{known}; copy it again, or use the complete frames by salvage=True (--salvage)"
        )


class FrameWriter:
    """Writes frames, many at a time; the file is complete after every call.

    Parameters
    ----------
    path : path
    n_atoms : int
    append : bool
        Go on with an existing file; see `join`.
    name : path, optional
        What messages call the file, where `path` is a temporary one.

    Raises
    ------
    OutputError
        If the file to go on with is of another number of particles, format or dialect.
    """

    # Reads the file to go on with: ``read``, ``n_atoms``, ``n_frames``, ``n_left``, ``has_box`` and ``position``.
    _reader = None

    def __init__(self, path, n_atoms, append=False, name=None):
        self.path, self._name, self._n_atoms, self._count = Path(path), name or path, n_atoms, 0
        self._existing = self._read_existing() if append else None
        self._file = OutputFile(self.path, append, self._name)

    def _read_existing(self):
        """The frames of the file to go on with; None of one that was only begun, by a run that was killed."""
        try:
            found = self._reader.read(self.path, salvage=True)
        except (DataError, OSError, ValueError) as error:
            if self._is_only_begun():
                return None
            raise OutputError(f"cannot append to {self.path}: {error}") from error
        if found.n_atoms != self._n_atoms:
            raise OutputError(
                f"cannot append frames of {self._n_atoms} particles to {self.path}, which has {found.n_atoms}"
            )
        self._check_dialect(found)
        return found

    def _is_only_begun(self):
        """Whether all there is is the beginning of a file as it is written here, without a complete frame."""
        raise NotImplementedError

    def _check_dialect(self, found):
        """Refuse a file that frames as they are written here do not fit (`OutputError`)."""

    def join(self, times, boxed, **how):
        """Cut an existing file back to where frames of these times go on; done by the first `write` otherwise.

        Parameters
        ----------
        times : numpy.ndarray, shape (k,), or None
            Of the first frames to come, in ps.
        boxed : bool
            Whether they have a periodic box.
        **how
            ``gaps``, ``before``, ``spare`` of `frames_to_keep`.

        Raises
        ------
        OutputError
            If box, interval or times do not go on with the file's.
        """
        if self._existing is None:
            return
        found, self._existing = self._existing, None
        old = self._known_times(found, times)
        keep = frames_to_keep(self.path, old, times, found.has_box, boxed, n_old=found.n_frames, **how)
        self._count = found.n_frames if keep < 0 else keep
        warn_of_cut(self._name, found.n_frames - self._count, found.n_left)
        self._file.truncate(found.position(self._count))
        self._go_on(found, old)

    def _known_times(self, found, times):
        """Times in ps of an existing file's frames; None where it does not tell them."""
        return found.times(range(found.n_frames)).astype(float) if found.has_times else None

    def _go_on(self, found, old):
        """Take over what an existing file's later frames must be like."""

    def flush(self):
        """Have what was written put on the disk."""
        self._file.flush()

    def close(self):
        """Finish the file; `OutputError` if not all of it is on the disk."""
        self._file.close()
