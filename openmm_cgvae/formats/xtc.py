"""XTC files: found frame by frame, so that a file that is cut off tells what is whole in it, and read in any order.

mdtraj does the decompression, of files of the frames that are wanted: XTC files put end to end are one XTC file.
"""

import mmap
import struct
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.core.plainfiles import ascii_folder
from openmm_cgvae.core.translation import translated
from openmm_cgvae.formats.framefile import check_complete
from openmm_cgvae.formats.xtcstream import stream_fits

__all__ = ["LONG_MAGIC", "MAGIC", "XTCFrames", "scan_frames"]

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
        """Find the frames of a file, as `DCDHeader.read` does; one that is damaged further on may be salvaged too."""
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            n_atoms, offsets, times, fault = scan_frames(data)
            n_left = len(data) - int(offsets[-1])
        if not len(times) and fault == "is damaged":
            raise DataError(f"trajectory {path} cannot be read: it is no XTC file")
        check_complete(path, len(times), fault, salvage)
        return cls(Path(path), n_atoms, offsets, times, n_left)

    @property
    def n_frames(self):
        return len(self.all_times)

    @property
    def has_box(self):
        """Whether the first frame has a box."""
        return bool(self.frames([0])[1].any())

    def position(self, frame):
        """Where a frame begins in the file."""
        return self.offsets[frame]

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


def scan_frames(data):
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
    # The library reads a stream into room for 1.2 times the coordinates as integers, less three words of its own.
    bad |= sizes - np.where(heads["magic"] == MAGIC, 92, 96) > 4 * (int(3 * frames.n_atoms * 1.2) - 3)
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
        failing = translated(DataError, f"trajectory {path} cannot be read ({{reason}}): copy it again")
        with failing, XTCTrajectoryFile(str(part)) as file:
            positions = file.read(len(numbers))[0]
    if len(positions) != len(numbers):
        raise DataError(f"trajectory {path} is damaged in frame {numbers[len(positions)]}: copy it again")
    return positions
