"""Springs that hold every bead of a molecule in an OpenMM System."""

import copy

import numpy as np
import openmm

__all__ = ["bead_restraint", "bead_springs", "hold", "restrained_system"]


def bead_springs(mapping, restraint):
    """Spring of every bead, kJ/mol/nm^2, whose largest curvature is the same for one atom a bead and for many.

    Parameters
    ----------
    mapping : CGMapping
    restraint : float
        kJ/mol/nm^2, felt by a bead that moves along its own weights.

    Returns
    -------
    numpy.ndarray, shape (n_beads,)
    """
    beads, _, shares = mapping.elements
    return restraint / np.bincount(beads, shares**2, mapping.n_beads)


def bead_restraint(mapping, stiffness):
    """Harmonic restraints of every M x to a point that `hold` sets."""
    force = openmm.CustomCentroidBondForce(1, "k/2 * ((x1-x0)^2 + (y1-y0)^2 + (z1-z0)^2)")
    for name in ("k", "x0", "y0", "z0"):
        force.addPerBondParameter(name)
    beads, atoms, shares = mapping.elements
    begins = np.searchsorted(beads, np.arange(mapping.n_beads + 1))
    for begin, end, spring in zip(begins, begins[1:], bead_springs(mapping, stiffness), strict=False):
        group = force.addGroup(atoms[begin:end].tolist(), shares[begin:end].tolist())
        force.addBond([group], [spring, 0.0, 0.0, 0.0])
    return force


def hold(context, restraint, beads):
    """Move the points of a `bead_restraint` to `beads`, shape (n_beads, 3), nm."""
    for k, bead in enumerate(beads):
        stiffness = restraint.getBondParameters(k)[1][0]
        restraint.setBondParameters(k, [k], [stiffness, *bead])
    restraint.updateParametersInContext(context)


def restrained_system(system, restraint):
    """A copy of the System, with the restraint."""
    system = copy.deepcopy(system)
    system.addForce(restraint)
    return system
