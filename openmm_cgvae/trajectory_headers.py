"""What DCD and XTC files say of themselves and mdtraj does not pass on: times, and whether they are complete."""

import os
import struct
from dataclasses import dataclass
from fractions import Fraction

from openmm_cgvae.errors import DataError

__all__ = ["DCDHeader", "one_line", "particles_of_xtc"]

# CHARMM's unit of time in ps, in which a DCD header holds the time step.
AKMA_PS = 0.04888821


@dataclass(frozen=True)
class DCDHeader:
    """The few header fields that mdtraj neither reads nor writes (CHARMM's layout)."""

    n_atoms: int
    first_step: int
    interval: int
    time_step_ps: float

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
        frame_size = 3 * (4 * n_atoms + 8) + (56 if has_box else 0)
        complete, rest = divmod(body, frame_size)
        if complete == 0:
            raise DataError(f"trajectory {path} is empty: it holds no complete frame")
        # A header of 0 frames is left by programs that never went back to it; the size alone counts then.
        if rest or (n_frames and complete < n_frames):
            raise DataError(
                f"trajectory {path} is truncated: {n_frames} frames announced, {complete} complete; "
                "copy it again, or rewrite the complete frames with mdconvert"
            )
        return cls(n_atoms, first, interval, delta * AKMA_PS)

    def times(self, frames):
        """Times in ps of frame numbers."""
        return (self.first_step + frames * self.interval) * self.time_step_ps

    @staticmethod
    def set_times(path, times):
        """Set first step, interval and time step of a file of mdtraj's, so that frame k is at times[0] + k dt."""
        dt = times[1] - times[0] if len(times) > 1 else 0.0
        # One frame, or frames without a time between them: mdtraj's own header stands.
        if not dt > 0:
            return
        # First step and interval are whole numbers of steps, so the step is a fraction of dt.
        start = Fraction(times[0] / dt).limit_denominator(1000)
        with open(path, "r+b") as file:
            file.seek(12)
            file.write(struct.pack("=2i", start.numerator, start.denominator))
            file.seek(44)
            file.write(struct.pack("=f", dt / start.denominator / AKMA_PS))


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


def one_line(error):
    """Another package's error on one short line."""
    return " ".join(str(error).split())[:200]
