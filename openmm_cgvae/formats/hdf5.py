"""HDF5 trajectories as mdtraj has them, with their topology; they need the package tables (PyTables)."""

import errno
import json
import shutil
import warnings
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import DataError, MissingDependencyError, OutputError
from openmm_cgvae.core.output import FULL, sync
from openmm_cgvae.core.periodic import vectors_of_cells
from openmm_cgvae.core.plainfiles import plain_file
from openmm_cgvae.core.translation import translated
from openmm_cgvae.formats.outputfile import OutputFile, naming

__all__ = ["HDF5Frames", "HDF5Writer"]

# Bytes that are read at once to check a file.
BLOCK = 2**25


def _tables():
    try:
        import tables
    except ImportError as error:
        raise MissingDependencyError(
            "HDF5 trajectories need the package tables, which is not installed: pip install tables"
        ) from error
    return tables


@contextmanager
def _opened(path, mode="r"):
    """mdtraj's file of that path, whatever the name; errors of the library are ours."""
    _tables()
    from mdtraj.formats import HDF5TrajectoryFile

    with plain_file(path) as plain, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with HDF5TrajectoryFile(str(plain), mode) as file:
            yield file


@dataclass(frozen=True)
class HDF5Frames:
    """What an HDF5 trajectory holds.

    Parameters
    ----------
    path : pathlib.Path
    topology : mdtraj.Topology or None
    n_atoms, n_frames : int
    has_times, has_box : bool
    """

    path: Path
    topology: object = field(compare=False)
    n_atoms: int = 0
    n_frames: int = 0
    has_times: bool = False
    has_box: bool = False

    name_width = None

    @property
    def named_topology(self):
        """The topology with the file's own names."""
        return self.topology

    @classmethod
    def read(cls, path, salvage=False):
        """Read what a file holds; `salvage` changes nothing.

        Raises
        ------
        DataError
            If it cannot be read or holds no frame.
        MissingDependencyError
            If tables is not installed.
        """
        with _refusing(path), _opened(path) as file:
            root = file._handle.root
            n_frames, n_atoms, _ = root.coordinates.shape
            has_times = "time" in root and len(root.time) == n_frames
            has_box = {"cell_lengths", "cell_angles"} <= set(root._v_children)
            topology = _topology(file, n_atoms)
        if not n_frames:
            raise DataError(f"trajectory {path} is empty: it holds no frame")
        return cls(Path(path), topology, n_atoms, n_frames, has_times, has_box)

    def times(self, frames):
        """Times in ps of frame numbers."""
        with _refusing(self.path), _opened(self.path) as file:
            return np.asarray(file._handle.root.time[_rows(frames)], dtype=float)

    def frames(self, numbers):
        """Positions (f, n, 3), float32, and box vectors (f, 3, 3), zero without a box, in nm, of frame numbers."""
        with _refusing(self.path), _opened(self.path) as file:
            root, rows = file._handle.root, _rows(numbers)
            positions = np.asarray(root.coordinates[rows], dtype=np.float32)
            if not self.has_box:
                return positions, np.zeros((len(positions), 3, 3))
            return positions, vectors_of_cells(root.cell_lengths[rows], root.cell_angles[rows])


def _rows(numbers):
    """Evenly rising numbers as a slice, which tables reads in one go; a list of others."""
    numbers = np.asarray(numbers).tolist()
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
    even = slice(numbers[0], numbers[-1] + 1, step)
    return even if list(range(even.start, even.stop, even.step)) == numbers else numbers


def _topology(file, n_atoms):
    try:
        topology = file.topology
    except (KeyError, TypeError, ValueError, json.JSONDecodeError):
        return None
    return topology if topology is not None and topology.n_atoms == n_atoms else None


def _refusing(path):
    expected = "a complete HDF5 trajectory of mdtraj is expected"
    return translated(DataError, f"trajectory {path} cannot be read: {expected} ({{reason}})")


class HDF5Writer:
    """Writes frames, many at a time, with mdtraj.

    The library goes on when a disk is full, without a word. Room is asked for before each call, therefore, and all
    frames are read again at the end.

    Parameters
    ----------
    path : path
    topology : mdtraj.Topology
    name : path, optional
        What messages call the file, where `path` is a temporary one.

    Raises
    ------
    MissingDependencyError
        If tables is not installed.
    """

    def __init__(self, path, topology, name=None):
        self.path, self._name, self._count, self._sum = Path(path), name or path, 0, 0
        self._opened, self._failed = _opened(self.path, "w"), False
        with naming(self._name):
            # The library opens a new file by its name alone.
            OutputFile(self.path, name=self._name).close()
        with self._named():
            self._file = self._opened.__enter__()
            self._file.topology = topology

    def write(self, positions, times, lengths=None, angles=None):
        """Append frames.

        Parameters
        ----------
        positions : numpy.ndarray, shape (f, n, 3)
            nm.
        times : numpy.ndarray, shape (f,), or None
            ps; None in all calls or in none.
        lengths, angles : numpy.ndarray, shape (f, 3), optional
            Periodic box in nm and degrees; in all calls or in none.

        Raises
        ------
        OutputError
            If the disk has no room for them.
        """
        positions = np.ascontiguousarray(positions, np.float32)
        parts = [None if part is None else np.asarray(part, np.float32) for part in (times, lengths, angles)]
        with self._named():
            if shutil.disk_usage(self.path.parent).free < positions.nbytes:
                raise OSError(FULL[errno.ENOSPC])
            self._file.write(positions, *parts)
            self._file.flush()
        self._sum = zlib.crc32(positions, self._sum)
        self._count += len(positions)

    @contextmanager
    def _named(self):
        remedy = "free space there, or choose another place"
        try:
            with translated(OutputError, f"output {self._name} cannot be written: {{reason}}; {remedy}"):
                yield
        except OutputError:
            self._failed = True
            raise

    def flush(self):
        """Have what was written put on the disk."""
        sync(self.path)

    def close(self):
        """Finish the file; `OutputError` if not all frames are on the disk."""
        if self._opened is None:
            return
        opened, self._opened = self._opened, None
        with self._named():
            opened.__exit__(None, None, None)
        if not self._failed and self._count and self._found() != (self._count, self._sum):
            raise OutputError(
                f"output {self._name} does not hold what was written to it: the disk is full or faulty; free space "
                "there, or choose another place"
            )

    def _found(self):
        """Number of frames in the file, and their checksum; -1 where they cannot be read."""
        found, checksum = -1, 0
        with suppress(DataError):
            frames = HDF5Frames.read(self.path)
            size = max(1, BLOCK // (12 * frames.n_atoms))
            for first in range(0, frames.n_frames, size):
                numbers = np.arange(first, min(first + size, frames.n_frames))
                checksum = zlib.crc32(np.ascontiguousarray(frames.frames(numbers)[0]), checksum)
            found = frames.n_frames
        return found, checksum
