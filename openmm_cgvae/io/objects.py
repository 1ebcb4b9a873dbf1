"""Trajectories that other libraries hold in memory, taken where a path is, and made of our frames on request."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import DataError, MissingDependencyError, SettingsError, one_line
from openmm_cgvae.core.periodic import box_lengths_and_angles, vectors_of_cells
from openmm_cgvae.core.units import ANGSTROM_PER_NM, value_in_md_units
from openmm_cgvae.molecule.foreign import foreign_topology

__all__ = ["as_library", "check_library", "in_memory", "is_in_memory"]

NAME = Path("given in memory")


def is_in_memory(part):
    """Whether something is what `in_memory` takes."""
    return _kind(part) is not None


def _kind(part):
    if all(hasattr(part, name) for name in ("xyz", "topology", "time", "unitcell_lengths")):
        return _of_mdtraj
    if hasattr(part, "universe") and hasattr(part, "atoms"):
        return _MDAnalysisFrames.of
    if hasattr(part, "get_coordinates") and hasattr(part, "topology"):
        return _of_parmed
    if _is_pair(part):
        return _of_pair
    if hasattr(part, "topology") and (hasattr(part, "positions") or hasattr(part, "context")):
        return _of_openmm
    return None


def _is_pair(part):
    """Whether something is an OpenMM topology with positions."""
    return isinstance(part, tuple | list) and len(part) == 2 and hasattr(part[0], "getNumAtoms")


def in_memory(part):
    """Return the frames of a library's object, read as those of files are.

    Parameters
    ----------
    part : object
        ``mdtraj.Trajectory``; ``MDAnalysis.Universe`` or ``AtomGroup``, whose frames are read one at a time;
        ``parmed.Structure``; OpenMM's ``PDBFile``, ``PDBxFile``, ``Modeller`` or ``Simulation``, or a pair of an
        ``openmm.app.Topology`` and positions, (n, 3) or (f, n, 3), bare numbers in nm.

    Returns
    -------
    object
        With ``n_atoms, n_frames, has_times, topology, times(frames), frames(numbers)``.

    Raises
    ------
    DataError
        If it has no positions, or other than its topology has atoms.
    """
    found = _kind(part)(part)
    if found.n_frames == 0:
        raise DataError(f"a {type(part).__name__} without a frame given as trajectory: one at least is expected")
    return found


@dataclass(frozen=True)
class MemoryFrames:
    """Frames that are all in memory: positions (f, n, 3) and box vectors (f, 3, 3), zero for none, in nm."""

    topology: object
    positions: np.ndarray
    vectors: np.ndarray
    all_times: np.ndarray | None = None

    def __post_init__(self):
        if self.positions.ndim != 3 or self.positions.shape[1:] != (self.topology.n_atoms, 3):
            raise DataError(
                f"positions of shape {self.positions.shape} given with a topology of {self.topology.n_atoms} atoms: "
                f"({self.topology.n_atoms}, 3) a frame is expected"
            )

    @property
    def named_topology(self):
        return self.topology

    @property
    def n_atoms(self):
        return self.positions.shape[1]

    @property
    def n_frames(self):
        return len(self.positions)

    @property
    def has_times(self):
        return self.all_times is not None

    def times(self, frames):
        """Times in ps of frame numbers."""
        return self.all_times[frames]

    def frames(self, numbers):
        """Positions (f, n, 3) and box vectors (f, 3, 3), zero without a box, in nm."""
        return self.positions[numbers], self.vectors[numbers]


def _of_mdtraj(trajectory):
    n = len(trajectory.xyz)
    times = np.asarray(trajectory.time, dtype=float)
    # What mdtraj numbers frames by where a file has no times.
    known = n > 1 and not np.array_equal(times, np.arange(n))
    cells = trajectory.unitcell_lengths, trajectory.unitcell_angles
    vectors = np.zeros((n, 3, 3)) if cells[0] is None else vectors_of_cells(*cells)
    return MemoryFrames(trajectory.topology, np.array(trajectory.xyz, np.float32), vectors, times if known else None)


def _of_parmed(structure):
    found = structure.get_coordinates("all")
    if found is None:
        raise DataError("a ParmEd structure without coordinates given as trajectory: read it with a coordinate file")
    positions = np.array(found, np.float32) / np.float32(ANGSTROM_PER_NM)
    vectors = np.zeros((1, 3, 3))
    if structure.box is not None:
        vectors = vectors_of_cells([np.array(structure.box[:3]) / ANGSTROM_PER_NM], [structure.box[3:]])
    return MemoryFrames(foreign_topology(structure), positions, np.tile(vectors, (len(positions), 1, 1)))


def _of_pair(pair):
    topology, positions = pair
    try:
        positions = np.array(value_in_md_units(positions), np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"positions given with a topology cannot be read: {one_line(error)}") from error
    return _of_arrays(topology, positions[None] if positions.ndim == 2 else positions)


def _of_openmm(holder):
    if hasattr(holder, "context"):
        state = holder.context.getState(getPositions=True)
        found = _of_arrays(holder.topology, state.getPositions(asNumpy=True)._value[None])
        periodic = holder.system.usesPeriodicBoundaryConditions()
        vectors = state.getPeriodicBoxVectors(asNumpy=True)._value[None] if periodic else np.zeros((1, 3, 3))
        return MemoryFrames(found.topology, found.positions, vectors)
    if hasattr(holder, "getNumFrames"):
        frames = [holder.getPositions(asNumpy=True, frame=k)._value for k in range(holder.getNumFrames())]
        return _of_arrays(holder.topology, np.array(frames))
    return _of_pair((holder.topology, holder.positions))


def _of_arrays(topology, positions):
    box = topology.getPeriodicBoxVectors()
    vectors = np.zeros((3, 3)) if box is None else np.array(value_in_md_units(box))
    positions = np.asarray(positions, np.float32)
    return MemoryFrames(foreign_topology(topology), positions, np.tile(vectors, (len(positions), 1, 1)))


@dataclass(frozen=True)
class _MDAnalysisFrames:
    """Frames of an ``AtomGroup``, read one at a time; the universe is left at the frame it was at."""

    atoms: object
    topology: object = field(repr=False)
    n_frames: int
    has_times: bool

    @classmethod
    def of(cls, group):
        atoms = group.atoms
        try:
            trajectory = atoms.universe.trajectory
        except AttributeError as error:
            raise DataError("an MDAnalysis universe without coordinates given as trajectory: load them") from error
        # Other times are frame numbers, which MDAnalysis counts as ps.
        known = {"time", "dt"} & set(trajectory.ts.data)
        return cls(atoms, foreign_topology(atoms), len(trajectory), bool(known))

    @property
    def named_topology(self):
        return self.topology

    @property
    def n_atoms(self):
        return len(self.atoms)

    def times(self, frames):
        """Times in ps of frame numbers."""
        return np.array([step.time for step in self._steps(frames)], dtype=float)

    def frames(self, numbers):
        """Positions (f, n, 3) and box vectors (f, 3, 3), zero without a box, in nm."""
        positions, vectors = np.empty((len(numbers), self.n_atoms, 3), np.float32), np.zeros((len(numbers), 3, 3))
        for row, step in enumerate(self._steps(numbers)):
            positions[row] = self.atoms.positions / ANGSTROM_PER_NM
            if step.dimensions is not None and step.dimensions[:3].any():
                cell = step.dimensions.astype(float)
                vectors[row] = vectors_of_cells([cell[:3] / ANGSTROM_PER_NM], [cell[3:]])[0]
        return positions, vectors

    def _steps(self, numbers):
        trajectory = self.atoms.universe.trajectory
        before = trajectory.frame
        try:
            for number in numbers:
                yield trajectory[int(number)]
        except OSError as error:
            raise DataError(f"the MDAnalysis universe cannot be read: {one_line(error)}") from error
        finally:
            trajectory[before]


def as_library(library, topology, positions, times=None, vectors=None):
    """Make a library's own object of frames.

    Parameters
    ----------
    library : {"mdtraj", "mdanalysis", "openmm", "parmed"}
        For a ``Trajectory``, a ``Universe``, a pair of ``Topology`` and a ``Quantity`` (f, n, 3), a ``Structure``.
    topology : openmm.app.Topology
    positions : numpy.ndarray, shape (f, n, 3)
        nm.
    times : numpy.ndarray, shape (f,), optional
        ps.
    vectors : numpy.ndarray, shape (f, 3, 3), optional
        Box vectors in nm.

    Raises
    ------
    SettingsError
        If the library is another.
    MissingDependencyError
        If it is not installed.
    """
    check_library(library)
    try:
        return LIBRARIES[library.lower()](topology, positions, times, vectors)
    except ImportError as error:
        raise MissingDependencyError(
            f"structures asked for as an object of {library}, which is not installed: pip install {library}"
        ) from error


def check_library(library):
    """Refuse what `as_library` does not know (`SettingsError`)."""
    if not isinstance(library, str) or library.lower() not in LIBRARIES:
        raise SettingsError(f"library={library!r} given: one of {', '.join(LIBRARIES)} is expected")


def _as_mdtraj(topology, positions, times, vectors):
    import mdtraj

    cells = (None, None) if vectors is None else box_lengths_and_angles(vectors)
    return mdtraj.Trajectory(positions, foreign_topology(topology), times, *cells)


def _as_openmm(topology, positions, times, vectors):
    from openmm import unit

    if vectors is not None and len(vectors):
        topology.setPeriodicBoxVectors(vectors[0] * unit.nanometer)
    return topology, positions * unit.nanometer


def _as_parmed(topology, positions, times, vectors):
    import parmed

    structure, atoms = parmed.Structure(), list(topology.atoms())
    for atom in atoms:
        residue, element = atom.residue, atom.element
        # Its own way from OpenMM's topology takes beads for extra points, which it does not bond.
        own = parmed.Atom(name=atom.name, atomic_number=element.atomic_number if element else 0,
                          mass=element.mass._value if element else 0.0)  # fmt: skip
        structure.add_atom(own, residue.name, _number(residue), residue.chain.id, residue.insertionCode)
    structure.bonds.extend(parmed.Bond(*(structure.atoms[a.index] for a in bond)) for bond in topology.bonds())
    structure.coordinates = positions * ANGSTROM_PER_NM
    if vectors is not None and len(vectors):
        lengths, angles = box_lengths_and_angles(vectors[:1])
        structure.box = [*(lengths[0] * ANGSTROM_PER_NM), *angles[0]]
    return structure


def _as_mdanalysis(topology, positions, times, vectors):
    import MDAnalysis
    from MDAnalysis.coordinates.memory import MemoryReader

    atoms, residues = list(topology.atoms()), list(topology.residues())
    universe = MDAnalysis.Universe.empty(
        len(atoms), len(residues), topology.getNumChains(), atom_resindex=[atom.residue.index for atom in atoms],
        residue_segindex=[residue.chain.index for residue in residues],
    )  # fmt: skip
    chains = [chain.id or "" for chain in topology.chains()]
    values = {
        "names": [atom.name for atom in atoms],
        "elements": [atom.element.symbol if atom.element else "" for atom in atoms],
        "masses": [atom.element.mass._value if atom.element else 0.0 for atom in atoms],
        "chainIDs": [atom.residue.chain.id or "" for atom in atoms],
        "resnames": [residue.name for residue in residues],
        "resids": [_number(residue) for residue in residues],
        "icodes": [residue.insertionCode.strip() for residue in residues],
        "segids": chains,
        "bonds": [(bond[0].index, bond[1].index) for bond in topology.bonds()],
    }
    for name, column in values.items():
        universe.add_TopologyAttr(name, column)
    spacing = {} if times is None or len(times) < 2 else {"dt": float(times[1] - times[0])}
    offset = {} if times is None or not len(times) else {"time_offset": float(times[0])}
    dimensions = None
    if vectors is not None:
        lengths, angles = box_lengths_and_angles(vectors)
        dimensions = np.concatenate([lengths * ANGSTROM_PER_NM, angles], axis=1).astype(np.float32)
    universe.trajectory = MemoryReader(positions * ANGSTROM_PER_NM, dimensions=dimensions, **spacing, **offset)
    return universe


def _number(residue):
    return int(residue.id) if residue.id.lstrip("-").isdigit() else residue.index + 1


LIBRARIES = {"mdtraj": _as_mdtraj, "mdanalysis": _as_mdanalysis, "openmm": _as_openmm, "parmed": _as_parmed}
