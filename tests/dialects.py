"""DCD files as other programs write them, byte by byte."""

import struct

import numpy as np

TITLES = {
    "openmm": ["Created by OpenMM", "Created Sun Nov 29 2026"],
    "namd": ["REMARKS FILENAME=run.dcd CREATED BY NAMD", "REMARKS DATE: 11/29/26"],
    "lammps": ["Written by LAMMPS", "REMARKS Created 29 November,2026 at 10:00"],
    "vmd": ["Created by DCD plugin", "REMARKS Created 29 November, 2026 at 10:00"],
    "blank": [""],
    "charmm": ["* RUN 17 OF MY SYSTEM", "* DATE: 11/29/26"],
}


def write_dcd(path, positions, cells=None, title="blank", delta=1.0, interval=1, first=0, order="<", marker="i",
              xplor=False, fourth=False, fixed=(), announced=None):  # fmt: skip
    """Write positions (f, n, 3) in nm, and six numbers of a cell a frame, in a dialect."""
    n_frames, n_atoms = positions.shape[:2]
    free = np.setdiff1d(np.arange(n_atoms), fixed)

    def record(content):
        size = struct.pack(order + marker, len(content))
        return size + content + size

    numbers = [n_frames if announced is None else announced, first, interval, n_frames * interval, *[0] * 16]
    numbers[8], numbers[10], numbers[11], numbers[19] = len(fixed), int(cells is not None), int(fourth), 24
    packed = bytearray(struct.pack(order + "20i", *numbers))
    packed[36:40] = struct.pack(order + "f", delta)
    if xplor:
        packed[36:44], packed[76:80] = struct.pack(order + "d", delta), bytes(4)
    lines = TITLES[title]
    content = [record(b"CORD" + bytes(packed))]
    content.append(record(struct.pack(order + "i", len(lines)) + b"".join(line.encode().ljust(80) for line in lines)))
    content.append(record(struct.pack(order + "i", n_atoms)))
    if len(fixed):
        content.append(record((free + 1).astype(order + "i4").tobytes()))
    for k in range(n_frames):
        if cells is not None:
            content.append(record(np.asarray(cells[k], order + "f8").tobytes()))
        held = np.arange(n_atoms) if k == 0 else free
        content += [record((10 * positions[k, held, axis]).astype(order + "f4").tobytes()) for axis in range(3)]
        if fourth:
            content.append(record(np.zeros(len(held), order + "f4").tobytes()))
    path.write_bytes(b"".join(content))
    return path
