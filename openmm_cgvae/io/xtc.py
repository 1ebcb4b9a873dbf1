"""XTC files: found frame by frame, so that a file that is cut off tells what is whole in it; written and appended to.

mdtraj does the compression, of files of a few frames at a time: XTC files put end to end are one XTC file.
"""

import logging
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import DataError, OutputError, one_line
from openmm_cgvae.io.joining import TOLERANCE, frames_to_keep, spacing_of, warn_of_cut
from openmm_cgvae.io.paths import ascii_folder

__all__ = ["XTCFrames", "XTCWriter"]

logger = logging.getLogger(__name__)

# The usual layout, and that of GROMACS for frames of more than 2^31 bytes, whose size takes 8.
MAGIC, LONG_MAGIC = 1995, 2023
# Up to 9 particles are stored plainly.
PLAIN = 9
HEAD = struct.Struct(">3if9fi")
STEPS = 2**31


@dataclass(frozen=True)
class XTCFrames:
    """Where the complete frames of a file lie, and when they are.

    Parameters
    ----------
    path : pathlib.Path
    n_atoms : int
    offsets : numpy.ndarray of int, shape (f + 1,)
        Where each frame begins, and where the last one ends.
    all_times : numpy.ndarray, shape (f,)
        ps.
    n_left : int
        Bytes after the last complete frame.
    """

    path: Path
    n_atoms: int
    offsets: np.ndarray
    all_times: np.ndarray
    n_left: int

    has_times = True

    @classmethod
    def read(cls, path, salvage=False):
        """Find the frames of a file.

        Parameters
        ----------
        path : path
        salvage : bool
            Take the complete frames of a file that is cut off, or damaged further on.

        Raises
        ------
        DataError
            If it is no XTC file, holds no complete frame, or is cut off or damaged and not to be salvaged.
        """
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            n_atoms, offsets, times, fault = _scan(data)
            n_left = len(data) - offsets[-1]
        if not times and fault == "is damaged":
            raise DataError(f"trajectory {path} cannot be read: it is no XTC file")
        if not times:
            raise DataError(f"trajectory {path} is truncated: it holds no complete frame")
        if fault and not salvage:
            raise DataError(
                f"trajectory {path} {fault} after {len(times)} complete frames: copy it again, or use the complete "
                "frames by salvage=True (--salvage)"
            )
        return cls(Path(path), n_atoms, np.array(offsets), np.array(times), n_left)

    @property
    def n_frames(self):
        return len(self.all_times)

    def times(self, frames):
        """Times in ps of frame numbers."""
        return self.all_times[frames]

    def frames(self, numbers):
        """Read frames.

        Parameters
        ----------
        numbers : int array, shape (f,)

        Returns
        -------
        positions : numpy.ndarray, shape (f, n, 3)
            float32, nm.
        vectors : numpy.ndarray, shape (f, 3, 3)
            Box vectors in nm; zero where there is no box.

        Raises
        ------
        DataError
            If a frame cannot be unpacked.
        """
        with open(self.path, "rb") as file:
            packed = [self._bytes(file, number) for number in numbers]
        vectors = np.stack([np.frombuffer(frame, ">f4", 9, 16).reshape(3, 3) for frame in packed]).astype(float)
        if self.n_atoms <= PLAIN:
            plain = [np.frombuffer(frame, ">f4", 3 * self.n_atoms, 56).reshape(-1, 3) for frame in packed]
            return np.stack(plain).astype(np.float32), vectors
        return _unpacked(packed, numbers, self.path), vectors

    def _bytes(self, file, number):
        file.seek(self.offsets[number])
        return file.read(self.offsets[number + 1] - self.offsets[number])


def _scan(data):
    """Particles, beginnings of frames and the end of the last, times, and what is wrong with the file, or None."""
    offsets, times, n_atoms, size = [0], [], None, len(data)
    while (at := offsets[-1]) < size:
        if at + HEAD.size > size:
            return n_atoms, offsets, times, "is truncated"
        magic, count, _, time, *_ = HEAD.unpack_from(data, at)
        if magic not in (MAGIC, LONG_MAGIC) or count < 1 or count != (n_atoms or count):
            return n_atoms, offsets, times, "is damaged"
        n_atoms = count
        if count <= PLAIN:
            end = at + HEAD.size + 12 * count
        else:
            wide = magic == LONG_MAGIC
            if at + 92 + 4 * wide > size:
                return n_atoms, offsets, times, "is truncated"
            length = struct.unpack_from(">q" if wide else ">i", data, at + 88)[0]
            if length < 0:
                return n_atoms, offsets, times, "is damaged"
            end = at + 92 + 4 * wide + -(-length // 4) * 4
        if end > size:
            return n_atoms, offsets, times, "is truncated"
        offsets.append(end)
        times.append(time)
    return n_atoms, offsets, times, None


def _unpacked(packed, numbers, path):
    """Positions of compressed frames, by a file of them alone."""
    from mdtraj.formats import XTCTrajectoryFile

    with ascii_folder() as folder:
        part = folder / "part.xtc"
        part.write_bytes(b"".join(packed))
        try:
            with XTCTrajectoryFile(str(part)) as file:
                positions = file.read(len(packed))[0]
        except Exception as error:
            raise DataError(f"trajectory {path} cannot be read: {one_line(error)}") from error
    if len(positions) != len(packed):
        raise DataError(f"trajectory {path} is damaged in frame {numbers[len(positions)]}: copy it again")
    return positions


class XTCWriter:
    """Writes frames, many at a time; the file is complete after every call.

    Parameters
    ----------
    path : path
    n_atoms : int
    append : bool
        Go on with an existing file; see `join`.
    name : path, optional
        What the log calls the file, where `path` is a temporary one.

    Raises
    ------
    OutputError
        If the file to go on with is of another number of particles, or is no XTC file.
    """

    def __init__(self, path, n_atoms, append=False, name=None):
        self.path = Path(path)
        self._name = name or path
        self._count, self._told = 0, False
        self._existing = self._read_existing(n_atoms) if append else None
        self._file = open(self.path, "r+b" if append else "wb")  # noqa: SIM115 (closed by close)

    def _read_existing(self, n_atoms):
        try:
            found = XTCFrames.read(self.path, salvage=True)
        except (DataError, OSError, ValueError) as error:
            raise OutputError(f"cannot append to {self.path}: {error}") from error
        if found.n_atoms != n_atoms:
            raise OutputError(f"cannot append frames of {n_atoms} particles to {self.path}, which has {found.n_atoms}")
        return found

    def join(self, times, boxed, gaps=False):
        """Cut an existing file back to where frames of these times go on; as ``DCDWriter.join``."""
        if self._existing is None:
            return
        found, self._existing = self._existing, None
        old = None if times is None else found.all_times
        boxed_old = bool(found.frames([0])[1].any())
        keep = frames_to_keep(self.path, old, times, boxed_old, boxed, gaps)
        self._count = found.n_frames if keep < 0 else keep
        warn_of_cut(self._name, found.n_frames - self._count, found.n_left)
        self._file.truncate(found.offsets[self._count])

    def write(self, positions, times, vectors=None):
        """Append frames.

        Parameters
        ----------
        positions : numpy.ndarray, shape (f, n, 3)
            nm.
        times : numpy.ndarray, shape (f,), or None
            ps; where they are not known, frames are counted in their place, which the log says.
        vectors : numpy.ndarray, shape (f, 3, 3), optional
            Box vectors in nm.
        """
        from mdtraj.formats import XTCTrajectoryFile

        self.join(times, vectors is not None)
        numbers = np.arange(self._count, self._count + len(positions))
        if times is None:
            self._tell("times of the frames of %s are not known: 0, 1, 2, ... ps are written", self._name)
            times = numbers
        times = np.asarray(times, dtype=float)
        if abs(times.astype(np.float32) - times).max(initial=0.0) > TOLERANCE * (spacing_of(times) or np.inf):
            self._tell(
                "an XTC file has 7 digits for a time, too few for the frames of %s, %g ps apart at %g ps: their times "
                "are rounded, a DCD file's would not be", self._name, spacing_of(times), times[0],
            )  # fmt: skip
        with ascii_folder() as folder:
            part = folder / "part.xtc"
            with XTCTrajectoryFile(str(part), "w") as file:
                steps = (numbers % STEPS).astype(np.int32)
                file.write(np.asarray(positions, np.float32), times.astype(np.float32), steps, vectors)
            self._file.seek(0, 2)
            self._file.write(part.read_bytes())
        self._file.flush()
        self._count += len(positions)

    def _tell(self, message, *values):
        if not self._told:
            self._told = True
            logger.warning(message, *values)

    def close(self):
        """Finish the file."""
        self._file.close()
