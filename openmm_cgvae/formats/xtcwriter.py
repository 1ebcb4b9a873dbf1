"""XTC files written and appended to, some frames at a time.

mdtraj does the compression, of files of a few frames: XTC files put end to end are one XTC file.
"""

import logging
import struct
from contextlib import suppress

import numpy as np

from openmm_cgvae.core.errors import OutputError
from openmm_cgvae.core.plainfiles import ascii_folder
from openmm_cgvae.formats.framefile import FrameWriter
from openmm_cgvae.formats.joining import ClockWarning
from openmm_cgvae.formats.outputfile import naming
from openmm_cgvae.formats.xtc import LONG_MAGIC, MAGIC, XTCFrames, scan_frames

__all__ = ["XTCWriter"]

logger = logging.getLogger(__name__)

STEPS = 2**31


class XTCWriter(FrameWriter):
    """Writes frames, many at a time; the file is complete after every call.

    Parameters
    ----------
    path, n_atoms, append, name
        As of `FrameWriter`.
    """

    _reader = XTCFrames

    def __init__(self, path, n_atoms, append=False, name=None):
        super().__init__(path, n_atoms, append, name)
        self._told, self._clock = False, ClockWarning("an XTC file", self._name)

    def _is_only_begun(self):
        with open(self.path, "rb") as file:
            head = file.read(8)
        return any(struct.pack(">2i", magic, self._n_atoms).startswith(head) for magic in (MAGIC, LONG_MAGIC))

    def _known_times(self, found, times):
        # A file whose frames were counted in the place of times is gone on with by count.
        return None if times is None else found.all_times

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
        _, _, times, fault = scan_frames(content)
        if fault or len(times) != n_frames:
            raise OutputError(
                f"output {self._name} cannot be written: frames cannot be compressed, as the folder of temporary files "
                "has no room (free some, or set TMPDIR), or coordinates are beyond 10^6 nm"
            )

    def _say_unknown(self):
        if not self._told:
            self._told = True
            logger.warning("times of the frames of %s are not known: 0, 1, 2, ... ps are written", self._name)
