"""DCD files read, in every dialect that is common, with their times; frames are read where they lie, in any order.

Of CHARMM and NAMD, of X-PLOR, with fixed atoms, with a fourth dimension, of either byte order and width of records.
"""

import os
import struct
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.formats.framefile import check_complete

__all__ = ["AKMA_PS", "DCDHeader", "frame_type"]

# CHARMM's unit of time in ps, in which the header is to hold the time step.
AKMA_PS = 0.04888821
# Of programs that keep to it, as their titles say. LAMMPS writes its own units; VMD and mdtraj write 1, whatever it is.
TIMEKEEPERS = ("openmm", "namd")
STRANGERS = ("lammps", "dcd plugin", "hoomd")
# Relative spacing of float32, twice.
SINGLE = 2.5e-7


@dataclass(frozen=True)
class DCDHeader:
    """What a DCD file holds.

    Parameters
    ----------
    path : pathlib.Path
    n_atoms, n_frames : int
        Particles, and complete frames.
    n_announced : int
        Frames by the header's own count; 0 where its program never went back to it.
    n_left : int
        Bytes after the last complete frame.
    first_step, interval : int
    time_step_ps : float or None
        None where the header does not tell it.
    has_box : bool
    has_fourth : bool
        Whether a record of a fourth dimension follows each frame's coordinates.
    free : numpy.ndarray of int or None
        Particles that later frames than the first hold, where the others are fixed.
    order, marker : str
        Byte order and type of what stands before and after each record, as numpy names them.
    start : int
        Where the first frame begins.
    """

    path: Path = field(compare=False)
    n_atoms: int
    n_frames: int
    n_announced: int
    n_left: int
    first_step: int
    interval: int
    time_step_ps: float | None
    has_box: bool
    has_fourth: bool
    free: np.ndarray | None
    order: str
    marker: str
    start: int

    @classmethod
    def read(cls, path, salvage=False):
        """Read a file's header.

        Parameters
        ----------
        path : path
        salvage : bool
            Take the complete frames of a file that is cut off.

        Raises
        ------
        DataError
            If it is no DCD file, holds no complete frame, or is cut off and not to be salvaged.
        """
        with open(path, "rb") as file:
            try:
                header = _read_header(cls, Path(path), file)
            except (struct.error, OverflowError) as error:
                raise DataError(f"trajectory {path} is truncated within its header") from error
        cut = header.n_frames and (header.n_left or header.n_frames < header.n_announced)
        check_complete(path, header.n_frames, "is truncated" if cut else None, salvage, header.n_announced)
        return header

    @property
    def has_times(self):
        """Whether the header tells the times of frames."""
        return self.time_step_ps is not None

    def times(self, frames):
        """Times in ps of frame numbers."""
        return (self.first_step + np.asarray(frames, dtype=np.int64) * self.interval) * self.time_step_ps

    def position(self, frame):
        """Where a frame begins in the file."""
        first, later = (kind.itemsize for kind in self._types)
        return self.start + (0 if frame == 0 else first + (frame - 1) * later)

    @cached_property
    def _types(self):
        """Layouts of the first frame and of later ones."""
        rest = self.has_box, self.has_fourth, self.order, self.marker
        n_free = self.n_atoms if self.free is None else len(self.free)
        return frame_type(self.n_atoms, *rest), frame_type(n_free, *rest)

    def frames(self, numbers):
        """Read frames.

        Parameters
        ----------
        numbers : int array, shape (f,)
            From 0, rising evenly.

        Returns
        -------
        positions : numpy.ndarray, shape (f, n, 3)
            float32, nm.
        lengths, angles : numpy.ndarray, shape (f, 3), or None
            Box in nm and degrees, float64.

        Raises
        ------
        DataError
            If the records of a frame do not fit the header.
        """
        if self.free is not None:
            return self._frames_of_free(numbers)
        found = self._records(numbers, self._types[1])
        box = _cells(found["box"]) if self.has_box else (None, None)
        return _positions(found), *box

    def _frames_of_free(self, numbers):
        first = self._records([0], self._types[0])
        later = self._records([k for k in numbers if k > 0], self._types[1])
        positions = np.repeat(_positions(first), len(numbers), axis=0)
        positions[len(numbers) - len(later) :, self.free] = _positions(later)
        if not self.has_box:
            return positions, None, None
        boxes = ([first] if len(later) < len(numbers) else []) + [later]
        return positions, *_cells(np.concatenate([part["box"] for part in boxes]))

    def _records(self, numbers, kind):
        """The frames as they lie in the file, in one read where they lie side by side."""
        found = np.empty(len(numbers), dtype=kind)
        dense = len(numbers) > 0 and numbers[-1] - numbers[0] == len(numbers) - 1
        with open(self.path, "rb") as file:
            for k, number in enumerate(numbers[:1] if dense else numbers):
                file.seek(self.position(number))
                part = np.fromfile(file, kind, len(numbers) if dense else 1)
                found[k : k + len(part)] = part
                if len(part) < (len(numbers) if dense else 1):
                    raise DataError(f"trajectory {self.path} has become shorter while it was read")
        _check_markers(found, numbers, self.path)
        return found


def frame_type(n_atoms, has_box=False, has_fourth=False, order="<", marker="i"):
    """The bytes of a frame as a numpy type: records between their own lengths, box first if there is one."""
    records = [("box", f"{order}f8", 6)] if has_box else []
    records += [(axis, f"{order}f4", (n_atoms,)) for axis in ("xyzw" if has_fourth else "xyz")]
    return np.dtype(
        [
            field
            for record in records
            for field in ((f"{record[0]}<", order + marker), record, (f"{record[0]}>", order + marker))
        ]
    )


def _check_markers(found, numbers, path):
    kind = found.dtype
    for name in kind.names[::3]:
        size = kind[name[:-1]].itemsize
        bad = (found[name] != size) | (found[f"{name[:-1]}>"] != size)
        if bad.any():
            raise DataError(f"trajectory {path} is damaged in frame {numbers[int(np.argmax(bad))]}: copy it again")


def _positions(found):
    positions = np.empty((len(found), found["x"].shape[1], 3), dtype=np.float32)
    for k, axis in enumerate("xyz"):
        positions[:, :, k] = found[axis]
    positions /= ANGSTROM_PER_NM
    return positions


def _cells(boxes):
    """Lengths in nm and angles in degrees of records (f, 6): cosines, degrees, or the symmetric matrix of CHARMM."""
    a, gamma, b, beta, alpha, c = np.asarray(boxes, dtype=float).T
    lengths, angles = np.stack([a, b, c], axis=1) / ANGSTROM_PER_NM, np.stack([alpha, beta, gamma], axis=1)
    if not len(angles) or (abs(angles) <= 1).all():
        return lengths, np.degrees(np.arccos(angles))
    if (angles > 20).all() and (angles < 180).all():
        return lengths, angles
    matrix = np.stack([a, gamma, beta, gamma, b, alpha, beta, alpha, c], axis=1).reshape(-1, 3, 3) / ANGSTROM_PER_NM
    lengths = np.linalg.norm(matrix, axis=-1)
    pairs = np.stack([(matrix[:, i] * matrix[:, j]).sum(-1) for i, j in ((1, 2), (0, 2), (0, 1))], axis=1)
    products = np.stack([lengths[:, i] * lengths[:, j] for i, j in ((1, 2), (0, 2), (0, 1))], axis=1)
    return lengths, np.degrees(np.arccos(np.divide(pairs, products, out=np.zeros_like(pairs), where=products > 0)))


def _read_header(cls, path, file):
    order, marker = _record_form(path, file.read(12))
    width = struct.calcsize(marker)

    def record():
        size = struct.unpack(order + marker, file.read(width))[0]
        content = file.read(max(0, size))
        if len(content) != size or file.read(width) != struct.pack(order + marker, size):
            raise struct.error("record")
        return content

    file.seek(0)
    head, title, particles = record(), record(), record()
    numbers = struct.unpack(order + "20i", head[4:84])
    n_atoms, n_fixed, charmm = struct.unpack(order + "i", particles[:4])[0], numbers[8], numbers[19] != 0
    delta = struct.unpack(order + ("f" if charmm else "d"), head[40 : 44 if charmm else 48])[0]
    if n_atoms < 1 or not 0 <= n_fixed < n_atoms:
        raise DataError(f"trajectory {path} is damaged: its header tells {n_atoms} particles, {n_fixed} of them fixed")
    free = np.frombuffer(record(), order + "i4").astype(np.int64) - 1 if n_fixed else None
    if free is not None and (len(free) != n_atoms - n_fixed or free.min() < 0 or free.max() >= n_atoms):
        raise DataError(f"trajectory {path} is damaged: its list of free particles does not fit the header")
    has_box, has_fourth = (charmm and numbers[k] != 0 for k in (10, 11))
    rest = has_box, has_fourth, order, marker
    body = os.path.getsize(path) - file.tell()
    first, later = (frame_type(n, *rest).itemsize for n in (n_atoms, n_atoms if free is None else len(free)))
    n_frames = 0 if body < first else 1 + (body - first) // later
    n_left = body - (first + (n_frames - 1) * later if n_frames else 0)
    step = _time_step(delta, title)
    return cls(path, n_atoms, n_frames, numbers[0], n_left, numbers[1], numbers[2] or 1, step, has_box, has_fourth,
               free, order, marker, file.tell())  # fmt: skip


def _record_form(path, head):
    """Byte order and type of the lengths around records."""
    for order in "<>":
        for marker in "iq":
            start = struct.pack(order + marker, 84)
            if head.startswith(start + b"VELD"):
                raise DataError(f"trajectory {path} holds velocities: a DCD file of positions is expected")
            if head.startswith(start + b"CORD"):
                return order, marker
    raise DataError(f"trajectory {path} is not a DCD file, or only the beginning of one")


def _time_step(delta, title):
    """Time step in ps of a header, None where it is of unknown units.

    A program that is known by its title is taken at its word. Of others, a step that is round in ps, and is not round
    as it stands, was meant as CHARMM's unit: a wrong one passes once in a thousand.
    """
    title, step = title.decode("ascii", "replace").lower(), delta * AKMA_PS
    if not np.isfinite(step) or step <= 0 or any(name in title for name in STRANGERS):
        return None
    if any(name in title for name in TIMEKEEPERS):
        return step
    return step if _is_round(step) and not _is_round(delta) else None


def _is_round(number):
    """Whether a number has three digits at most, its rounding to single precision apart."""
    return abs(float(f"{number:.3g}") - number) < 4 * SINGLE * number
