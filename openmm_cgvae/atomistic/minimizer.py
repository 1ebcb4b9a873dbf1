"""Brief minimisation of backmapped structures in an atomistic force field, with every bead held in place."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from openmm import XmlSerializer

from openmm_cgvae.atomistic.contexts import GPU_PLATFORMS, FrameContext
from openmm_cgvae.atomistic.copies import CopiesContext, can_copy
from openmm_cgvae.atomistic.forcefield import create_atomistic_system, cutoff_nm
from openmm_cgvae.atomistic.relaxation import Relaxation
from openmm_cgvae.atomistic.restrained import bead_springs
from openmm_cgvae.atomistic.stiffness import Stiffness
from openmm_cgvae.core.checks import checked_count, checked_number
from openmm_cgvae.core.errors import PositionsError, SettingsError, TopologyMismatchError
from openmm_cgvae.core.fingerprint import fingerprint
from openmm_cgvae.core.parallel import available_cores, in_threads
from openmm_cgvae.core.periodic import as_box_vectors, box_widths, reduced_vectors
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.core.units import as_positions_nm, value_in_md_units
from openmm_cgvae.metrics import handedness as handedness_of
from openmm_cgvae.metrics import valid_graphs
from openmm_cgvae.molecule.graph import MolecularGraph
from openmm_cgvae.molecule.topology import as_mdtraj_topology

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike

    from openmm_cgvae.core.types import Number, Positions
    from openmm_cgvae.molecule.mapping import CGMapping

__all__ = ["MinimizationResult", "Minimizer"]

logger = logging.getLogger(__name__)

BEAD_TOLERANCE_NM = 0.01
# As stiff as the stiffest bonds. After 50 iterations of 22 and 175 atoms with 0.02 nm noise 1e4 leaves beads up to
# 0.009 nm off (alpha carbons 0.03), 1e5 0.002 (0.015), 1e6 0.0003 (0.007), 1e7 0.00003 (0.0008), the last two at the
# same energies.
RESTRAINT = 1e6
# A batch that is not full costs as much as a full one. Sized by a large GPU's threads, not yet measured on one; on the
# CPU copies save nothing (175 atoms: an evaluation takes 0.2 ms alone, and 0.17 ms a copy of 16 with a cutoff).
COPIED_ATOMS = 40_000
MAX_COPIES = 256
# Frames minimised together on the CPU, to share the NumPy overhead of each call.
FRAMES_AT_ONCE = 16


@dataclass(frozen=True)
class MinimizationResult:
    """What `Minimizer.minimize` returns, frame by frame.

    Parameters
    ----------
    positions : numpy.ndarray, shape and precision as given
        nm; of a failed frame exactly what was given.
    energy_before, energy_after : numpy.ndarray, shape (frames,)
        Force field energy in kJ/mol, without the restraint, of what was given and of `positions`: equal where
        a frame failed.
    failed : numpy.ndarray of bool, shape (frames,)
    reason : tuple of str, length frames
        Why a frame failed; "" where it did not.
    """

    positions: np.ndarray
    energy_before: np.ndarray
    energy_after: np.ndarray
    failed: np.ndarray
    reason: tuple


class Minimizer:
    """Relaxes all-atom structures for a few iterations with their beads restrained.

    ``Minimizer(mapping).minimize(positions)`` works without further settings. L-BFGS is preconditioned by the
    molecule's own stiffness (`Stiffness`). Each frame is minimised on its own, so that the result does not depend on
    which frames share a call or a Context, nor on the number of workers.
    On the CPU, threads with a Context each work at different frames of larger molecules: OpenMM computes outside
    Python's lock. On a GPU, many frames share a Context.

    Parameters
    ----------
    mapping : CGMapping
        Names the molecule and its beads.
    forcefield : openmm.app.ForceField, parmed.Structure or path, optional
        A path is read by ParmEd, for example an Amber prmtop; amber14 if omitted.
    implicitSolvent : {"HCT", "OBC1", "OBC2", "GBn", "GBn2"}, optional
        Vacuum if omitted. With a ``ForceField`` of your own, put its XML file into that instead.
    maxIterations : int
        L-BFGS iterations a frame; 0 goes on until `tolerance` is reached.
    tolerance : float or Quantity
        Root mean square force at which to stop, kJ/mol/nm.
    restraint : float or Quantity
        Stiffness that holds M x at X, kJ/mol/nm^2, felt by the bead moving along its own weights.
    platform : str or openmm.Platform, optional
        If omitted CUDA or HIP if there is a device, else the faster of Reference and CPU; always one thread a Context.
    handedness : array_like, shape (centres,), optional
        1 or -1 for each of the molecule's stereocentres, as `openmm_cgvae.metrics.handedness` says of a reference
        structure: frames that differ after minimisation fail. If omitted, those that differ from the input do.
    boxVectors : Quantity or array_like, shape (3, 3), optional
        nm, rows a, b, c with a along x and b in the xy plane. The molecules of the topology are then in a periodic box,
        their forces by particle mesh Ewald, with a cutoff of 0.9 nm, or 0.45 times the width of a smaller box.
    workers : int, optional
        Threads; if omitted every core, and one on a GPU and on the Reference platform.
    copies : int, optional
        Frames that share a Context, as copies that do not interact. If omitted as many as fill a GPU, and 1 on the
        CPU, where that is faster; 1 in a box and with implicit solvent, where copies would feel each other.

    Raises
    ------
    MinimizationError
        If the force field lacks a residue or cannot be read.
    TopologyMismatchError
        If the ParmEd structure or `handedness` is of another molecule.
    SettingsError
        If a setting is out of its range or unknown.
    """

    def __init__(
        self,
        mapping: CGMapping,
        forcefield: Any = None,
        implicitSolvent: str | None = None,
        maxIterations: int = 50,
        tolerance: Number = 10.0,
        restraint: Number = RESTRAINT,
        platform: str | None = None,
        handedness: ArrayLike | None = None,
        boxVectors: Positions | None = None,
        workers: int | None = None,
        copies: int | None = None,
    ) -> None:
        self.mapping = mapping
        self.graph = MolecularGraph.from_topology(as_mdtraj_topology(mapping.topology))
        self.maxIterations = int(checked_number("maxIterations", maxIterations, zero=True))
        self.tolerance = checked_number("tolerance", tolerance)
        self._handedness = self._checked_handedness(handedness)
        self._box = None if boxVectors is None else reduced_vectors(as_box_vectors(boxVectors, 1))[0]
        system = create_atomistic_system(mapping, self.graph, forcefield, implicitSolvent, self._box)
        self._restraint = checked_number("restraint", restraint)
        springs = bead_springs(mapping, self._restraint)
        self._system, self._springs, self._asked_platform = system, springs, platform
        context = FrameContext(system, platform)
        self.platform = context.platform
        self.copies = self._checked_copies(copies, system)
        self.workers = self._checked_workers(workers)
        self._prepare(context)

    def _prepare(self, context):
        """Make what minimises; ``_idle`` has it where no thread is at work with it."""
        fixed = Stiffness(self._system, self.mapping.sparse, self._springs), self.mapping, self._springs
        self._create = partial(_relaxation, self._system, self._asked_platform, self.copies, *fixed)
        # One more is created for each thread that runs at the same time.
        self._idle = [Relaxation(context, *fixed) if self.copies == 1 else self._create()]

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled for other processes, which make Contexts of their own."""
        state = {name: value for name, value in self.__dict__.items() if name not in ("_create", "_idle")}
        platform = self._asked_platform
        named = platform if platform is None or isinstance(platform, str) else platform.getName()
        return state | {"_system": XmlSerializer.serialize(self._system), "_asked_platform": named}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_system": XmlSerializer.deserialize(state["_system"])})
        self._prepare(FrameContext(self._system, self._asked_platform))

    @property
    def fingerprint(self) -> str:
        """Hash of all that minimised structures depend on: force field, beads, settings, platform."""
        handedness = None if self._handedness is None else self._handedness.tolist()
        settings = [self.maxIterations, self.tolerance, self._restraint, self.platform, handedness, self.periodic]
        forces = XmlSerializer.serialize(self._system)
        return fingerprint(forces, self.mapping.to_dict(), settings)

    @property
    def periodic(self) -> bool:
        """Whether the molecules are in a periodic box."""
        return self._box is not None

    def minimize(
        self,
        positions: Positions,
        beads: Positions | None = None,
        progress: bool = True,
        boxVectors: Positions | None = None,
    ) -> MinimizationResult:
        """Minimise each frame and check what came out.

        A frame fails, and is then kept as given, if its energy is not finite, a bead is more than 0.01 nm from
        its position, a stereocentre has the wrong handedness, or its bond graph is not the molecule's.

        Parameters
        ----------
        positions : Quantity or array_like, shape (frames, n_atoms, 3) or (n_atoms, 3)
            Bare numbers in nm, molecules whole.
        beads : Quantity or array_like, shape (frames, n_beads, 3) or (n_beads, 3), optional
            Where to hold the beads; M x of the input if omitted. One frame of beads serves any number of structures.
        progress : bool
            Show a progress bar if it takes more than a few seconds.
        boxVectors : Quantity or array_like, shape (frames, 3, 3) or (3, 3), optional
            The periodic box of each frame, nm; the one given to the constructor if omitted.

        Returns
        -------
        MinimizationResult

        Raises
        ------
        PositionsError
            If positions, beads or box vectors are of another shape, or not finite, or a box too small for the cutoff.
        """
        frames = as_positions_nm(positions, self.mapping.n_atoms, "atoms")
        beads = self._checked_beads(beads, frames)
        boxes = self._checked_boxes(boxVectors, len(frames))
        minimized, energies, reasons = self._relax_all(frames, beads, boxes, progress)
        reasons = tuple(a or b for a, b in zip(reasons, self._faults(minimized, frames, beads), strict=True))
        failed = np.array([bool(reason) for reason in reasons], dtype=bool)
        minimized[failed], energies[failed, 1] = frames[failed], energies[failed, 0]
        _warn_of_failures(reasons)
        shape = (self.mapping.n_atoms, 3) if np.ndim(value_in_md_units(positions)) == 2 else frames.shape
        return MinimizationResult(minimized.reshape(shape), energies[:, 0], energies[:, 1], failed, reasons)

    def _relax_all(self, frames, beads, boxes, progress):
        """Minimise without checks: positions, energies before and after, and why a frame has none ("" if it has)."""
        minimized, energies, reasons = frames.copy(), np.full((len(frames), 2), np.nan), []
        size = self._frames_at_once(len(frames))
        parts = [slice(k, k + size) for k in range(0, len(frames), size)]
        batches = [(frames[part], beads[part], None if boxes is None else boxes[part]) for part in parts]
        with progress_bar(total=len(frames), unit="frame", leave=False, shown=progress) as bar:
            for part, done in zip(parts, in_threads(self._relax, batches, self.workers), strict=True):
                relaxed, energies[part] = done
                new = [_not_finite(*of) for of in zip(energies[part, 1], relaxed, strict=True)]
                minimized[part] = np.where(np.array(new)[:, None, None] == "", relaxed, frames[part])
                reasons += new
                bar.update(len(new))
        return minimized, energies, reasons

    def _frames_at_once(self, n_frames):
        if self.copies > 1 or self.periodic:
            return self.copies
        return max(1, min(FRAMES_AT_ONCE, -(-n_frames // self.workers)))

    def _relax(self, batch):
        try:
            relaxation = self._idle.pop()
        except IndexError:
            relaxation = self._create()
        try:
            return relaxation.relax(*batch, self.tolerance, self.maxIterations)
        finally:
            self._idle.append(relaxation)

    def _faults(self, minimized, given, beads):
        """Fault of each minimised frame, "" where there is none."""
        off = np.linalg.norm(self.mapping.project(minimized) - beads, axis=-1).max(-1)
        reference = handedness_of(given, self.graph) if self._handedness is None else self._handedness
        inverted = handedness_of(minimized, self.graph) != reference
        valid = valid_graphs(minimized, self.graph)
        centres = [self._atom(i) for i in self.graph.stereocentres[:, 0]]
        for k in range(len(minimized)):
            faults = []
            if off[k] > BEAD_TOLERANCE_NM:
                faults.append(f"a bead is {off[k]:.3f} nm from its position")
            if inverted[k].any():
                names = ", ".join(centre for centre, wrong in zip(centres, inverted[k], strict=True) if wrong)
                faults.append(f"handedness {'changed' if self._handedness is None else 'is wrong'} at {names}")
            if not valid[k]:
                faults.append("bond graph is not the molecule's")
            yield "; ".join(faults)

    def _atom(self, i):
        return f"{self.graph.residues[i]}{self.graph.residue_index[i] + 1} {self.graph.names[i]}"

    def _checked_beads(self, beads, frames):
        if beads is None:
            return self.mapping.project(frames)
        beads = as_positions_nm(beads, self.mapping.n_beads, "beads")
        if len(beads) not in (1, len(frames)):
            raise PositionsError(
                f"beads of {len(beads)} frames given for positions of {len(frames)}: give one frame of beads each"
            )
        return np.broadcast_to(beads, (len(frames), *beads.shape[1:]))

    def _checked_boxes(self, vectors, n_frames):
        if vectors is None:
            vectors = self._box
        elif self._box is None:
            raise SettingsError("boxVectors given to minimize, but the Minimizer was made without: give it a box too")
        if vectors is None:
            return None
        vectors = reduced_vectors(as_box_vectors(vectors, n_frames))
        # On the CPU platform OpenMM aborts the process if the box is too small.
        narrowest, cutoff = box_widths(vectors).min(initial=np.inf), cutoff_nm(self._box)
        if narrowest < 2 * cutoff:
            raise PositionsError(
                f"a box {narrowest:.3g} nm wide given, the cutoff is {cutoff:.3g} nm and goes by the box that the "
                "Minimizer was made with: give that the smallest box"
            )
        return vectors

    def _checked_copies(self, copies, system):
        if copies is None:
            on_gpu = self.platform in GPU_PLATFORMS and can_copy(system)
            return max(1, min(MAX_COPIES, COPIED_ATOMS // self.mapping.n_atoms)) if on_gpu else 1
        copies = checked_count("copies", copies)
        if copies > 1 and not can_copy(system):
            raise SettingsError(
                f"copies={copies} given, but in a box, with implicit solvent or with forces beyond bonds, angles, "
                "torsions and pairs, copies in one Context would interact: leave copies out and use workers"
            )
        return copies

    def _checked_workers(self, workers):
        if workers is None:
            # Small molecules use Reference, where most of the work is Python's and threads only wait for one another.
            return 1 if self.platform in (*GPU_PLATFORMS, "Reference") else available_cores()
        return checked_count("workers", workers)

    def _checked_handedness(self, handedness):
        if handedness is None:
            return None
        signs, n_centres = np.asarray(handedness), len(self.graph.stereocentres)
        if signs.size != n_centres or not np.isin(signs, (-1, 1)).all():
            raise TopologyMismatchError(
                f"handedness of shape {signs.shape} given, {n_centres} values of 1 or -1 expected, one a "
                "stereocentre: take it from openmm_cgvae.metrics.handedness of a reference structure"
            )
        return signs.ravel()


def _relaxation(system, platform, copies, *fixed):
    context = FrameContext(system, platform) if copies == 1 else CopiesContext(system, platform, copies)
    return Relaxation(context, *fixed)


def _not_finite(energy, positions):
    """Fault text if an energy or a position is not finite, else ""."""
    finite = np.isfinite(energy) and np.isfinite(positions).all()
    return "" if finite else f"energy after minimisation is {energy}"


def _warn_of_failures(reasons):
    failed = [k for k, reason in enumerate(reasons) if reason]
    if failed:
        first = failed[0]
        logger.warning(
            "%d of %d frames kept unminimised; frame %d: %s", len(failed), len(reasons), first, reasons[first]
        )
