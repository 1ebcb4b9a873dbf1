"""DCD files written (CHARMM's layout): many frames at a time, appended if asked, with times as far as they have room.

mdtraj neither keeps times nor appends, and OpenMM writes a frame at a time in Python, too slowly beside a CG run.
"""

import logging
import os
import struct
from fractions import Fraction

import numpy as np

from openmm_cgvae.core.errors import OutputError
from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.formats.dcd import AKMA_PS, DCDHeader, frame_type
from openmm_cgvae.formats.framefile import FrameWriter
from openmm_cgvae.formats.joining import SINGLE, TOLERANCE, spacing_of

__all__ = ["HEADER_BYTES", "DCDWriter", "without_counts"]

logger = logging.getLogger(__name__)

TITLE = b"Created by openmm_cgvae"
# Of the header as it is written here, and what is written anew in it with every frame: counts and times.
HEADER_BYTES = 276
TITLE_START, TITLE_END = 96, 264
COUNTS = (slice(8, 24), slice(44, 48))
# What the header's integers hold.
LARGEST = 2**31 - 1


class DCDWriter(FrameWriter):
    """Writes frames, many at a time; the file is complete after every call.

    Parameters
    ----------
    path, n_atoms, append, name
        As of `FrameWriter`.
    title : str
        Second line of the title of a new file, 80 characters at most.
    """

    _reader = DCDHeader

    def __init__(self, path, n_atoms, append=False, name=None, title=""):
        super().__init__(path, n_atoms, append, name)
        self._title, self._times, self._frame_type, self._told = title.encode(), np.zeros(0), None, set()

    def _is_only_begun(self):
        """Whether all there is is the beginning of a file as it is written here, without a complete frame."""
        size = os.path.getsize(self.path)
        with open(self.path, "rb") as file:
            head = without_counts(file.read(HEADER_BYTES))
        for has_box in (False, True):
            own = without_counts(_header(self._n_atoms, has_box, b""))
            first = HEADER_BYTES + frame_type(self._n_atoms, has_box).itemsize
            # Titles may differ.
            if size < first and (head[:TITLE_START], head[TITLE_END:]) == (
                own[: min(size, TITLE_START)], own[TITLE_END:size]
            ):  # fmt: skip
                return True
        return False

    def _check_dialect(self, found):
        if found.free is not None or found.has_fourth or (found.order, found.marker) != ("<", "i"):
            raise OutputError(f"cannot append to {self.path}, a DCD file of another dialect: give a new file")

    def _go_on(self, found, old):
        self._frame_type = frame_type(self._n_atoms, found.has_box)
        if self._count:
            # The spacing of the times stays what it was.
            self._times = None if old is None else old[: min(2, self._count)]

    def write(self, positions, times, lengths=None, angles=None):
        """Append frames.

        Parameters
        ----------
        positions : numpy.ndarray, shape (f, n, 3)
            nm.
        times : numpy.ndarray, shape (f,), or None
            ps, evenly spaced: the file keeps the first and the spacing. None where they are not known, which the file
            then says, by a time step of zero.
        lengths, angles : numpy.ndarray, shape (f, 3), optional
            Periodic box in nm and degrees; in all calls or in none.
        """
        self.join(times, lengths is not None)
        if self._frame_type is None:
            self._frame_type = frame_type(self._n_atoms, lengths is not None)
            self._file.truncate(0)
            self._file.append(_header(self._n_atoms, lengths is not None, self._title))
        frames = _packed(self._frame_type, positions, lengths, angles)
        self._file.append(frames.tobytes())
        self._keep_times(times)
        self._count += len(frames)
        first, interval, step = self._timing()
        # After the frames, so that a killed process leaves a header that is true.
        last = min(first + (self._count - 1) * interval, LARGEST)
        self._file.overwrite(8, struct.pack("<4i", self._count, first, interval, last))
        self._file.overwrite(44, struct.pack("<f", step / AKMA_PS))

    def _keep_times(self, times):
        if times is None:
            self._times = None
        if self._times is None:
            return
        if len(self._times) < 2:
            # All times of the first call with more than one frame: their mean spacing is the most precise.
            self._times = np.concatenate([self._times, times])
        spacing = spacing_of(self._times) or 0.0
        expected = self._times[0] + np.arange(self._count, self._count + len(times)) * spacing
        if (abs(times - expected) > TOLERANCE * spacing + 4 * SINGLE * abs(expected)).any():
            self._tell("frames of %s are not evenly spaced in time, as a DCD file has them: times in it are wrong, an "
                       "XTC file's would not be", self._name)  # fmt: skip

    def _timing(self):
        """First step, steps between frames, and ps a step, so that frame k is at times[0] + k dt."""
        if self._times is None:
            return 0, 1, 0.0
        dt = spacing_of(self._times)
        if dt is None:
            # One frame, or frames without a time between them.
            return (1, 1, self._times[0]) if self._times[0] > 0 and len(self._times) == 1 else (0, 1, AKMA_PS)
        for largest in (1000, 1):
            start = Fraction(self._times[0] / dt).limit_denominator(largest)
            if abs(start.numerator) + self._count * start.denominator <= LARGEST:
                break
        else:
            start = Fraction(max(0, LARGEST - self._count))
        off = float(start) * dt - self._times[0]
        if abs(off) > TOLERANCE * dt + 4 * SINGLE * abs(self._times[0]):
            self._tell("a DCD file has no room for the time of the first frame of %s, %g ps: times in it are %g ps off",
                       self._name, self._times[0], off)  # fmt: skip
        return start.numerator, start.denominator, dt / start.denominator

    def _tell(self, message, *values):
        if message not in self._told:
            self._told.add(message)
            logger.warning(message, *values)


def _packed(kind, positions, lengths, angles):
    frames = np.zeros(len(positions), dtype=kind)
    for k, axis in enumerate("xyz"):
        frames[axis] = positions[:, :, k] * ANGSTROM_PER_NM
        frames[f"{axis}<"] = frames[f"{axis}>"] = 4 * positions.shape[1]
    if "box" in kind.names:
        alpha, beta, gamma = np.cos(np.radians(angles)).T
        a, b, c = lengths.T * ANGSTROM_PER_NM
        frames["box"] = np.stack([a, gamma, b, beta, alpha, c], axis=1)
        frames["box<"] = frames["box>"] = 48
    return frames


def without_counts(head):
    """The beginning of a file without what every frame changes in it, bytes."""
    head = bytearray(head)
    for part in COUNTS:
        head[part] = bytes(len(head[part]))
    return bytes(head)


def _header(n_atoms, has_box, title):
    # 20 numbers after the magic word: counts and times, filled in by `write`; the box flag; CHARMM version 24.
    numbers = struct.pack("<9if10i", *[0] * 9, 0.0, int(has_box), *[0] * 8, 24)
    title = struct.pack("<2i80s80si", 164, 2, TITLE, title, 164)
    return (
        struct.pack("<i4s", 84, b"CORD") + numbers + struct.pack("<i", 84) + title + struct.pack("<3i", 4, n_atoms, 4)
    )
