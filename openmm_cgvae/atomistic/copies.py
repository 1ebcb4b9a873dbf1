"""Several non-interacting copies of a molecule in one Context, evaluated together, to fill a GPU."""

import copy

import numpy as np
import openmm

from openmm_cgvae.atomistic.contexts import FrameContext, create_context

__all__ = ["CopiesContext", "can_copy", "copied_system"]

# Coulomb's constant, kJ nm / mol / e^2, as in OpenMM.
COULOMB = 138.93545764438198
# Name of each OpenMM force term, and which of its parameters are atom indices.
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
    """Evaluates several frames of a molecule at once in one OpenMM Context.

    Batches that are not full are filled up with their last frame: the Context always holds the same number.

    Parameters
    ----------
    system : openmm.System
        One that `can_copy` accepts.
    platform
        As of `FrameContext`.
    copies : int
        Frames at a time.
    """

    def __init__(self, system, platform, copies):
        # OpenMM reports only the total energy of a Context, not that of one copy.
        self._single = FrameContext(system, platform)
        self._context = create_context(copied_system(system, copies), self._single.platform)
        self._copies = copies

    @property
    def platform(self):
        """Name of the OpenMM platform in use."""
        return self._single.platform

    def energy(self, frame):
        """Energy in kJ/mol of one frame, (n_atoms, 3) in nm."""
        return self._single.energy(frame)

    def forces(self, frames):
        """Forces in kJ/mol/nm on up to `copies` frames, (frames, n_atoms, 3) in nm."""
        slots = np.minimum(np.arange(self._copies), len(frames) - 1)
        self._context.setPositions(frames[slots].reshape(-1, 3))
        forces = self._context.getState(forces=True).getForces(asNumpy=True)._value
        return forces.reshape(self._copies, *frames.shape[1:])[: len(frames)]


def can_copy(system):
    """Whether every force of the System can be repeated for copies that do not interact.

    Implicit solvent cannot, because every atom contributes to the Born radius of every other.
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
