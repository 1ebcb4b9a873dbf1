"""What mdtraj does not say of XTC files: whether the last frame is complete."""

import os
import struct

from openmm_cgvae.core.errors import DataError, one_line

__all__ = ["particles_of_xtc"]


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
