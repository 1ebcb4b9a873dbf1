"""Trajectory files in chunks: read with mdtraj, times and box kept, truncation noticed."""

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import DataError, OutputError, SettingsError, TopologyMismatchError, one_line
from openmm_cgvae.core.output import complete_output
from openmm_cgvae.io.dcd import DCDHeader, DCDWriter
from openmm_cgvae.io.pdb import PDBWriter
from openmm_cgvae.io.xtc import XTCWriter, particles_of_xtc
from openmm_cgvae.molecule.topology import as_mdtraj_topology

__all__ = [
    "WRITABLE",
    "Chunk",
    "TrajectoryReader",
    "TrajectoryWriter",
    "box_lengths_and_angles",
    "box_vectors",
    "load_box",
    "load_topology",
    "read_frames",
    "write_topology_beside",
]

WRITABLE = (".dcd", ".xtc", ".pdb", ".cif")
APPENDABLE = (".dcd", ".xtc")


@dataclass(frozen=True)
class Chunk:
    """Consecutive frames of a trajectory.

    Parameters
    ----------
    frames : int array, shape (f,)
        Frame numbers in the file.
    positions : numpy.ndarray, shape (f, n, 3)
        nm.
    times : numpy.ndarray, shape (f,)
        ps.
    lengths, angles : numpy.ndarray, shape (f, 3), or None
        Periodic box in nm and degrees.
    """

    frames: np.ndarray
    positions: np.ndarray
    times: np.ndarray
    lengths: np.ndarray | None
    angles: np.ndarray | None


def load_topology(path):
    """Read the mdtraj ``Topology`` of a PDB, mmCIF, GRO or prmtop file.

    Raises
    ------
    DataError
        If the file is missing or cannot be read.
    """
    import mdtraj

    if not Path(path).is_file():
        raise DataError(f"topology {path} does not exist")
    try:
        return mdtraj.load_topology(str(path))
    except Exception as error:
        raise DataError(f"topology {path} cannot be read: a PDB file is expected ({one_line(error)})") from error


def load_box(path, topology):
    """Read the periodic box of a PDB, mmCIF or GRO file: vectors (3, 3) in nm, None if it has none.

    Parameters
    ----------
    path : path
    topology : mdtraj.Topology
        What `load_topology` read from it.
    """
    if Path(path).suffix.lower() not in (".pdb", ".cif", ".gro"):
        return None
    first = next(iter(TrajectoryReader(path, topology, chunk_size=1)))
    return None if first.lengths is None else box_vectors(first.lengths, first.angles)[0].astype(float)


def read_frames(path, topology, stride=1):
    """Read all frames of a trajectory, or every stride-th, (frames, n, 3) in nm; errors as of `TrajectoryReader`."""
    return np.concatenate([chunk.positions for chunk in TrajectoryReader(path, topology, stride=stride)])


def check_format(path, append=False):
    """Return the path of an output; `OutputError` if its suffix is none of `WRITABLE`, or it cannot be appended to."""
    path = Path(path)
    if path.suffix.lower() not in WRITABLE:
        raise OutputError(f"output {path} given: a name ending in {', '.join(WRITABLE)} is expected")
    if append and (path.suffix.lower() not in APPENDABLE or not path.is_file()):
        raise OutputError(f"cannot append to {path}: an existing file ending in {' or '.join(APPENDABLE)} is expected")
    return path


def write_topology_beside(trajectory, topology):
    """Write the first frame of ``aa.dcd`` as ``aa.pdb``; nothing where the trajectory is a PDB file itself."""
    path = Path(trajectory).with_suffix(".pdb")
    if path == Path(trajectory):
        return
    first = next(iter(TrajectoryReader(trajectory, topology, chunk_size=1)))
    with complete_output(path) as temporary, TrajectoryWriter(temporary, topology) as writer:
        writer.write(first.positions, first.times, first.lengths, first.angles)


class TrajectoryReader:
    """Chunks of a trajectory file that mdtraj reads: ``for chunk in TrajectoryReader(path, topology): ...``.

    In a periodic box, molecules that were split over its sides are made whole along their bonds.

    Parameters
    ----------
    path : path
    topology : mdtraj.Topology or openmm.app.Topology
        Of the particles in the file.
    chunk_size : int
        Frames a chunk.
    stride : int
        Read every stride-th frame.

    Raises
    ------
    DataError
        If the file is missing, empty, truncated or unreadable.
    TopologyMismatchError
        If it holds another number of particles.
    """

    def __init__(self, path, topology, chunk_size=1000, stride=1):
        self.path = Path(path)
        self.chunk_size = chunk_size
        self.stride = stride
        self._topology = as_mdtraj_topology(topology)
        if stride < 1 or chunk_size < 1:
            raise SettingsError(f"stride={stride}, chunk_size={chunk_size} given: 1 or more is expected of both")
        if not self.path.is_file():
            raise DataError(f"trajectory {path} {'is a folder' if self.path.is_dir() else 'does not exist'}")
        if self.path.stat().st_size == 0:
            raise DataError(f"trajectory {path} is empty: no byte in it")
        self._dcd = DCDHeader.read(self.path) if self.path.suffix.lower() == ".dcd" else None
        if self._dcd is not None:
            self._check_particles(self._dcd.n_atoms)
        elif self.path.suffix.lower() == ".xtc":
            self._check_particles(particles_of_xtc(self.path))

    @property
    def n_frames(self):
        """Number of frames that will be read, or None where only reading tells."""
        import mdtraj

        if self.path.suffix.lower() not in (".dcd", ".xtc"):
            return None
        with _quiet(), mdtraj.open(str(self.path)) as file:
            return -(-len(file) // self.stride)

    def _check_particles(self, found):
        if found != self._topology.n_atoms:
            raise TopologyMismatchError(
                f"trajectory {self.path} has {found} particles a frame, {self._topology.n_atoms} are expected: "
                "it is of another molecule or mapping, or holds solvent; leave that out"
            )

    def _check_names(self, found):
        for i, (own, other) in enumerate(zip(self._topology.atoms, found.atoms, strict=True)):
            if own.name != other.name:
                raise TopologyMismatchError(
                    f"particle {i} of {self.path} is called {other.name}, {own.name} is expected: "
                    "it is of another molecule, or its particles are in another order"
                )

    def __iter__(self):
        import mdtraj

        first = 0
        options = {} if self.path.suffix.lower() == ".pdb" else {"top": self._topology}
        iterator = mdtraj.iterload(str(self.path), chunk=self.chunk_size, stride=self.stride, **options)
        while True:
            try:
                with _quiet():
                    part = next(iterator, None)
            except Exception as error:
                self._raise_unreadable(error)
            if part is None:
                break
            self._check_particles(part.n_atoms)
            yield self._chunk(part, first)
            first += len(part)
        if first == 0:
            raise DataError(f"trajectory {self.path} is empty: it holds no frame")

    def _raise_unreadable(self, error):
        if "atoms" in str(error):
            raise TopologyMismatchError(
                f"trajectory {self.path} does not fit {self._topology.n_atoms} particles: {one_line(error)}"
            ) from error
        raise DataError(f"trajectory {self.path} cannot be read: {one_line(error)}") from error

    def _chunk(self, part, first):
        if part.topology is not self._topology:
            # The file brought names of its own, as a PDB file does.
            self._check_names(part.topology)
            part.topology = self._topology
        periodic = part.unitcell_lengths is not None and (part.unitcell_lengths > 0).all()
        if periodic and self._topology.n_bonds:
            part.xyz = part.xyz.astype(np.float32)
            part.unitcell_vectors = part.unitcell_vectors.astype(np.float32)
            # Programs wrap particles into the box one by one; bonds then show what belongs together.
            part.make_molecules_whole(inplace=True)
        frames = (first + np.arange(len(part))) * self.stride
        times = part.time if self._dcd is None else self._dcd.times(frames)
        return Chunk(frames, part.xyz, np.asarray(times, dtype=float), part.unitcell_lengths, part.unitcell_angles)


class TrajectoryWriter:
    """Writes frames to DCD, XTC, PDB or mmCIF, by the suffix of `path`; use it as a context manager.

    Parameters
    ----------
    path : path
    topology : mdtraj.Topology or openmm.app.Topology
    append : bool
        Go on with an existing file (.dcd and .xtc).

    Raises
    ------
    OutputError
        If the suffix is none of `WRITABLE`, or the file cannot be appended to.
    """

    def __init__(self, path, topology, append=False):
        self.path = check_format(path, append)
        self._topology = as_mdtraj_topology(topology)
        if self.path.suffix.lower() in APPENDABLE:
            writer = DCDWriter if self.path.suffix.lower() == ".dcd" else XTCWriter
            self._file = writer(self.path, self._topology.n_atoms, append)
        else:
            self._file = PDBWriter(self.path, topology)

    def write(self, positions, times, lengths=None, angles=None):
        """Append frames.

        Parameters
        ----------
        positions : numpy.ndarray, shape (f, n, 3)
            nm.
        times : numpy.ndarray, shape (f,)
            ps; evenly spaced, since a DCD file keeps the first and the spacing only.
        lengths, angles : numpy.ndarray, shape (f, 3), optional
            Periodic box in nm and degrees.
        """
        if isinstance(self._file, DCDWriter):
            self._file.write(positions, times, lengths, angles)
            return
        box = None if lengths is None else box_vectors(lengths, angles)
        if isinstance(self._file, XTCWriter):
            self._file.write(positions, times, box)
        else:
            self._file.write(positions, box)

    def close(self):
        """Finish the file."""
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def box_lengths_and_angles(vectors):
    """Box vectors (f, 3, 3) to lengths and angles in degrees, (f, 3) each."""
    from mdtraj.utils import box_vectors_to_lengths_and_angles

    columns = box_vectors_to_lengths_and_angles(*np.swapaxes(vectors, 0, 1))
    return np.stack(columns[:3], axis=1), np.stack(columns[3:], axis=1)


def box_vectors(lengths, angles):
    """Lengths in nm and angles in degrees, (f, 3) each, to box vectors (f, 3, 3) in nm, rows a, b, c."""
    from mdtraj.utils import lengths_and_angles_to_box_vectors

    vectors = lengths_and_angles_to_box_vectors(*lengths.T, *angles.T)
    return np.stack(vectors, axis=1).astype(np.float32)


@contextlib.contextmanager
def _quiet():
    """Keep mdtraj's DCD plugin, which writes to the C stdout, off the terminal."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:
        yield
        return
    try:
        with open(os.devnull, "wb") as sink:
            os.dup2(sink.fileno(), 1)
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
