"""DCD files (CHARMM's layout): what mdtraj does not read of them, and a writer.

mdtraj neither keeps times nor appends, and OpenMM writes a frame at a time in Python, too slowly beside a CG run.
"""

import os
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import DataError, OutputError
from openmm_cgvae.core.units import ANGSTROM_PER_NM

__all__ = ["DCDHeader", "DCDWriter"]

# CHARMM's unit of time in ps, in which the header holds the time step.
AKMA_PS = 0.04888821
TITLE = b"Created by openmm_cgvae"


@dataclass(frozen=True)
class DCDHeader:
    """The header fields that matter: particles, complete frames, times, and whether there is a box."""

    n_atoms: int
    n_frames: int
    first_step: int
    interval: int
    time_step_ps: float
    has_box: bool

    @classmethod
    def read(cls, path):
        """Read a file's header, and refuse a file whose size does not fit it (`DataError`)."""
        with open(path, "rb") as file:
            head = file.read(100)
            try:
                if len(head) < 100 or head[4:8] != b"CORD" or head[:4] not in (b"T\0\0\0", b"\0\0\0T"):
                    raise DataError(f"trajectory {path} is not a DCD file, or only the beginning of one")
                order = "<" if head[:4] == b"T\0\0\0" else ">"
                n_frames, first, interval = struct.unpack(order + "3i", head[8:20])
                delta, has_box = struct.unpack(order + "fi", head[44:52])
                file.seek(92 + 4 + struct.unpack(order + "i", head[92:96])[0] + 4)
                n_atoms = struct.unpack(order + "3i", file.read(12))[1]
            except struct.error as error:
                raise DataError(f"trajectory {path} is truncated within its header") from error
            body = os.path.getsize(path) - file.tell()
        complete, rest = divmod(body, _frame_type(n_atoms, has_box).itemsize)
        if complete == 0:
            raise DataError(f"trajectory {path} is empty: it holds no complete frame")
        # Some programs leave the number of frames in the header at 0; the file size then tells it.
        if rest or (n_frames and complete < n_frames):
            raise DataError(
                f"trajectory {path} is truncated: {n_frames} frames announced, {complete} complete; "
                "copy it again, or rewrite the complete frames with mdconvert"
            )
        return cls(n_atoms, complete, first, interval, delta * AKMA_PS, bool(has_box))

    def times(self, frames):
        """Times in ps of frame numbers."""
        return (self.first_step + frames * self.interval) * self.time_step_ps


class DCDWriter:
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
        If the file to go on with is of another number of particles, or is no complete DCD file.
    """

    def __init__(self, path, n_atoms, append=False):
        self.path = Path(path)
        self._n_atoms = n_atoms
        self._times = np.zeros(0)
        self._frame_type = None
        self._count = 0
        if append:
            self._continue()
        self._file = open(self.path, "r+b" if append else "wb")  # noqa: SIM115 (closed by close)

    def _continue(self):
        try:
            header = DCDHeader.read(self.path)
        except (DataError, OSError) as error:
            raise OutputError(f"cannot append to {self.path}: {error}") from error
        if header.n_atoms != self._n_atoms:
            raise OutputError(
                f"cannot append frames of {self._n_atoms} particles to {self.path}, which has {header.n_atoms}"
            )
        self._frame_type = _frame_type(self._n_atoms, header.has_box)
        self._count = header.n_frames
        # The spacing of the times stays what it was.
        self._times = header.times(np.arange(2))

    def write(self, positions, times, lengths=None, angles=None):
        """Append frames.

        Parameters
        ----------
        positions : numpy.ndarray, shape (f, n, 3)
            nm.
        times : numpy.ndarray, shape (f,)
            ps, evenly spaced: the file keeps the first and the spacing.
        lengths, angles : numpy.ndarray, shape (f, 3), optional
            Periodic box in nm and degrees; in all calls or in none.
        """
        if self._frame_type is None:
            self._frame_type = _frame_type(self._n_atoms, lengths is not None)
            self._file.write(_header(self._n_atoms, lengths is not None))
        frames = _packed(self._frame_type, positions, lengths, angles)
        self._file.seek(0, os.SEEK_END)
        self._file.write(frames.tobytes())
        self._count += len(frames)
        if len(self._times) < 2:
            # All times of the first call with more than one frame: their mean spacing is the most precise.
            self._times = np.concatenate([self._times, times])
        first, interval, step = self._timing()
        # After the frames, so that a killed process leaves a header that is true.
        self._file.seek(8)
        self._file.write(struct.pack("<4i", self._count, first, interval, first + (self._count - 1) * interval))
        self._file.seek(44)
        self._file.write(struct.pack("<f", step / AKMA_PS))
        self._file.flush()

    def _timing(self):
        """First step, steps between frames, and ps a step, so that frame k is at times[0] + k dt."""
        n = len(self._times)
        dt = (self._times[-1] - self._times[0]) / (n - 1) if n > 1 else 0.0
        if not dt > 0:
            # One frame, or frames without a time between them.
            return 0, 1, AKMA_PS
        start = Fraction(self._times[0] / dt).limit_denominator(1000)
        return start.numerator, start.denominator, dt / start.denominator

    def close(self):
        """Finish the file."""
        self._file.close()


def _frame_type(n_atoms, has_box):
    """The bytes of a frame: records between their own lengths, box first if there is one."""
    records = [("box", "<f8", 6)] if has_box else []
    records += [(axis, "<f4", n_atoms) for axis in "xyz"]
    return np.dtype(
        [field for record in records for field in ((f"{record[0]}<", "<i4"), record, (f"{record[0]}>", "<i4"))]
    )


def _packed(frame_type, positions, lengths, angles):
    frames = np.zeros(len(positions), dtype=frame_type)
    for k, axis in enumerate("xyz"):
        frames[axis] = positions[:, :, k] * ANGSTROM_PER_NM
        frames[f"{axis}<"] = frames[f"{axis}>"] = 4 * positions.shape[1]
    if "box" in frame_type.names:
        alpha, beta, gamma = np.cos(np.radians(angles)).T
        a, b, c = lengths.T * ANGSTROM_PER_NM
        frames["box"] = np.stack([a, gamma, b, beta, alpha, c], axis=1)
        frames["box<"] = frames["box>"] = 48
    return frames


def _header(n_atoms, has_box):
    # 20 numbers after the magic word: counts and times, filled in by `write`; the box flag; CHARMM version 24.
    numbers = struct.pack("<9if10i", *[0] * 9, 0.0, int(has_box), *[0] * 8, 24)
    title = struct.pack("<2i80s80si", 164, 2, TITLE, b"", 164)
    return (
        struct.pack("<i4s", 84, b"CORD") + numbers + struct.pack("<i", 84) + title + struct.pack("<3i", 4, n_atoms, 4)
    )
