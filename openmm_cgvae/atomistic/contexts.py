"""Energies and forces of one molecule, one frame at a time, on the fastest suitable platform."""

import numpy as np
import openmm

from openmm_cgvae.atomistic.forcefield import first_line, nearest_name
from openmm_cgvae.core.errors import MinimizationError
from openmm_cgvae.core.platforms import installed_platforms

__all__ = ["GPU_PLATFORMS", "FrameContext", "create_context"]

GPU_PLATFORMS = ("CUDA", "HIP", "OpenCL")
# One evaluation in vacuum takes Reference longer than CPU from about this size on (22 atoms: 0.03 and 0.10 ms;
# 175 atoms: 0.76 and 0.39); Born radii are 2 to 7 times faster on CPU at any size.
MAX_REFERENCE_ATOMS = 100
# One thread and deterministic sums: the same input gives the same bits.
PLATFORM_PROPERTIES = {"Threads": "1", "DeterministicForces": "true", "Precision": "mixed"}


class FrameContext:
    """Evaluates one molecule in one OpenMM Context.

    Parameters
    ----------
    system : openmm.System
    platform : str or openmm.Platform, optional

    Raises
    ------
    MinimizationError
        If there is no such Context on the platform.
    SettingsError
        If the platform is unknown.
    """

    def __init__(self, system, platform=None):
        self._context = create_context(system, platform)

    @property
    def platform(self):
        """Name of the OpenMM platform in use."""
        return self._context.getPlatform().getName()

    def set_box(self, vectors, positions):
        """Change the periodic box, rows of shape (3, 3) in nm, before frames near `positions` are evaluated."""
        self._context.setPeriodicBoxVectors(*vectors)
        # Moving all atoms away resets the neighbour list, so that rounding does not depend on earlier frames.
        self.energy(positions + 1.0)

    def energy(self, frame):
        """Energy in kJ/mol of one frame, (n_atoms, 3) in nm; NaN where OpenMM finds none."""
        try:
            self._context.setPositions(frame)
            return self._context.getState(energy=True).getPotentialEnergy()._value
        except openmm.OpenMMException:
            return np.nan

    def forces(self, frames):
        """Forces in kJ/mol/nm on frames, (frames, n_atoms, 3) in nm; NaN where OpenMM finds none."""
        forces = np.full(frames.shape, np.nan)
        for k, frame in enumerate(frames):
            try:
                self._context.setPositions(frame)
                forces[k] = self._context.getState(forces=True).getForces(asNumpy=True)._value
            except openmm.OpenMMException:
                pass
        return forces


def create_context(system, platform=None):
    """Create a Context, on the named platform or else the fastest one that works."""
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
