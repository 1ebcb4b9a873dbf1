"""Trajectory files in chunks: every common format read, times and box kept, incomplete files noticed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from openmm_cgvae.core.checks import checked_number
from openmm_cgvae.core.errors import DataError, OutputError, SettingsError, TopologyMismatchError
from openmm_cgvae.core.output import complete_output
from openmm_cgvae.core.periodic import boxes_of_frames, reduced_vectors, vectors_of_cells
from openmm_cgvae.formats.dcdwriter import DCDWriter
from openmm_cgvae.formats.pdb import PDBWriter
from openmm_cgvae.formats.xtc import XTCWriter
from openmm_cgvae.io.sources import given_parts, open_source
from openmm_cgvae.molecule.renaming import ORDER, renamed
from openmm_cgvae.molecule.topology import as_mdtraj_topology

if TYPE_CHECKING:
    from openmm_cgvae.core.types import Number, PathLike, SomeTopology, SomeTrajectory

__all__ = [
    "WRITABLE",
    "Chunk",
    "TrajectoryReader",
    "TrajectoryWriter",
    "box_lengths_and_angles",
    "box_vectors",
    "check_format",
    "read_frames",
    "topology_beside",
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
    times : numpy.ndarray, shape (f,), or None
        ps; None where the file does not tell them.
    vectors : numpy.ndarray, shape (f, 3, 3), or None
        Periodic box in nm, reduced.
    """

    frames: np.ndarray
    positions: np.ndarray
    times: np.ndarray | None
    vectors: np.ndarray | None

    @property
    def lengths(self):
        """Edges of the box in nm, (f, 3), or None."""
        return None if self.vectors is None else box_lengths_and_angles(self.vectors)[0]

    @property
    def angles(self):
        """Angles of the box in degrees, (f, 3), or None."""
        return None if self.vectors is None else box_lengths_and_angles(self.vectors)[1]


def read_frames(path: PathLike, topology: SomeTopology, stride: int = 1, salvage: bool = False) -> np.ndarray:
    """Read all frames of a trajectory, or every stride-th, (frames, n, 3) in nm; errors as of `TrajectoryReader`."""
    reader = TrajectoryReader(path, topology, stride=stride, salvage=salvage)
    return np.concatenate([chunk.positions for chunk in reader])


def check_format(path, append=False):
    """Return the path of an output; `OutputError` if its suffix is none of `WRITABLE`, or it cannot be appended to."""
    path = Path(path)
    if path.suffix.lower() not in WRITABLE:
        raise OutputError(f"output {path} given: a name ending in {', '.join(WRITABLE)} is expected")
    if append and (path.suffix.lower() not in APPENDABLE or not path.is_file()):
        raise OutputError(f"cannot append to {path}: an existing file ending in {' or '.join(APPENDABLE)} is expected")
    return path


def topology_beside(trajectory):
    """The PDB file that goes beside ``aa.dcd``, ``aa.pdb``; None beside a PDB file."""
    path = Path(trajectory)
    return None if path.suffix.lower() == ".pdb" else path.with_suffix(".pdb")


def write_topology_beside(trajectory, topology, name=None):
    """Write the first frame of ``aa.dcd`` as ``aa.pdb``; nothing where the trajectory is a PDB file itself.

    `name` is that of the trajectory, where it still has a temporary one.
    """
    path = topology_beside(name or trajectory)
    if path is None:
        return
    first = next(iter(TrajectoryReader(trajectory, topology, chunk_size=1)))
    with complete_output(path) as temporary, TrajectoryWriter(temporary, topology) as writer:
        writer.write(first.positions, first.times, first.lengths, first.angles)


class TrajectoryReader:
    """Chunks of a trajectory: ``for chunk in TrajectoryReader(path, topology): ...``.

    DCD of all dialects, XTC, PDB, mmCIF, GRO, and what else mdtraj reads (TRR, NetCDF, HDF5, ...); compressed by gzip
    or not. In a periodic box, molecules that were split over its sides are made whole along their bonds.

    Parameters
    ----------
    path : path, sequence of path, or mdtraj.Trajectory
        Several files are read as one, frames numbered through.
    topology : mdtraj.Topology or openmm.app.Topology
        Of the particles in the file.
    chunk_size : int
        Frames a chunk.
    stride : int
        Read every stride-th frame.
    salvage : bool
        Use the complete frames of a DCD or XTC file that is cut off, as a run that was killed leaves it.
    frame_interval : float or Quantity, optional
        ps between the frames of the file, for one that does not tell its times, or tells wrong ones.
    rename : dict of str to str, or "order", optional
        Names in the file by those expected, as `openmm_cgvae.molecule.renaming.renamed` takes them; "order" to take
        the particles for the expected ones whatever they are called.

    Raises
    ------
    DataError
        If the file is missing, empty, truncated or unreadable.
    TopologyMismatchError
        If it holds another number of particles.
    """

    def __init__(
        self,
        path: SomeTrajectory,
        topology: SomeTopology,
        chunk_size: int = 1000,
        stride: int = 1,
        salvage: bool = False,
        frame_interval: Number | None = None,
        rename: dict[str, str] | str | None = None,
    ) -> None:
        self.chunk_size = chunk_size
        self.stride = stride
        self._topology = as_mdtraj_topology(topology)
        self._interval = None if frame_interval is None else checked_number("frame_interval", frame_interval, "ps")
        self._boxed = None
        if stride < 1 or chunk_size < 1:
            raise SettingsError(f"stride={stride}, chunk_size={chunk_size} given: 1 or more is expected of both")
        self._sources = [open_source(part, self._topology, salvage) for part in given_parts(path)]
        for source in self._sources:
            if source.n_atoms is not None:
                self._check_particles(source.n_atoms, source.path)
            if source.topology is not None and rename != ORDER:
                names = renamed(source.topology, rename, strict=False) if rename else source.topology
                self._check_names(names, source)
        self.path = self._sources[0].path

    @property
    def n_frames(self) -> int | None:
        """Number of frames that will be read, or None where only reading tells."""
        counts = [source.n_frames for source in self._sources]
        return None if None in counts else -(-sum(counts) // self.stride)

    @property
    def has_times(self) -> bool:
        """Whether the times of frames are known: told by the file, or by `frame_interval`."""
        return self._interval is not None or all(source.has_times for source in self._sources)

    def _check_particles(self, found, path):
        if found != self._topology.n_atoms:
            raise TopologyMismatchError(
                f"trajectory {path} has {found} particles a frame, {self._topology.n_atoms} are expected: "
                "it is of another molecule or mapping, or holds solvent; leave that out"
            )

    def _check_names(self, found, source):
        # A name is compared as far as the format has room for it; of atoms, standard names count too.
        width, standard = source.name_width, source.standard_topology.atoms
        for i, (own, other, also) in enumerate(zip(self._topology.atoms, found.atoms, standard, strict=True)):
            if own.name[:width] not in (other.name[:width], also.name[:width]):
                residue = other.residue.name
                raise TopologyMismatchError(
                    f"particle {i} of {source.path} is called {other.name}, {own.name} is expected: it is of another "
                    "molecule, or its particles are in another order; if only its name is another, rename "
                    f"{residue}:{other.name}={own.name} (--rename), or take all of them in their {ORDER}"
                )

    def __iter__(self) -> Iterator[Chunk]:
        first, alone, known = 0, len(self._sources) == 1, self.has_times
        for source in self._sources:
            self.path = source.path
            for frames, positions, times, vectors in source.chunks(self.chunk_size, self.stride, first, alone):
                self._check_particles(positions.shape[1], source.path)
                yield self._chunk(first + frames, positions, times if known else None, vectors)
            first += source.n_frames or 0

    def _chunk(self, frames, positions, times, vectors):
        vectors = boxes_of_frames(vectors, f"trajectory {self.path}")
        if self._boxed not in (None, vectors is not None):
            raise DataError(f"trajectory {self.path} has frames with a box and frames without: write all alike")
        self._boxed = vectors is not None
        if vectors is not None and self._topology.n_bonds:
            # Programs wrap particles into the box one by one; bonds then show what belongs together.
            positions = _made_whole(positions, vectors, self._topology)
        if self._interval is not None:
            times = frames * self._interval
        return Chunk(frames, positions, None if times is None else np.asarray(times, dtype=float), vectors)


def _made_whole(positions, vectors, topology):
    import mdtraj

    part = mdtraj.Trajectory(np.array(positions, dtype=np.float32), topology)
    part.unitcell_vectors = vectors.astype(np.float32)
    return part.make_molecules_whole(inplace=True).xyz


class TrajectoryWriter:
    """Writes frames to DCD, XTC, PDB or mmCIF, by the suffix of `path`; use it as a context manager.

    Parameters
    ----------
    path : path
    topology : mdtraj.Topology or openmm.app.Topology
    append : bool
        Go on with an existing file (.dcd and .xtc).
    name : path, optional
        What the log calls the file, where `path` is a temporary one.
    title : str
        Of a new DCD file, a line of 80 characters at most; other formats have none.

    Raises
    ------
    OutputError
        If the suffix is none of `WRITABLE`, or the file cannot be appended to.
    """

    def __init__(
        self,
        path: PathLike,
        topology: SomeTopology,
        append: bool = False,
        name: PathLike | None = None,
        title: str = "",
    ) -> None:
        self.path = check_format(path, append)
        self._topology = as_mdtraj_topology(topology)
        self._file: DCDWriter | XTCWriter | PDBWriter
        if self.path.suffix.lower() == ".dcd":
            self._file = DCDWriter(self.path, self._topology.n_atoms, append, name, title)
        elif self.path.suffix.lower() == ".xtc":
            self._file = XTCWriter(self.path, self._topology.n_atoms, append, name)
        else:
            self._file = PDBWriter(self.path, topology)

    def write(self, positions, times, lengths=None, angles=None):
        """Append frames.

        Parameters
        ----------
        positions : numpy.ndarray, shape (f, n, 3)
            nm.
        times : numpy.ndarray, shape (f,), or None
            ps; evenly spaced, since a DCD file keeps the first and the spacing only. None where they are not known.
        lengths, angles : numpy.ndarray, shape (f, 3), optional
            Periodic box in nm and degrees.
        """
        box = None if lengths is None else boxes_of_frames(vectors_of_cells(lengths, angles), f"output {self.path}")
        if isinstance(self._file, DCDWriter):
            cells = (None, None) if box is None else box_lengths_and_angles(box)
            self._file.write(positions, times, *cells)
        elif isinstance(self._file, XTCWriter):
            self._file.write(positions, times, box)
        else:
            self._file.write(positions, box)

    def join(self, times, boxed, **how):
        """Cut a file that is appended to back to where frames of these times (k,) in ps go on; see ``DCDWriter.join``.

        `write` does it too; here it can be refused (`OutputError`) before a frame is made.
        """
        if isinstance(self._file, (DCDWriter, XTCWriter)):
            self._file.join(times, boxed, **how)

    def flush(self):
        """Have all frames that were written put on the disk."""
        self._file.flush()

    def close(self):
        """Finish the file."""
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def box_lengths_and_angles(vectors):
    """Box vectors (f, 3, 3) to lengths in nm and angles in degrees, (f, 3) each."""
    a, b, c = np.moveaxis(np.asarray(vectors, dtype=float), -2, 0)
    lengths = np.linalg.norm(vectors, axis=-1)
    products = np.stack([(b * c).sum(-1), (a * c).sum(-1), (a * b).sum(-1)], axis=1)
    cosines = products / (lengths[:, [1, 0, 0]] * lengths[:, [2, 2, 1]])
    return lengths, np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def box_vectors(lengths, angles):
    """Lengths in nm and angles in degrees, (f, 3) each, to reduced box vectors (f, 3, 3) in nm, rows a, b, c."""
    return reduced_vectors(vectors_of_cells(lengths, angles))
