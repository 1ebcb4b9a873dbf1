"""XTC files: found frame by frame, so that a file that is cut off tells what is whole in it; written and appended to.

mdtraj does the compression, of files of a few frames at a time: XTC files put end to end are one XTC file.
"""

import logging
import mmap
import struct
from array import array
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import DataError, OutputError
from openmm_cgvae.core.translation import translated
from openmm_cgvae.formats.joining import ClockWarning, frames_to_keep, warn_of_cut
from openmm_cgvae.formats.outputfile import OutputFile, naming
from openmm_cgvae.formats.paths import ascii_folder
from openmm_cgvae.formats.xtcstream import stream_fits

__all__ = ["XTCFrames", "XTCWriter"]

logger = logging.getLogger(__name__)

# The usual layout, and that of GROMACS for frames of more than 2^31 bytes, whose size takes 8.
MAGIC, LONG_MAGIC = 1995, 2023
# Up to 9 particles are stored plainly.
PLAIN = 9
# What stands before the bits of a compressed frame: range of its integers, and the index of a table of sizes.
HEAD_TYPE = np.dtype([
    ("magic", ">i4"), ("count", ">i4"), ("step", ">i4"), ("time", ">f4"), ("box", ">f4", (3, 3)), ("again", ">i4"),
    ("precision", ">f4"), ("least", ">i4", (3,)), ("most", ">i4", (3,)), ("small", ">i4"),
])  # fmt: skip
# Bytes before the positions of a frame.
HEAD = 56
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
            n_left = len(data) - int(offsets[-1])
        if not len(times) and fault == "is damaged":
            raise DataError(f"trajectory {path} cannot be read: it is no XTC file")
        if not len(times):
            raise DataError(f"trajectory {path} is truncated: it holds no complete frame")
        if fault and not salvage:
            raise DataError(
                f"trajectory {path} {fault} after {len(times)} complete frames: copy it again, or use the complete "
                "frames by salvage=True (--salvage)"
            )
        return cls(Path(path), n_atoms, offsets, times, n_left)

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
            Rising.

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
            if self.n_atoms <= PLAIN:
                file.seek(self.offsets[numbers[0]])
                data = file.read(self.offsets[numbers[-1] + 1] - self.offsets[numbers[0]])
                found = np.frombuffer(data, _plain_type(self.n_atoms))[np.asarray(numbers) - numbers[0]]
                return found["positions"].astype(np.float32), found["box"].astype(float)
            packed, starts = self._packed(file, np.asarray(numbers))
        heads = np.frombuffer(packed, np.uint8)[starts[:, None] + np.arange(HEAD_TYPE.itemsize)].view(HEAD_TYPE)[:, 0]
        _check_heads(heads, np.diff(starts, append=len(packed)), numbers, self)
        _check_streams(packed, heads, starts, numbers, self)
        return _unpacked(packed, numbers, self.path), heads["box"].astype(float)

    def _packed(self, file, numbers):
        """Bytes of frames end to end, and where each begins."""
        begins, ends = self.offsets[numbers], self.offsets[numbers + 1]
        if numbers[-1] - numbers[0] == len(numbers) - 1:
            file.seek(begins[0])
            return file.read(ends[-1] - begins[0]), begins - begins[0]
        frames = []
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            file.seek(begin)
            frames.append(file.read(end - begin))
        return b"".join(frames), np.cumsum(ends - begins) - (ends - begins)


def _scan(data):
    """Particles, beginnings of frames and the end of the last, times, and what is wrong with the file, or None."""
    if len(data) < HEAD:
        return None, np.zeros(1, dtype=int), np.zeros(0), "is truncated"
    magic, n_atoms = struct.unpack_from(">2i", data)
    if magic not in (MAGIC, LONG_MAGIC) or n_atoms < 1:
        return None, np.zeros(1, dtype=int), np.zeros(0), "is damaged"
    return n_atoms, *(_scan_plain if n_atoms <= PLAIN else _scan_compressed)(data, n_atoms)


def _scan_plain(data, n_atoms):
    kind = _plain_type(n_atoms)
    # A copy, since the file is not to stay mapped.
    heads = np.frombuffer(data, kind, len(data) // kind.itemsize)[["magic", "count", "time"]].copy()
    bad = np.flatnonzero((heads["magic"] != MAGIC) | (heads["count"] != n_atoms))
    n_frames = bad[0] if len(bad) else len(heads)
    cut = "is truncated" if len(data) % kind.itemsize else None
    times = heads["time"][:n_frames].astype(float)
    return np.arange(n_frames + 1) * kind.itemsize, times, "is damaged" if len(bad) else cut


def _scan_compressed(data, n_atoms):
    # Lists would take ten times the room.
    offsets, times, size = array("q", [0]), array("d"), len(data)
    fault = None
    while fault is None and (at := offsets[-1]) < size:
        if at + 96 > size:
            fault = "is truncated"
            break
        magic, count = struct.unpack_from(">2i", data, at)
        wide = magic == LONG_MAGIC
        length = struct.unpack_from(">q" if wide else ">i", data, at + 88)[0]
        end = at + 92 + 4 * wide + -(-length // 4) * 4
        if magic not in (MAGIC, LONG_MAGIC) or count != n_atoms or length < 0:
            fault = "is damaged"
        elif end > size:
            fault = "is truncated"
        else:
            offsets.append(end)
            times.append(struct.unpack_from(">f", data, at + 12)[0])
    return np.array(offsets), np.array(times), fault


def _plain_type(n_atoms):
    """The bytes of a frame of few particles."""
    box, positions = ("box", ">f4", (3, 3)), ("positions", ">f4", (n_atoms, 3))
    return np.dtype(
        [("magic", ">i4"), ("count", ">i4"), ("step", ">i4"), ("time", ">f4"), box, ("again", ">i4"), positions]
    )


def _check_heads(heads, sizes, numbers, frames):
    """Refuse frames that the library that unpacks them would run away with (`DataError`)."""
    spread = heads["most"].astype(np.int64) - heads["least"]
    bad = (heads["again"] != frames.n_atoms) | (spread < 0).any(1)
    bad |= ~((heads["precision"] > 0) & np.isfinite(heads["precision"]))
    # More than the coordinates take uncompressed.
    bad |= sizes > 92 + 16 * frames.n_atoms + 64
    if bad.any():
        raise DataError(f"trajectory {frames.path} is damaged in frame {numbers[int(np.argmax(bad))]}: copy it again")


def _check_streams(packed, heads, starts, numbers, frames):
    """Refuse frames whose packed coordinates lead the library that unpacks them astray (`DataError`)."""
    columns = [heads[name].tolist() for name in ("magic", "least", "most", "small")]
    for number, start, magic, least, most, small in zip(numbers, starts.tolist(), *columns, strict=True):
        begin = start + (92 if magic == MAGIC else 96)
        length = int.from_bytes(packed[start + 88 : begin], "big")
        if not stream_fits(packed[begin : begin + length], frames.n_atoms, least, most, small):
            raise DataError(f"trajectory {frames.path} is damaged in frame {number}: copy it again")


def _unpacked(packed, numbers, path):
    """Positions of compressed frames, by a file of them alone."""
    from mdtraj.formats import XTCTrajectoryFile

    with ascii_folder() as folder:
        part = folder / "part.xtc"
        part.write_bytes(packed)
        with translated(DataError, f"trajectory {path} cannot be read ({{reason}}): copy it again"):
            with XTCTrajectoryFile(str(part)) as file:
                positions = file.read(len(numbers))[0]
    if len(positions) != len(numbers):
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
        self._clock = ClockWarning("an XTC file", self._name)
        self._existing = self._read_existing(n_atoms) if append else None
        self._file = OutputFile(self.path, append, self._name)

    def _read_existing(self, n_atoms):
        """The frames of the file to go on with; None if it holds none yet."""
        with open(self.path, "rb") as file:
            head = file.read(8)
        try:
            found = XTCFrames.read(self.path, salvage=True)
        except (DataError, OSError, ValueError) as error:
            if any(struct.pack(">2i", magic, n_atoms).startswith(head) for magic in (MAGIC, LONG_MAGIC)):
                return None
            raise OutputError(f"cannot append to {self.path}: {error}") from error
        if found.n_atoms != n_atoms:
            raise OutputError(f"cannot append frames of {n_atoms} particles to {self.path}, which has {found.n_atoms}")
        return found

    def join(self, times, boxed, **how):
        """Cut an existing file back to where frames of these times go on; as ``DCDWriter.join``."""
        if self._existing is None:
            return
        found, self._existing = self._existing, None
        old = None if times is None else found.all_times
        boxed_old = bool(found.frames([0])[1].any())
        keep = frames_to_keep(self.path, old, times, boxed_old, boxed, n_old=found.n_frames, **how)
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
        if self._count == 0:
            # What a process that was killed left of its first frame.
            self._file.truncate(0)
        numbers = np.arange(self._count, self._count + len(positions))
        if times is None:
            self._say_unknown()
            times = numbers
        self._clock.check(times)
        times = np.asarray(times, dtype=np.float32)
        with ascii_folder() as folder:
            part = folder / "part.xtc"
            # What is not written whole is noticed below; the library tells some of it.
            with naming(self._name), suppress(RuntimeError), XTCTrajectoryFile(str(part), "w") as file:
                steps = (numbers % STEPS).astype(np.int32)
                file.write(np.asarray(positions, np.float32), times, steps, vectors)
            content = part.read_bytes() if part.exists() else b""
        self._check(content, len(positions))
        self._file.append(content)
        self._count += len(positions)

    def _check(self, content, n_frames):
        """Refuse what the library has not written whole, which it does not tell."""
        _, _, times, fault = _scan(content)
        if fault or len(times) != n_frames:
            raise OutputError(
                f"output {self._name} cannot be written: frames cannot be compressed, as the folder of temporary files "
                "has no room (free some, or set TMPDIR), or coordinates are beyond 10^6 nm"
            )

    def _say_unknown(self):
        if not self._told:
            self._told = True
            logger.warning("times of the frames of %s are not known: 0, 1, 2, ... ps are written", self._name)

    def flush(self):
        """Have what was written put on the disk."""
        self._file.flush()

    def close(self):
        """Finish the file; `OutputError` if not all of it is on the disk."""
        self._file.close()
