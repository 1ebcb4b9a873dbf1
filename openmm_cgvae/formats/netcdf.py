"""NetCDF trajectories of AMBER's convention read where they lie, in any order.

Of the classic file format in its three versions, which is what AMBER, mdtraj, MDAnalysis and cpptraj write.
"""

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.core.periodic import vectors_of_cells
from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.formats.framefile import check_complete

__all__ = ["ATTRIBUTE", "DIMENSION", "TYPES", "VARIABLE", "NetCDFFrames"]

# Types by their numbers in the file; the last five belong to version 5.
TYPES = {1: "i1", 2: "S1", 3: ">i2", 4: ">i4", 5: ">f4", 6: ">f8", 7: "u1", 8: ">u2", 9: ">u4", 10: ">i8", 11: ">u8"}
# What begins a list of each.
DIMENSION, VARIABLE, ATTRIBUTE = 10, 11, 12
# nm a unit; ps a unit.
LENGTHS = {"angstrom": 1 / ANGSTROM_PER_NM, "nanometer": 1.0}
TIMES = {"picosecond": 1.0, "femtosecond": 1e-3, "nanosecond": 1e3}
# What stands for a number of frames that is not known yet.
STREAMING = 2**32 - 1


@dataclass(frozen=True)
class Variable:
    """Name, dimensions, attributes and type of a variable, and where it begins in the file."""

    name: str
    dimensions: tuple
    attributes: dict
    kind: np.dtype
    begin: int


@dataclass(frozen=True)
class NetCDFFrames:
    """What a NetCDF trajectory holds.

    Parameters
    ----------
    path : pathlib.Path
    n_atoms, n_frames : int
        Particles, and complete frames.
    n_left : int
        Bytes after the last complete frame.
    start, size : int
        Where the first frame begins, and bytes of a frame.
    variables : dict of str to Variable
        Those that each frame has.
    """

    path: Path
    n_atoms: int
    n_frames: int
    n_left: int
    start: int
    size: int
    variables: dict = field(compare=False)

    @classmethod
    def read(cls, path, salvage=False):
        """Read a file's header, as `DCDHeader.read` does."""
        try:
            found, announced = _read_header(cls, Path(path))
        except (struct.error, KeyError, IndexError, UnicodeDecodeError, OverflowError, MemoryError) as error:
            raise DataError(f"trajectory {path} cannot be read: its header is truncated or damaged") from error
        cut = found.n_frames and (found.n_left or (announced != STREAMING and found.n_frames < announced))
        check_complete(path, found.n_frames, "is truncated" if cut else None, salvage, announced)
        return found

    @property
    def has_times(self):
        """Whether the file tells the times of frames."""
        return "time" in self.variables and _unit(self.variables["time"], TIMES, "picosecond") is not None

    @property
    def has_box(self):
        return {"cell_lengths", "cell_angles"} <= set(self.variables)

    @property
    def frame_type(self):
        """The bytes of a frame as a numpy type."""
        wanted = ("time", "coordinates", "cell_lengths", "cell_angles")
        names = [name for name in wanted if name in self.variables]
        parts = [self.variables[name] for name in names]
        shapes = {"time": (), "coordinates": (self.n_atoms, 3)}
        return np.dtype({
            "names": names,
            "formats": [(part.kind, shapes.get(part.name, (3,))) for part in parts],
            "offsets": [part.begin - self.start for part in parts],
            "itemsize": self.size,
        })  # fmt: skip

    def times(self, frames):
        """Times in ps of frame numbers."""
        return self._records(frames)["time"] * _unit(self.variables["time"], TIMES, "picosecond")

    def position(self, frame):
        """Where a frame begins in the file."""
        return self.start + frame * self.size

    def frames(self, numbers):
        """Positions (f, n, 3), float32, and box vectors (f, 3, 3), zero without a box, in nm, of frame numbers."""
        found = self._records(numbers)
        factor = _unit(self.variables["coordinates"], LENGTHS, "angstrom")
        positions = (found["coordinates"] * factor).astype(np.float32)
        if not self.has_box:
            return positions, np.zeros((len(found), 3, 3))
        factor = _unit(self.variables["cell_lengths"], LENGTHS, "angstrom")
        return positions, vectors_of_cells(found["cell_lengths"] * factor, found["cell_angles"])

    def _records(self, numbers):
        numbers = np.asarray(numbers)
        if not len(numbers):
            return np.zeros(0, self.frame_type)
        mapped = np.memmap(self.path, self.frame_type, "r", self.start, (self.n_frames,))
        return np.array(mapped[numbers])


def _unit(variable, units, default):
    """How many of our units a variable's are, its own scale in it; None of a unit that is not known."""
    text = variable.attributes.get("units", default)
    text = text.rstrip("s ") if isinstance(text, str) else default
    scale = variable.attributes.get("scale_factor", 1.0)
    return None if text not in units else units[text] * float(np.ravel(scale)[0])


class _Header:
    """Reads the parts of a header one after the other."""

    def __init__(self, content):
        self._content, self._at = content, 4
        self.version = content[3]
        # Counts have 8 bytes in version 5, places in the file from version 2 on.
        self._count, self._place = (">q" if self.version == 5 else ">I"), (">I" if self.version == 1 else ">q")

    def number(self, kind=">I"):
        value = struct.unpack_from(kind, self._content, self._at)[0]
        self._at += struct.calcsize(kind)
        return value

    def count(self):
        return self.number(self._count)

    def place(self):
        return self.number(self._place)

    def padded(self, size):
        """Bytes, filled up to a multiple of four."""
        part = self._content[self._at : self._at + size]
        if len(part) < size:
            raise IndexError("header")
        self._at += -(-size // 4) * 4
        return part

    def name(self):
        return self.padded(self.count()).decode()

    def listed(self, tag, read):
        """A list of parts, which may be absent."""
        found, count = self.number(), self.count()
        if found not in (0, tag) or (found == 0 and count) or count > len(self._content):
            raise IndexError("header")
        return [read() for _ in range(count)]

    def attribute(self):
        name, kind, count = self.name(), np.dtype(TYPES[self.number()]), self.count()
        content = self.padded(count * kind.itemsize)
        return name, content.decode() if kind.kind == "S" else np.frombuffer(content, kind)

    def variable(self):
        name = self.name()
        dimensions = tuple(self.count() for _ in range(self.count()))
        attributes = dict(self.listed(ATTRIBUTE, self.attribute))
        kind = np.dtype(TYPES[self.number()])
        self.count()  # Its size, which is no true one for large frames.
        return Variable(name, dimensions, attributes, kind, self.place())


# Bytes in which every header fits that is one of a trajectory.
HEADER = 2**20


def _read_header(cls, path):
    with open(path, "rb") as file:
        content, size = file.read(HEADER), os.path.getsize(path)
    if content[:3] != b"CDF" or content[3] not in (1, 2, 5):
        raise DataError(f"trajectory {path} is no NetCDF file of the classic format")
    header = _Header(content)
    announced = header.count()
    dimensions = header.listed(DIMENSION, lambda: (header.name(), header.count()))
    header.listed(ATTRIBUTE, header.attribute)
    variables = header.listed(VARIABLE, header.variable)
    lengths = [length for _, length in dimensions]
    # The dimension of frames is the one without a length, and comes first.
    framed = [v for v in variables if v.dimensions and lengths[v.dimensions[0]] == 0]
    sizes = [v.kind.itemsize * int(np.prod([lengths[d] for d in v.dimensions[1:]], dtype=object)) for v in framed]
    named = {v.name: v for v in framed}
    if "coordinates" not in named:
        raise DataError(f"trajectory {path} holds no coordinates: a trajectory of AMBER's convention is expected")
    atom, *rest = named["coordinates"].dimensions[1:]
    if [lengths[d] for d in rest] != [3] or lengths[atom] < 1 or named["coordinates"].kind.kind != "f":
        raise DataError(f"trajectory {path} has coordinates of another shape than frames x atoms x 3")
    if _unit(named["coordinates"], LENGTHS, "angstrom") is None:
        raise DataError(f"trajectory {path} has coordinates in {named['coordinates'].attributes['units']}: Angstrom or "
                        "nm are expected")  # fmt: skip
    # One variable alone is not filled up.
    record = sizes[0] if len(sizes) == 1 else sum(-(-each // 4) * 4 for each in sizes)
    start = min(v.begin for v in framed)
    if start > size or any(not start <= v.begin < start + record for v in framed):
        raise DataError(f"trajectory {path} is truncated or damaged: its frames lie outside the file")
    n_frames, n_left = divmod(size - start, record)
    if announced not in (STREAMING, -1) and n_frames >= announced:
        # What may follow is not part of it.
        n_frames, n_left = announced, 0
    return cls(path, lengths[atom], n_frames, n_left, start, record, named), announced
