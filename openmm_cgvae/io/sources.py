"""Where frames come from: files of every format, and objects of other libraries, all asked in the same way."""

import tempfile
import warnings
from os import PathLike
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import DataError, TopologyMismatchError, one_line
from openmm_cgvae.core.periodic import vectors_of_cells
from openmm_cgvae.core.plainfiles import file_format, plain_file, unpack
from openmm_cgvae.formats.dcd import DCDHeader
from openmm_cgvae.formats.hdf5 import HDF5Frames
from openmm_cgvae.formats.netcdf import NetCDFFrames
from openmm_cgvae.formats.structures import STRUCTURES, StructureFile
from openmm_cgvae.formats.trr import complete_frames
from openmm_cgvae.formats.xtc import XTCFrames
from openmm_cgvae.io.objects import in_memory, is_in_memory

__all__ = ["given_parts", "given_paths", "open_source"]

# Formats whose frames can be read in any order.
NETCDF = (".nc", ".ncdf", ".netcdf")
INDEXED = {".dcd": DCDHeader, ".xtc": XTCFrames, ".h5": HDF5Frames, ".hdf5": HDF5Frames}
INDEXED |= dict.fromkeys(NETCDF, NetCDFFrames)
# What mdtraj reads with times of its own; of its other formats it counts frames.
TIMED = (".trr", *NETCDF, ".lh5")
# What it can begin to read anywhere.
SEEKABLE = (".trr",)


def given_parts(trajectory):
    """What a user gives as a trajectory, as a list of paths and of objects of other libraries.

    Raises
    ------
    DataError
        If it is none, or an empty list.
    """
    several = isinstance(trajectory, list | tuple) and not is_in_memory(trajectory)
    parts = list(trajectory) if several else [trajectory]
    for part in parts:
        if not isinstance(part, str | PathLike) and not is_in_memory(part):
            raise DataError(
                f"a {type(part).__name__} given as trajectory: a path, a list of paths, or an object of mdtraj, "
                "MDAnalysis, ParmEd or OpenMM with topology and positions is expected"
            )
    if not parts:
        raise DataError("an empty list given as trajectory: one path at least is expected")
    return parts


def given_paths(trajectory):
    """Those of `given_parts` that are files."""
    return [Path(part) for part in given_parts(trajectory) if isinstance(part, str | PathLike)]


def open_source(part, topology, salvage=False):
    """Return what yields the frames of a part of `given_parts`.

    Parameters
    ----------
    part : path or object
    topology : mdtraj.Topology
        Of the particles, for formats that cannot be read without.
    salvage : bool
        Take the complete frames of a file that is cut off.

    Returns
    -------
    IndexedSource or StreamedSource
        With ``path, n_atoms, n_frames, has_times, topology, name_width``, ``chunks(size, selection, first)`` and
        ``count(selection, first)``; what only reading tells is None.

    Raises
    ------
    DataError
        If the file is missing, empty, truncated or unreadable.
    """
    if not isinstance(part, str | PathLike):
        return IndexedSource(in_memory(part), Path("given in memory"))
    path = Path(part)
    if not path.is_file():
        raise DataError(f"trajectory {path} {'is a folder: give the file' if path.is_dir() else 'does not exist'}")
    if path.stat().st_size == 0:
        raise DataError(f"trajectory {path} is empty: no byte in it")
    kind = file_format(path)
    if kind in STRUCTURES:
        return IndexedSource(StructureFile.read(path), path)
    if kind not in INDEXED or _is_netcdf4(path, kind):
        return StreamedSource(path, topology, salvage)
    if path.suffix.lower() != ".gz":
        return IndexedSource(INDEXED[kind].read(path, salvage), path)
    # Frames are read where they lie, as long as the source lives.
    folder = tempfile.TemporaryDirectory()
    plain = unpack(path, Path(folder.name) / path.stem)
    return IndexedSource(INDEXED[kind].read(plain, salvage), path, folder)


def _is_netcdf4(path, kind):
    """Whether a file is NetCDF of the format that is HDF5, which another library reads."""
    if kind not in NETCDF:
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"\x89HDF"


class IndexedSource:
    """Frames that can be read in any order."""

    def __init__(self, found, path, folder=None):
        self.path = path
        self.n_atoms, self.n_frames, self.has_times = found.n_atoms, found.n_frames, found.has_times
        self.topology, self.name_width = getattr(found, "named_topology", None), getattr(found, "name_width", None)
        self.standard_topology = getattr(found, "topology", None)
        self._found, self._folder = found, folder

    def chunks(self, size, selection, first=0, interval=None):
        """Yield frame numbers (f,), positions (f, n, 3), times (f,) or None, and box vectors (f, 3, 3), zero for none.

        Parameters
        ----------
        size : int
        selection : FrameSelection
            Of numbers over all files.
        first : int
            Frames in the files before this one.
        interval : float, optional
            ps between frames, whatever the file tells.
        """
        numbers = self._selected(selection, first, interval)
        for begin in range(0, len(numbers), size):
            part = numbers[begin : begin + size]
            times = self._times(part, first, interval)
            positions, *box = self._found.frames(part)
            if len(box) == 2:
                box = [np.zeros((len(part), 3, 3)) if box[0] is None else vectors_of_cells(*box)]
            yield part, positions, times, box[0]

    def count(self, selection, first, interval=None):
        """Number of frames that `chunks` yields."""
        return len(self._selected(selection, first, interval))

    def _selected(self, selection, first, interval):
        numbers = selection.numbers(first, self.n_frames)
        if selection.by_time and len(numbers):
            numbers = numbers[selection.timely(self._times(numbers, first, interval))]
        return numbers

    def _times(self, numbers, first, interval):
        if interval is not None:
            return (first + numbers) * interval
        return self._found.times(numbers) if self.has_times else None


class StreamedSource:
    """A file that mdtraj reads from its beginning on; its number of frames is known once it is read."""

    n_atoms = n_frames = topology = name_width = None

    def __init__(self, path, topology, salvage=False):
        self.path, self._topology = path, topology
        self.has_times = file_format(path) in TIMED
        self._seeks = file_format(path) in SEEKABLE
        if self._seeks:
            with plain_file(path) as plain:
                self.n_frames = complete_frames(plain, salvage)

    def chunks(self, size, selection, first=0, interval=None):
        """As ``IndexedSource.chunks``."""
        if self._seeks and not len(selection.numbers(first, self.n_frames)):
            return
        # What it takes to reach the first frame that is wanted.
        skipped = min(max(0, (selection.start or 0) - first), self.n_frames) if self._seeks else 0
        count = skipped
        with plain_file(self.path) as plain:
            iterator = self._parts(str(plain), size, skipped)
            while (part := self._next(iterator)) is not None:
                numbers = count + np.arange(len(part))
                count += len(part)
                wanted = selection.has(first + numbers)
                times = part.time if self.has_times else None
                times = times if interval is None else (first + numbers) * interval
                if selection.by_time:
                    wanted &= selection.timely(times)
                cells = part.unitcell_lengths, part.unitcell_angles
                vectors = np.zeros((len(part), 3, 3)) if cells[0] is None else vectors_of_cells(*cells)
                if wanted.any():
                    yield numbers[wanted], part.xyz[wanted], None if times is None else times[wanted], vectors[wanted]
                if selection.stop is not None and first + count >= selection.stop:
                    # Later files have no frame that is wanted.
                    self.n_frames = count
                    return
        if count == 0:
            raise DataError(f"trajectory {self.path} is empty: it holds no frame")
        self.n_frames = count

    def count(self, selection, first, interval=None):
        """Number of frames that `chunks` yields, None where only reading tells."""
        known = self._seeks and not selection.by_time
        return len(selection.numbers(first, self.n_frames)) if known else None

    def _parts(self, plain, size, skipped):
        """Yield trajectories of `size` frames at most."""
        import mdtraj
        from mdtraj.formats import TRRTrajectoryFile

        if not self._seeks:
            yield from mdtraj.iterload(plain, chunk=size, top=self._topology)
            return
        # Complete frames alone: asked for more, the library fails at the one that is cut off.
        with TRRTrajectoryFile(plain) as file:
            if skipped:
                file.seek(skipped)
            for first in range(skipped, self.n_frames, size):
                yield file.read_as_traj(self._topology, n_frames=min(size, self.n_frames - first))

    def _next(self, iterator):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return next(iterator, None)
        except Exception as error:
            if "atoms" in str(error):
                raise TopologyMismatchError(
                    f"trajectory {self.path} does not fit {self._topology.n_atoms} particles: {one_line(error)}"
                ) from error
            if "no loader" in str(error):
                raise DataError(
                    f"trajectory {self.path} is of no format known by its name: one ending in .dcd, .xtc, .trr, .nc, "
                    ".h5, .pdb, .cif, .gro, ... is expected"
                ) from error
            raise DataError(
                f"trajectory {self.path} cannot be read ({one_line(error)}): a complete file of a format that mdtraj "
                "reads is expected"
            ) from error
