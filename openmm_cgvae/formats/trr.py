"""TRR files counted frame by frame, which mdtraj, which reads them, does not tell of a file that is cut off."""

import os
import struct

from openmm_cgvae.formats.framefile import check_complete

__all__ = ["complete_frames"]

MAGIC, NAME = 1993, b"GMX_trn_file"
# Magic number, name with its lengths, and ten sizes, the number of atoms, the step and the number of energies.
START, NUMBERS = 12 + len(NAME), 13
# Places of the sizes of box, virial, pressure, positions, velocities and forces among the numbers.
BOX, ATOMS, PARTS = 2, 10, (2, 3, 4, 7, 8, 9)


def complete_frames(path, salvage=False):
    """Return the number of complete frames of a file.

    Parameters
    ----------
    path : path
    salvage : bool
        Take a file that is cut off.

    Raises
    ------
    DataError
        If it is no TRR file, holds no complete frame, or is cut off and not to be salvaged.
    """
    count, at, size, fault = 0, 0, os.path.getsize(path), None
    with open(path, "rb") as file:
        while fault is None and at < size:
            file.seek(at)
            head = file.read(START + 4 * NUMBERS)
            if len(head) < START + 4 * NUMBERS:
                fault = "is truncated"
                break
            numbers = struct.unpack_from(f">{NUMBERS}i", head, START)
            if struct.unpack_from(">i", head)[0] != MAGIC or min(numbers[:ATOMS]) < 0 or numbers[ATOMS] < 1:
                fault = "is damaged"
                break
            # Time and lambda are as wide as all other numbers.
            wide = numbers[BOX] == 72 or numbers[7] == 24 * numbers[ATOMS] > 0
            at += START + 4 * NUMBERS + (16 if wide else 8) + sum(numbers[k] for k in PARTS)
            if at > size:
                fault = "is truncated"
            else:
                count += 1
    check_complete(path, count, fault, salvage)
    return count
