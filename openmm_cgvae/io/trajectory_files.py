"""Trajectory files in chunks: every common format read, times and box kept, incomplete files noticed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openmm_cgvae.binding.renaming import ORDER, renamed
from openmm_cgvae.core.checks import checked_count, checked_number
from openmm_cgvae.core.errors import DataError, OutputError, TopologyMismatchError
from openmm_cgvae.core.output import complete_output
from openmm_cgvae.core.periodic import box_lengths_and_angles, boxes_of_frames, reduced_vectors, vectors_of_cells
from openmm_cgvae.formats.dcdwriter import DCDWriter
from openmm_cgvae.formats.hdf5 import HDF5Writer
from openmm_cgvae.formats.netcdfwriter import NetCDFWriter
from openmm_cgvae.formats.pdb import PDBWriter
from openmm_cgvae.formats.structures import load_topology
from openmm_cgvae.formats.xtcwriter import XTCWriter
from openmm_cgvae.io.selection import FrameSelection
from openmm_cgvae.io.sources import given_parts, open_source
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

WRITABLE = (".dcd", ".xtc", ".nc", ".h5", ".pdb", ".cif")
APPENDABLE = (".dcd", ".xtc", ".nc")
# What frames held at once may take, where several such chunks are in use at a time.
CHUNK_BYTES, BYTES_AN_ATOM, MOST_FRAMES = 2**25, 12, 1000


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
        raise OutputError(f"cannot append to {path}: an existing file ending in {', '.join(APPENDABLE)} is expected")
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

    DCD of all dialects, XTC, NetCDF, HDF5, PDB, mmCIF, GRO, and what else mdtraj reads (TRR, XYZ, ...), compressed by
    gzip or not, in memory that does not grow with the number of frames. In a periodic box, molecules that were split
    over its sides are made whole along their bonds.

    Parameters
    ----------
    path : path, sequence of path, or object
        Several files are read as one, frames numbered through. Objects of mdtraj, MDAnalysis, ParmEd and OpenMM are
        taken in place of files, see `openmm_cgvae.io.objects.in_memory`.
    topology : mdtraj.Topology, openmm.app.Topology, or path
        Of the particles in the file; of any library that `openmm_cgvae.molecule.foreign.foreign_topology` knows.
    chunk_size : int, optional
        Frames a chunk; by the number of particles if omitted, 1000 at most.
    stride : int
        Read every stride-th frame.
    salvage : bool
        Use the complete frames of a DCD, XTC or NetCDF file that is cut off, as a run that was killed leaves it.
    frame_interval : float or Quantity, optional
        ps between the frames of the file, for one that does not tell its times, or tells wrong ones.
    rename : dict of str to str, or "order", optional
        Names in the file by those expected, as `openmm_cgvae.binding.renaming.renamed` takes them; "order" to take
        the particles for the expected ones whatever they are called.
    frames : slice, range or pair of int, optional
        Numbers of the frames to read, over all files: ``slice(100, 2000, 10)``; negative ones count from the end.
    times : pair of float or Quantity, optional
        First and last time in ps of the frames to read; None in it for no limit.

    Raises
    ------
    DataError
        If the file is missing, empty, truncated or unreadable, or none of its frames is selected.
    TopologyMismatchError
        If it holds another number of particles.
    SettingsError
        If a setting is out of its range.
    """

    def __init__(
        self,
        path: SomeTrajectory,
        topology: SomeTopology,
        chunk_size: int | None = None,
        stride: int = 1,
        salvage: bool = False,
        frame_interval: Number | None = None,
        rename: dict[str, str] | str | None = None,
        frames: Any = None,
        times: Any = None,
    ) -> None:
        self._selection = FrameSelection.of(frames, times, stride)
        self._topology = load_topology(topology)
        self.chunk_size = checked_count("chunk_size", chunk_size or frames_at_once(self._topology.n_atoms))
        self._interval = None if frame_interval is None else checked_number("frame_interval", frame_interval, "ps")
        self._boxed = None
        self._sources = [open_source(part, self._topology, salvage) for part in given_parts(path)]
        for source in self._sources:
            if source.n_atoms is not None:
                self._check_particles(source.n_atoms, source.path)
            if source.topology is not None and rename != ORDER:
                names = renamed(source.topology, rename, strict=False) if rename else source.topology
                self._check_names(names, source)
        self.path = self._sources[0].path
        self._selection = self._selection.counted(self._total(source.n_frames for source in self._sources))
        if self._selection.by_time and not self.has_times:
            raise DataError(
                f"times of frames asked for, but {self.path} does not tell them: give the ps between its frames as "
                "frame_interval (--frame-interval)"
            )
        self.n_frames: int | None = self._total(self._counts())
        if self.n_frames == 0:
            raise self._nothing_selected()

    @property
    def stride(self) -> int:
        """Every how many frames one is read."""
        return self._selection.step

    @staticmethod
    def _total(counts):
        counts = list(counts)
        return None if None in counts else sum(counts)

    def _counts(self):
        """Frames to be read of each source, None where only reading tells."""
        first = 0
        for source in self._sources:
            yield source.count(self._selection, first, self._interval) if first is not None else None
            first = None if first is None or source.n_frames is None else first + source.n_frames

    def _nothing_selected(self):
        known = self._total(source.n_frames for source in self._sources)
        there = "" if known is None else f", which holds {known}"
        return DataError(f"no frame of trajectory {self.path}{there}, is among those asked for ({self._selection})")

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
        first, known, count = 0, self.has_times, 0
        for source in self._sources:
            self.path = source.path
            for frames, positions, times, vectors in source.chunks(
                self.chunk_size, self._selection, first, self._interval
            ):
                self._check_particles(positions.shape[1], source.path)
                count += len(frames)
                yield self._chunk(first + frames, positions, times if known else None, vectors)
            first += source.n_frames or 0
        if not count:
            raise self._nothing_selected()

    def _chunk(self, frames, positions, times, vectors):
        vectors = boxes_of_frames(vectors, f"trajectory {self.path}")
        if self._boxed not in (None, vectors is not None):
            raise DataError(f"trajectory {self.path} has frames with a box and frames without: write all alike")
        self._boxed = vectors is not None
        if vectors is not None and self._topology.n_bonds:
            # Programs wrap particles into the box one by one; bonds then show what belongs together.
            positions = _made_whole(positions, vectors, self._topology)
        return Chunk(frames, positions, None if times is None else np.asarray(times, dtype=float), vectors)


def frames_at_once(n_atoms: int, n_samples: int = 1, most: int = MOST_FRAMES) -> int:
    """Frames that are held at once, of so many atoms and samples each: so that memory is bounded."""
    return max(1, min(most, CHUNK_BYTES // (BYTES_AN_ATOM * n_atoms * n_samples)))


def _made_whole(positions, vectors, topology):
    import mdtraj

    part = mdtraj.Trajectory(np.array(positions, dtype=np.float32), topology)
    part.unitcell_vectors = vectors.astype(np.float32)
    return part.make_molecules_whole(inplace=True).xyz


WRITERS = {".dcd": DCDWriter, ".xtc": XTCWriter, ".nc": NetCDFWriter}


class TrajectoryWriter:
    """Writes frames to DCD, XTC, NetCDF, HDF5, PDB or mmCIF, by the suffix of `path`; use it as a context manager.

    Parameters
    ----------
    path : path
    topology : mdtraj.Topology or openmm.app.Topology
    append : bool
        Go on with an existing file (.dcd, .xtc and .nc).
    name : path, optional
        What messages and the log call the file, where `path` is a temporary one.
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
        kind, n_atoms = self.path.suffix.lower(), self._topology.n_atoms
        self._file: DCDWriter | XTCWriter | NetCDFWriter | HDF5Writer | PDBWriter
        if kind in WRITERS:
            more = {"title": title} if kind == ".dcd" else {}
            self._file = WRITERS[kind](self.path, n_atoms, append, name, **more)
        elif kind == ".h5":
            self._file = HDF5Writer(self.path, self._topology, name)
        else:
            self._file = PDBWriter(self.path, topology, name)

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
        if not len(positions):
            return
        box = None if lengths is None else boxes_of_frames(vectors_of_cells(lengths, angles), f"output {self.path}")
        if isinstance(self._file, PDBWriter):
            self._file.write(positions, box)
        elif isinstance(self._file, XTCWriter):
            self._file.write(positions, times, box)
        else:
            cells = (None, None) if box is None else box_lengths_and_angles(box)
            self._file.write(positions, times, *cells)

    def join(self, times, boxed, **how):
        """Cut a file that is appended to back to where frames of these times (k,) in ps go on; see ``DCDWriter.join``.

        `write` does it too; here it can be refused (`OutputError`) before a frame is made.
        """
        if isinstance(self._file, tuple(WRITERS.values())):
            self._file.join(times, boxed, **how)

    def flush(self):
        """Have all frames that were written put on the disk."""
        self._file.flush()

    def close(self):
        """Finish the file; `OutputError` if not all of it is on the disk."""
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def box_vectors(lengths, angles):
    """Lengths in nm and angles in degrees, (f, 3) each, to reduced box vectors (f, 3, 3) in nm, rows a, b, c."""
    return reduced_vectors(vectors_of_cells(lengths, angles))
