"""XTC files: what mdtraj does not do with them, notice an incomplete last frame and append."""

import os
import struct
import tempfile
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import DataError, OutputError, one_line

__all__ = ["XTCWriter", "particles_of_xtc"]


def particles_of_xtc(path):
    """Particles a frame; notices an incomplete last frame, which mdtraj passes over."""
    import mdtraj

    try:
        with mdtraj.open(str(path)) as file:
            last = int(file.offsets[-1]) if len(file) else None
    except Exception as error:
        raise DataError(f"trajectory {path} cannot be read: {one_line(error)}") from error
    if last is None:
        raise DataError(f"trajectory {path} is empty: it holds no frame")
    with open(path, "rb") as file:
        file.seek(last)
        head = file.read(92)
        n_atoms = struct.unpack(">i", head[4:8])[0]
        # Up to 9 atoms are stored plainly, more are compressed and preceded by their size.
        size = 56 + 12 * n_atoms if n_atoms <= 9 else 92 + -(-struct.unpack(">i", head[88:92])[0] // 4) * 4
    if last + size != os.path.getsize(path):
        raise DataError(f"trajectory {path} is truncated in its last frame: copy it again")
    return n_atoms


class XTCWriter:
    """Writes frames, many at a time; the file is complete after every call.

    Parameters
    ----------
    path : path
    n_atoms : int
    append : bool
        Go on with an existing file.

    Raises
    ------
    OutputError
        If the file to go on with is of another number of particles, or is no complete XTC file.
    """

    def __init__(self, path, n_atoms, append=False):
        self.path = Path(path)
        self._count = self._existing(n_atoms) if append else 0
        self._file = open(self.path, "ab" if append else "wb")  # noqa: SIM115 (closed by close)

    def _existing(self, n_atoms):
        """Number of frames of the file to go on with."""
        import mdtraj

        try:
            found = particles_of_xtc(self.path)
        except (DataError, OSError) as error:
            raise OutputError(f"cannot append to {self.path}: {error}") from error
        if found != n_atoms:
            raise OutputError(f"cannot append frames of {n_atoms} particles to {self.path}, which has {found}")
        with mdtraj.open(str(self.path)) as file:
            return len(file)

    def write(self, positions, times, vectors=None):
        """Append frames.

        Parameters
        ----------
        positions : numpy.ndarray, shape (f, n, 3)
            nm.
        times : numpy.ndarray, shape (f,)
            ps.
        vectors : numpy.ndarray, shape (f, 3, 3), optional
            Box vectors in nm.
        """
        from mdtraj.formats import XTCTrajectoryFile

        steps = np.arange(self._count, self._count + len(positions), dtype=np.int32)
        # A file of these frames alone: XTC files put end to end are one XTC file.
        with tempfile.TemporaryDirectory() as folder:
            part = Path(folder) / "part.xtc"
            with XTCTrajectoryFile(str(part), "w") as file:
                file.write(np.asarray(positions, np.float32), np.asarray(times, np.float32), steps, vectors)
            self._file.write(part.read_bytes())
        self._file.flush()
        self._count += len(positions)

    def close(self):
        """Finish the file."""
        self._file.close()
