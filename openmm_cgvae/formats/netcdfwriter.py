"""NetCDF trajectories of AMBER's convention written frame after frame.

mdtraj, without the netCDF4 package, holds a whole file in memory while it writes it.
"""

import struct
from itertools import accumulate, product

import numpy as np

from openmm_cgvae import __version__
from openmm_cgvae.core.errors import OutputError
from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.formats.framefile import FrameWriter
from openmm_cgvae.formats.joining import ClockWarning
from openmm_cgvae.formats.netcdf import ATTRIBUTE, DIMENSION, VARIABLE, NetCDFFrames

__all__ = ["NetCDFWriter"]

# Types by their numbers in the file.
CHAR, FLOAT, DOUBLE = 2, 5, 6
# Of a variable's size: larger ones are told so, and follow from the dimensions.
LARGEST = 2**32 - 1


class NetCDFWriter(FrameWriter):
    """Writes frames, many at a time, in the classic format with 64-bit offsets; the file is complete after every call.

    Parameters
    ----------
    path, n_atoms, append, name
        As of `FrameWriter`.
    """

    _reader = NetCDFFrames

    def __init__(self, path, n_atoms, append=False, name=None):
        super().__init__(path, n_atoms, append, name)
        self._kind, self._clock = None, ClockWarning("a NetCDF file", self._name)

    def _is_only_begun(self):
        content = self.path.read_bytes()
        headers = (_header(self._n_atoms, *kind) for kind in product((False, True), repeat=2))
        # Between them is the number of frames.
        return any(own.startswith(content[:4]) and own[8:].startswith(content[8:]) for own in headers)

    def _check_dialect(self, found):
        header = _header(self._n_atoms, "time" in found.variables, found.has_box)
        with open(self.path, "rb") as file:
            same = file.read(len(header))[8:] == header[8:]
        if not same:
            raise OutputError(f"cannot append to {self.path}, which another program wrote: give a new file")

    def _go_on(self, found, old):
        self._kind = _frame_type(self._n_atoms, old is not None, found.has_box)
        self._tell_count()

    def write(self, positions, times, lengths=None, angles=None):
        """Append frames, as `DCDWriter.write` does; times need not be even, but are there in all calls or in none."""
        self.join(times, lengths is not None)
        if self._kind is None:
            self._kind = _frame_type(self._n_atoms, times is not None, lengths is not None)
            self._file.truncate(0)
            self._file.append(_header(self._n_atoms, times is not None, lengths is not None))
        frames = np.zeros(len(positions), self._kind)
        frames["coordinates"] = positions * ANGSTROM_PER_NM
        if "time" in self._kind.names:
            self._clock.check(times)
            frames["time"] = times
        if "cell_lengths" in self._kind.names:
            frames["cell_lengths"], frames["cell_angles"] = lengths * ANGSTROM_PER_NM, angles
        self._file.append(frames.tobytes())
        self._count += len(frames)
        self._tell_count()

    def _tell_count(self):
        # After the frames, so that a killed process leaves a header that is true.
        self._file.overwrite(4, struct.pack(">I", self._count))


def _frame_type(n_atoms, timed, boxed):
    fields = [("time", ">f4")] * timed + [("coordinates", ">f4", (n_atoms, 3))]
    return np.dtype(fields + [("cell_lengths", ">f8", 3), ("cell_angles", ">f8", 3)] * boxed)


def _header(n_atoms, timed, boxed):
    """The header of no frames yet, with the names of axes that AMBER's convention asks for."""
    dimensions = {"frame": 0, "spatial": 3, "atom": n_atoms}
    fixed = [("spatial", ("spatial",), {}, CHAR, b"xyz")]
    framed = [("time", ("frame",), {"units": "picosecond"}, FLOAT)] * timed
    framed += [("coordinates", ("frame", "atom", "spatial"), {"units": "angstrom"}, FLOAT)]
    if boxed:
        dimensions |= {"cell_spatial": 3, "cell_angular": 3, "label": 5}
        fixed += [("cell_spatial", ("cell_spatial",), {}, CHAR, b"abc"),
                  ("cell_angular", ("cell_angular", "label"), {}, CHAR, b"alphabeta gamma")]  # fmt: skip
        framed += [("cell_lengths", ("frame", "cell_spatial"), {"units": "angstrom"}, DOUBLE),
                   ("cell_angles", ("frame", "cell_angular"), {"units": "degree"}, DOUBLE)]  # fmt: skip
    attributes = {"title": "", "application": "openmm_cgvae", "program": "openmm_cgvae", "programVersion": __version__,
                  "Conventions": "AMBER", "ConventionVersion": "1.0"}  # fmt: skip
    names, kind = list(dimensions), _frame_type(n_atoms, timed, boxed)
    contents = [_filled(content) for *_, content in fixed]
    parts = [part[:4] for part in fixed] + framed
    sizes = [len(content) for content in contents] + [kind[name].itemsize for name in kind.names]

    def written(begin):
        """The header whose variables lie one after the other from `begin` on."""
        places = [begin + before for before in accumulate(sizes, initial=0)]
        variables = [
            _named(name) + struct.pack(">I", len(own)) + b"".join(struct.pack(">I", names.index(d)) for d in own)
            + _attributes(more) + struct.pack(">IIq", number, min(size, LARGEST), place)
            for (name, own, more, number), size, place in zip(parts, sizes, places, strict=False)
        ]  # fmt: skip
        return b"".join([
            b"CDF\x02", struct.pack(">I", 0),
            struct.pack(">2I", DIMENSION, len(dimensions)),
            *(_named(name) + struct.pack(">I", length) for name, length in dimensions.items()),
            _attributes(attributes), struct.pack(">2I", VARIABLE, len(variables)), *variables,
        ])  # fmt: skip

    return written(len(written(0))) + b"".join(contents)


def _filled(content):
    return content + bytes(-len(content) % 4)


def _named(name):
    return struct.pack(">I", len(name)) + _filled(name.encode())


def _attributes(values):
    """Texts by name."""
    if not values:
        return bytes(8)
    parts = [
        _named(name) + struct.pack(">2I", CHAR, len(text)) + _filled(text.encode()) for name, text in values.items()
    ]
    return struct.pack(">2I", ATTRIBUTE, len(parts)) + b"".join(parts)
