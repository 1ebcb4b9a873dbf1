"""Copies of a molecule that share a Context without seeing each other, minimised together: what a GPU needs."""

import copy

import numpy as np
import openmm
import torch

from openmm_cgvae.app.lbfgs import minimize_together
from openmm_cgvae.app.restrained import (
    GPU_PLATFORMS,
    FrameContext,
    bead_restraint,
    create_context,
    hold,
    restrained_system,
)

__all__ = ["CopiesContext", "can_copy", "copied_system"]

# Coulomb's constant, kJ nm / mol / e^2, as in OpenMM.
COULOMB = 138.93545764438198
# What a term is called in OpenMM, and where its parameters name its atoms.
TERMS = {
    openmm.HarmonicBondForce: ("Bond", slice(0, 2)),
    openmm.HarmonicAngleForce: ("Angle", slice(0, 3)),
    openmm.PeriodicTorsionForce: ("Torsion", slice(0, 4)),
    openmm.RBTorsionForce: ("Torsion", slice(0, 4)),
    openmm.CMAPTorsionForce: ("Torsion", slice(1, 9)),
    openmm.CustomBondForce: ("Bond", slice(0, 2)),
    openmm.CustomTorsionForce: ("Torsion", slice(0, 4)),
}


class CopiesContext:
    """Several frames of a molecule in one Context, each minimised as if it were alone.

    Batches that are not full are filled up with their last frame: the Context always holds the same number.

    Parameters
    ----------
    system, mapping, stiffness, platform
        As of `FrameContext`; of a System that `can_copy` accepts.
    copies : int
        Frames at a time.
    """

    def __init__(self, system, mapping, stiffness, platform, copies):
        self.size = copies
        # No Context tells the energy of one of its copies.
        self._single = FrameContext(system, mapping, stiffness, platform)
        self._restraint = bead_restraint(mapping, stiffness, copies)
        together = restrained_system(copied_system(system, copies), self._restraint)
        self._context = create_context(together, self._single.platform)
        on_gpu = self.platform in GPU_PLATFORMS and torch.cuda.is_available()
        self._device = torch.device("cuda" if on_gpu else "cpu")

    @property
    def platform(self):
        """Name of the OpenMM platform in use."""
        return self._single.platform

    def relax(self, frames, beads, boxes, tolerance, maxIterations):
        """Minimise up to `size` frames; parameters and returns as of `FrameContext.relax`, for several frames."""
        centre = beads.mean(1, dtype=float, keepdims=True)
        slots = np.minimum(np.arange(self.size), len(frames) - 1)
        hold(self._context, self._restraint, (beads - centre)[slots].reshape(-1, 3))
        start = torch.from_numpy((frames - centre)[slots].reshape(self.size, -1)).to(self._device)
        minimized = minimize_together(self._forces, start, tolerance, maxIterations).cpu().numpy()
        minimized = minimized.reshape(self.size, -1, 3)[: len(frames)]
        pairs = zip(frames - centre, minimized, strict=True)
        energies = np.array([[self._single.energy(frame) for frame in pair] for pair in pairs])
        return minimized + centre, energies, [""] * len(frames)

    def _forces(self, positions):
        self._context.setPositions(positions.reshape(-1, 3).cpu().numpy())
        forces = self._context.getState(forces=True).getForces(asNumpy=True)._value
        return torch.from_numpy(forces).to(positions.device).reshape(positions.shape)


def can_copy(system):
    """Tell whether every force of the System can be repeated for copies that do not interact.

    Not so with implicit solvent, where every atom counts for the Born radius of every other.
    """
    return all(
        type(force) in TERMS
        or (
            isinstance(force, openmm.NonbondedForce)
            and force.getNonbondedMethod() == openmm.NonbondedForce.NoCutoff
            and force.getNumParticleParameterOffsets() + force.getNumExceptionParameterOffsets() == 0
        )
        for force in system.getForces()
    )


def copied_system(system, copies):
    """The System of `copies` molecules, one after the other, without interactions between them.

    Parameters
    ----------
    system : openmm.System
        Of one molecule; `can_copy` accepts it, and it has no constraints.
    copies : int

    Returns
    -------
    openmm.System
    """
    n, several = system.getNumParticles(), openmm.System()
    for k in range(copies * n):
        several.addParticle(system.getParticleMass(k % n))
    offsets = n * np.arange(copies)
    for force in system.getForces():
        made = _nonbonded(force, offsets) if isinstance(force, openmm.NonbondedForce) else [_bonded(force, offsets)]
        for one in made:
            several.addForce(one)
    return several


def _bonded(force, offsets):
    name, atoms = TERMS[type(force)]
    force = copy.deepcopy(force)
    add, term = getattr(force, f"add{name}"), getattr(force, f"get{name}Parameters")
    for k in range(getattr(force, f"getNum{name}s")()):
        parameters = list(term(k))
        named = np.array(parameters[atoms])
        for offset in offsets[1:]:
            parameters[atoms] = (named + offset).tolist()
            add(*parameters)
    return force


def _nonbonded(force, offsets):
    """Lennard-Jones and Coulomb: pairs inside each copy, and its exceptions as bonds."""
    pairs = openmm.CustomNonbondedForce(f"{COULOMB}*q1*q2/r + 4*e1*e2*(x^12-x^6); x=(h1+h2)/r")
    bonds = openmm.CustomBondForce(f"{COULOMB}*qq/r + 4*epsilon*((sigma/r)^12-(sigma/r)^6)")
    for name in ("q", "h", "e"):
        pairs.addPerParticleParameter(name)
    for name in ("qq", "sigma", "epsilon"):
        bonds.addPerBondParameter(name)
    particles = [[x._value for x in force.getParticleParameters(k)] for k in range(force.getNumParticles())]
    exceptions = [force.getExceptionParameters(k) for k in range(force.getNumExceptions())]
    for offset in offsets.tolist():
        for charge, sigma, epsilon in particles:
            pairs.addParticle([charge, sigma / 2, epsilon**0.5])
        atoms = range(offset, offset + len(particles))
        pairs.addInteractionGroup(atoms, atoms)
        for i, j, *values in exceptions:
            pairs.addExclusion(i + offset, j + offset)
            if values[0]._value or values[2]._value:
                bonds.addBond(i + offset, j + offset, values)
    return pairs, bonds
