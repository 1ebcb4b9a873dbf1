"""A molecule in its force field with every bead held: the energy and the minimum of one frame at a time."""

import copy

import numpy as np
import openmm

from openmm_cgvae.app.forcefield import first_line, nearest_name
from openmm_cgvae.app.platforms import installed_platforms
from openmm_cgvae.errors import MinimizationError

__all__ = [
    "GPU_PLATFORMS",
    "FrameContext",
    "bead_restraint",
    "create_context",
    "hold",
    "restrained_system",
]

GPU_PLATFORMS = ("CUDA", "HIP", "OpenCL")
RESTRAINT_GROUP = 1
# One evaluation in vacuum takes Reference longer than CPU from about this size on (22 atoms: 0.8 and 2.9 ms a frame;
# 175 atoms: 21 and 13); Born radii are 2 to 10 times faster on CPU at any size.
MAX_REFERENCE_ATOMS = 100
# One thread and deterministic sums: the same input gives the same bits.
PLATFORM_PROPERTIES = {"Threads": "1", "DeterministicForces": "true", "Precision": "mixed"}


class FrameContext:
    """One molecule in one Context, minimised by OpenMM's L-BFGS.

    Parameters
    ----------
    system : openmm.System
        Without restraints; left as it is.
    mapping : CGMapping
    stiffness : float
        Of the bead restraints, kJ/mol/nm^2.
    platform : str or openmm.Platform, optional

    Raises
    ------
    MinimizationError
        If there is no such Context on the platform.
    SettingsError
        If the platform is unknown.
    """

    size = 1

    def __init__(self, system, mapping, stiffness, platform=None):
        self._restraint = bead_restraint(mapping, stiffness)
        self._context = create_context(restrained_system(system, self._restraint), platform)

    @property
    def platform(self):
        """Name of the OpenMM platform in use."""
        return self._context.getPlatform().getName()

    def energy(self, frame):
        """Energy in kJ/mol of one frame, (n_atoms, 3) in nm, without the restraint."""
        self._context.setPositions(frame)
        return self._state().getPotentialEnergy()._value

    def relax(self, frames, beads, boxes, tolerance, maxIterations):
        """Minimise a frame.

        Parameters
        ----------
        frames : numpy.ndarray, shape (1, n_atoms, 3)
            nm.
        beads : numpy.ndarray, shape (1, n_beads, 3)
            Where to hold the beads, nm.
        boxes : numpy.ndarray, shape (1, 3, 3), or None
            Periodic box vectors, nm.
        tolerance : float
            kJ/mol/nm.
        maxIterations : int

        Returns
        -------
        positions : numpy.ndarray, shape (1, n_atoms, 3)
            nm.
        energies : numpy.ndarray, shape (1, 2)
            Before and after, kJ/mol.
        reasons : list of str
            Why there is no minimum, "" if there is.
        """
        energies, minimized, reason = np.full((1, 2), np.nan), frames, ""
        # About the beads' centre, since a molecule that has diffused far has no digits left for single precision.
        centre = beads[0].mean(0, dtype=float)
        hold(self._context, self._restraint, beads[0] - centre)
        try:
            if boxes is not None:
                self._context.setPeriodicBoxVectors(*boxes[0])
                # All atoms elsewhere: else the neighbour list of an earlier frame, and its rounding, may live on.
                self.energy(frames[0] - centre + 1.0)
            energies[:] = self.energy(frames[0] - centre)
            openmm.LocalEnergyMinimizer.minimize(self._context, tolerance, maxIterations)
            state = self._state()
            energies[0, 1] = state.getPotentialEnergy()._value
            minimized = state.getPositions(asNumpy=True)._value[None] + centre
        except openmm.OpenMMException as error:
            reason = str(error)
        return minimized, energies, [reason]

    def _state(self):
        return self._context.getState(positions=True, energy=True, groups={0})


def bead_restraint(mapping, stiffness, copies=1):
    """Harmonic restraints of every M x to a point that `hold` sets, of molecules that follow one another."""
    force = openmm.CustomCentroidBondForce(1, "k/2 * ((x1-x0)^2 + (y1-y0)^2 + (z1-z0)^2)")
    for name in ("k", "x0", "y0", "z0"):
        force.addPerBondParameter(name)
    for copy_ in range(copies):
        for row in mapping.matrix:
            atoms = np.flatnonzero(row)
            group = force.addGroup((atoms + copy_ * mapping.n_atoms).tolist(), row[atoms].tolist())
            # The largest curvature is then the same for one atom a bead and for many, and so is the convergence.
            force.addBond([group], [stiffness / (row**2).sum(), 0.0, 0.0, 0.0])
    force.setForceGroup(RESTRAINT_GROUP)
    return force


def hold(context, restraint, beads):
    """Move the points of a `bead_restraint` to `beads`, shape (copies * n_beads, 3), nm."""
    for k, bead in enumerate(beads):
        stiffness = restraint.getBondParameters(k)[1][0]
        restraint.setBondParameters(k, [k], [stiffness, *bead])
    restraint.updateParametersInContext(context)


def restrained_system(system, restraint):
    """A copy of the System, its own forces in group 0, with the restraint."""
    system = copy.deepcopy(system)
    for force in system.getForces():
        force.setForceGroup(0)
    system.addForce(restraint)
    return system


def create_context(system, platform=None):
    """A Context for energies, on the fastest platform there is if none is named."""
    platforms = _candidates(system) if platform is None else [platform]
    for tried in platforms:
        if isinstance(tried, str):
            tried = openmm.Platform.getPlatformByName(nearest_name("platform", tried, installed_platforms()))
        properties = {k: v for k, v in PLATFORM_PROPERTIES.items() if k in tried.getPropertyNames()}
        try:
            # The integrator is never stepped: a Context needs one.
            return openmm.Context(system, openmm.VerletIntegrator(0.001), tried, properties)
        except openmm.OpenMMException as raised:
            error = raised
    raise MinimizationError(
        f"no OpenMM Context on platform {tried.getName()} ({first_line(error)}): try platform='CPU'"
    ) from error


def _candidates(system):
    """Names of platforms to try, the fastest first: a CUDA platform may be installed without a device."""
    # On a GPU positions are wrapped into the box, where a restraint to a point in space does not follow.
    if system.usesPeriodicBoundaryConditions():
        return ["CPU"]
    installed = installed_platforms()
    born = any(isinstance(f, openmm.CustomGBForce | openmm.GBSAOBCForce) for f in system.getForces())
    large = born or system.getNumParticles() > MAX_REFERENCE_ATOMS
    # OpenCL only if asked for: its device may be the CPU.
    return [name for name in ("CUDA", "HIP") if name in installed] + ["CPU" if large else "Reference"]
