"""Brief minimisation of backmapped structures in an atomistic force field, with every bead held in place."""

import logging
from dataclasses import dataclass

import numpy as np
import openmm

from openmm_cgvae.app.forcefield import create_atomistic_system, first_line, nearest_name
from openmm_cgvae.chemistry import MolecularGraph
from openmm_cgvae.errors import MinimizationError, PositionsError, SettingsError, TopologyMismatchError
from openmm_cgvae.mapping.topology import as_mdtraj_topology
from openmm_cgvae.metrics import handedness as handedness_of
from openmm_cgvae.metrics import valid_graphs
from openmm_cgvae.units import as_positions_nm, value_in_md_units

__all__ = ["MinimizationResult", "Minimizer"]

logger = logging.getLogger(__name__)

BEAD_TOLERANCE_NM = 0.01
# As stiff as the stiffest bonds. Measured after 50 iterations, 22 and 175 atoms with 0.02-0.03 nm noise: 1e4 leaves
# beads up to 0.03 nm off (alpha carbons 0.07), 1e5 0.004 (0.02), 1e6 0.0007 (0.003) at no cost in energy or time; from
# 3e6 on, bead and bond compete and the energy stays tens of kJ/mol higher.
RESTRAINT = 1e6
RESTRAINT_GROUP = 1
# One evaluation in vacuum takes Reference longer than CPU from about this size on (22 atoms: 0.8 and 2.9 ms a frame;
# 175 atoms: 21 and 13); Born radii are 2 to 10 times faster on CPU at any size.
MAX_REFERENCE_ATOMS = 100
# One thread and deterministic sums: the same input gives the same bits.
PLATFORM_PROPERTIES = {"Threads": "1", "DeterministicForces": "true", "Precision": "mixed"}


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
    """Relax all-atom structures for a few iterations while their beads stay where they are.

    ``Minimizer(mapping).minimize(positions)`` works without further settings. Each frame is minimised on its own,
    so that the result does not depend on which frames share a call. Not to be used from two threads at once.

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
        The faster of Reference and CPU if omitted; always one thread.
    handedness : array_like, shape (centres,), optional
        1 or -1 for each of the molecule's stereocentres, as `openmm_cgvae.metrics.handedness` says of a reference
        structure: frames that differ after minimisation fail. If omitted, those that differ from the input do.

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
        mapping,
        forcefield=None,
        implicitSolvent=None,
        maxIterations=50,
        tolerance=10.0,
        restraint=RESTRAINT,
        platform=None,
        handedness=None,
    ):
        self.mapping = mapping
        self.graph = MolecularGraph.from_topology(as_mdtraj_topology(mapping.topology))
        self.maxIterations = int(_checked_number("maxIterations", maxIterations, allow_zero=True))
        self.tolerance = _checked_number("tolerance", tolerance)
        self._handedness = self._checked_handedness(handedness)
        self._restraint = _bead_restraint(mapping, _checked_number("restraint", restraint))
        system = create_atomistic_system(mapping, self.graph, forcefield, implicitSolvent)
        for force in system.getForces():
            force.setForceGroup(0)
        system.addForce(self._restraint)
        self._context = _create_context(system, platform)

    @property
    def platform(self):
        """Name of the OpenMM platform in use."""
        return self._context.getPlatform().getName()

    def minimize(self, positions, beads=None, progress=True):
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

        Returns
        -------
        MinimizationResult

        Raises
        ------
        PositionsError
            If positions or beads are of another shape, or not finite.
        """
        from tqdm.auto import tqdm

        frames = as_positions_nm(positions, self.mapping.n_atoms, "atoms")
        beads = self._checked_beads(beads, frames)
        minimized, energies, reasons = frames.copy(), np.full((len(frames), 2), np.nan), [""] * len(frames)
        for k in tqdm(range(len(frames)), unit="frame", delay=3, leave=False, disable=not progress):
            minimized[k], energies[k], reasons[k] = self._minimize_frame(frames[k], beads[k])
        reasons = tuple(a or b for a, b in zip(reasons, self._faults(minimized, frames, beads), strict=True))
        failed = np.array([bool(reason) for reason in reasons], dtype=bool)
        minimized[failed], energies[failed, 1] = frames[failed], energies[failed, 0]
        _warn_of_failures(reasons)
        shape = (self.mapping.n_atoms, 3) if np.ndim(value_in_md_units(positions)) == 2 else frames.shape
        return MinimizationResult(minimized.reshape(shape), energies[:, 0], energies[:, 1], failed, reasons)

    def _minimize_frame(self, frame, beads):
        """Minimise one frame: positions, energies before and after, and why there are none ("" if there are)."""
        # About the beads' centre, since a molecule that has diffused far has no digits left for single precision.
        centre = beads.mean(0, dtype=float)
        self._hold(beads - centre)
        self._context.setPositions(frame - centre)
        before = self._state().getPotentialEnergy()._value
        try:
            openmm.LocalEnergyMinimizer.minimize(self._context, self.tolerance, self.maxIterations)
            state = self._state()
        except openmm.OpenMMException as error:
            return frame, (before, before), str(error)
        after = state.getPotentialEnergy()._value
        minimized = state.getPositions(asNumpy=True)._value + centre
        if not np.isfinite(after) or not np.isfinite(minimized).all():
            return frame, (before, before), f"energy after minimisation is {after}"
        return minimized, (before, after), ""

    def _hold(self, beads):
        for k, bead in enumerate(beads):
            stiffness = self._restraint.getBondParameters(k)[1][0]
            self._restraint.setBondParameters(k, [k], [stiffness, *bead])
        self._restraint.updateParametersInContext(self._context)

    def _state(self):
        return self._context.getState(positions=True, energy=True, groups={0})

    def _faults(self, minimized, given, beads):
        """Say what is wrong with each minimised frame, "" if nothing is."""
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


def _bead_restraint(mapping, stiffness):
    """Harmonic restraints of every M x to a point that is set frame by frame, a ``CustomCentroidBondForce``."""
    force = openmm.CustomCentroidBondForce(1, "k/2 * ((x1-x0)^2 + (y1-y0)^2 + (z1-z0)^2)")
    for name in ("k", "x0", "y0", "z0"):
        force.addPerBondParameter(name)
    for k, row in enumerate(mapping.matrix):
        atoms = np.flatnonzero(row)
        force.addGroup(atoms.tolist(), row[atoms].tolist())
        # The largest curvature is then the same for one atom a bead and for many, and so is the convergence.
        force.addBond([k], [stiffness / (row**2).sum(), 0.0, 0.0, 0.0])
    force.setForceGroup(RESTRAINT_GROUP)
    return force


def _create_context(system, platform):
    if platform is None:
        born = any(isinstance(f, openmm.CustomGBForce | openmm.GBSAOBCForce) for f in system.getForces())
        platform = "CPU" if born or system.getNumParticles() > MAX_REFERENCE_ATOMS else "Reference"
    if isinstance(platform, str):
        names = [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]
        platform = openmm.Platform.getPlatformByName(nearest_name("platform", platform, names))
    properties = {k: v for k, v in PLATFORM_PROPERTIES.items() if k in platform.getPropertyNames()}
    try:
        # The integrator is never stepped: a Context needs one.
        return openmm.Context(system, openmm.VerletIntegrator(0.001), platform, properties)
    except openmm.OpenMMException as error:
        raise MinimizationError(
            f"no OpenMM Context on platform {platform.getName()} ({first_line(error)}): try platform='CPU'"
        ) from error


def _checked_number(what, given, allow_zero=False):
    try:
        number = float(value_in_md_units(given))
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{what}={given!r} given: a number is expected") from error
    if not np.isfinite(number) or number < 0 or (number == 0 and not allow_zero):
        raise SettingsError(f"{what}={given} given: a number {'of 0 or more' if allow_zero else 'above 0'} is expected")
    return number


def _warn_of_failures(reasons):
    failed = [k for k, reason in enumerate(reasons) if reason]
    if failed:
        first = failed[0]
        logger.warning(
            "%d of %d frames kept unminimised; frame %d: %s", len(failed), len(reasons), first, reasons[first]
        )
