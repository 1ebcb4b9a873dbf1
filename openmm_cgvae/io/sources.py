"""Where frames come from: files of every format, and trajectories in memory, all asked in the same way."""

import tempfile
import warnings
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import DataError, TopologyMismatchError, one_line
from openmm_cgvae.core.periodic import vectors_of_cells
from openmm_cgvae.formats.dcd import DCDHeader
from openmm_cgvae.formats.paths import file_format, plain_file, unpack
from openmm_cgvae.formats.structures import STRUCTURES, StructureFile
from openmm_cgvae.formats.xtc import XTCFrames

__all__ = ["given_parts", "given_paths", "open_source"]

# Formats whose frames can be read in any order.
INDEXED = {".dcd": DCDHeader, ".xtc": XTCFrames}
# What mdtraj reads with times of its own; of its other formats it counts frames.
TIMED = (".trr", ".nc", ".ncdf", ".netcdf", ".h5", ".hdf5", ".lh5")


def given_parts(trajectory):
    """What a user gives as a trajectory, as a list of paths and of trajectories in memory.

    Raises
    ------
    DataError
        If it is none, or an empty list.
    """
    parts = list(trajectory) if isinstance(trajectory, list | tuple) else [trajectory]
    for part in parts:
        if not isinstance(part, str | Path) and not _is_in_memory(part):
            raise DataError(
                f"a {type(part).__name__} given as trajectory: a path, a list of paths or an mdtraj.Trajectory is "
                "expected"
            )
    if not parts:
        raise DataError("an empty list given as trajectory: one path at least is expected")
    return parts


def given_paths(trajectory):
    """Those of `given_parts` that are files."""
    return [part for part in given_parts(trajectory) if isinstance(part, str | Path)]


def _is_in_memory(part):
    return all(hasattr(part, name) for name in ("xyz", "topology", "time", "unitcell_lengths"))


def open_source(part, topology, salvage=False):
    """Return what yields the frames of a part of `given_parts`.

    Parameters
    ----------
    part : path or mdtraj.Trajectory
    topology : mdtraj.Topology
        Of the particles, for formats that cannot be read without.
    salvage : bool
        Take the complete frames of a file that is cut off.

    Returns
    -------
    IndexedSource or StreamedSource
        With ``path, n_atoms, n_frames, has_times, topology, name_width`` and ``chunks(size, stride, first)``; what
        only reading tells is None.

    Raises
    ------
    DataError
        If the file is missing, empty, truncated or unreadable.
    """
    if _is_in_memory(part):
        return IndexedSource(_from_memory(part), Path("given in memory"))
    path = Path(part)
    if not path.is_file():
        raise DataError(f"trajectory {path} {'is a folder' if path.is_dir() else 'does not exist'}")
    if path.stat().st_size == 0:
        raise DataError(f"trajectory {path} is empty: no byte in it")
    kind = file_format(path)
    if kind in STRUCTURES:
        return IndexedSource(StructureFile.read(path), path)
    if kind not in INDEXED:
        return StreamedSource(path, topology)
    if path.suffix.lower() != ".gz":
        return IndexedSource(INDEXED[kind].read(path, salvage), path)
    # Frames are read where they lie, as long as the source lives.
    folder = tempfile.TemporaryDirectory()
    plain = unpack(path, Path(folder.name) / path.stem)
    return IndexedSource(INDEXED[kind].read(plain, salvage), path, folder)


def _from_memory(trajectory):
    n = len(trajectory.xyz)
    times = np.asarray(trajectory.time, dtype=float)
    # What mdtraj numbers frames by where a file has no times.
    known = n > 1 and not np.array_equal(times, np.arange(n))
    cells = trajectory.unitcell_lengths, trajectory.unitcell_angles
    vectors = np.zeros((n, 3, 3)) if cells[0] is None else vectors_of_cells(*cells)
    positions = np.array(trajectory.xyz, dtype=np.float32)
    return StructureFile(Path("given in memory"), trajectory.topology, positions, times if known else None, vectors)


class IndexedSource:
    """Frames that can be read in any order."""

    def __init__(self, found, path, folder=None):
        self.path = path
        self.n_atoms, self.n_frames, self.has_times = found.n_atoms, found.n_frames, found.has_times
        self.topology, self.name_width = getattr(found, "named_topology", None), getattr(found, "name_width", None)
        self.standard_topology = getattr(found, "topology", None)
        self._found, self._folder = found, folder

    def chunks(self, size, stride, first=0, alone=True):
        """Yield frame numbers (f,), positions (f, n, 3), times (f,) or None, and box vectors (f, 3, 3), zero for none.

        Parameters
        ----------
        size, stride : int
        first : int
            Frames in the files before this one; of all, every stride-th is read.
        alone : bool
            Whether this is the only file.
        """
        numbers = np.arange(-first % stride, self.n_frames, stride)
        for begin in range(0, len(numbers), size):
            part = numbers[begin : begin + size]
            times = self._found.times(part) if self.has_times else None
            positions, *box = self._found.frames(part)
            if len(box) == 2:
                box = [np.zeros((len(part), 3, 3)) if box[0] is None else vectors_of_cells(*box)]
            yield part, positions, times, box[0]


class StreamedSource:
    """A file that mdtraj reads from its beginning on; its number of frames is known once it is read."""

    n_atoms = n_frames = topology = name_width = None

    def __init__(self, path, topology):
        self.path, self._topology = path, topology
        self.has_times = file_format(path) in TIMED

    def chunks(self, size, stride, first=0, alone=True):
        """As ``IndexedSource.chunks``."""
        import mdtraj

        count, skip = 0, -first % stride
        # Among others its frames have to be counted, which takes reading them all.
        step = stride if alone else 1
        with plain_file(self.path) as plain:
            iterator = mdtraj.iterload(str(plain), chunk=size, stride=step, top=self._topology)
            while (part := self._next(iterator)) is not None:
                numbers = (count + np.arange(len(part))) * step
                count += len(part)
                wanted = np.flatnonzero((numbers - skip) % stride == 0)
                part, numbers = part if len(wanted) == len(part) else part[wanted], numbers[wanted]
                cells = part.unitcell_lengths, part.unitcell_angles
                vectors = np.zeros((len(part), 3, 3)) if cells[0] is None else vectors_of_cells(*cells)
                if len(part):
                    yield numbers, part.xyz, part.time if self.has_times else None, vectors
        if count == 0:
            raise DataError(f"trajectory {self.path} is empty: it holds no frame")
        self.n_frames = count if step == 1 else None

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
            raise DataError(f"trajectory {self.path} cannot be read: {one_line(error)}") from error
