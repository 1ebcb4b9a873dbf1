"""Copies of a coarse-grained molecule in a periodic box: where they start, and what keeps them apart."""

import numpy as np
import openmm
from openmm import app, unit

from openmm_cgvae.core.errors import PositionsError, SettingsError
from openmm_cgvae.core.periodic import as_box_vectors
from openmm_cgvae.core.units import value_in_md_units
from openmm_cgvae.molecule.topology import as_mdtraj_topology

__all__ = ["bead_radii", "box_vectors", "excluded_volume_force", "pack", "tiled_topology"]

# nm, that the columns of a PDB file hold.
LARGEST = 9999
# kJ/mol of two beads at one place, 20 kT at 300 K: beads of one temperature touch at about 0.9 of their contact.
REPULSION = 50.0
# Volume that two van der Waals spheres share at a bond (Zhao et al., J. Org. Chem. 2003, 68, 7368), nm^3.
BOND_OVERLAP_NM3 = 0.00592


def box_vectors(box, copies=1):
    """Reduced periodic box vectors, shape (3, 3) in nm, of a length, three lengths or three vectors; None of None.

    Raises
    ------
    SettingsError
        If `box` is no box, or `copies` is below 1, or above 1 without a box.
    """
    if copies < 1:
        raise SettingsError(f"copies={copies} given: 1 or more are expected")
    if box is None:
        if copies > 1:
            raise SettingsError(f"copies={copies} given without a box: give its edge lengths in nm")
        return None
    try:
        given = np.array(value_in_md_units(box), dtype=float)
    except (TypeError, ValueError):
        given = np.array(np.nan)
    if given.size == 9:
        given = given.reshape(3, 3)
    elif given.size in (1, 3):
        given = np.diag(np.broadcast_to(given.ravel(), 3))
    if given.shape != (3, 3) or not np.isfinite(given).all() or not (np.diag(given) > 0).all():
        raise SettingsError(f"box {box} given: one or three positive edge lengths or three box vectors in nm expected")
    if abs(given).max() > LARGEST:
        raise SettingsError(f"box {box} given: edges of {LARGEST} nm at most, for which files have room, are expected")
    try:
        return as_box_vectors(given, 1)[0].copy()
    except PositionsError as error:
        raise SettingsError(f"box {box} given: {error}") from error


def bead_radii(mapping):
    """Radius in nm of the sphere that has the van der Waals volume of a bead's atoms, shape (N,).

    Atom spheres less their overlap at the bonds within the bead, that of rings (some 5 % of a phenyl group) not
    counted.
    """
    topology = as_mdtraj_topology(mapping.topology)
    spheres = 4 / 3 * np.pi * np.array([atom.element.radius for atom in topology.atoms]) ** 3
    bonds = mapping.assignment[[[a.index, b.index] for a, b in topology.bonds] or np.zeros((0, 2), dtype=int)]
    within = bonds[bonds[:, 0] == bonds[:, 1], 0]
    volumes = np.bincount(mapping.assignment, spheres, mapping.n_beads)
    volumes -= BOND_OVERLAP_NM3 * np.bincount(within, minlength=mapping.n_beads)
    return np.cbrt(3 * volumes / (4 * np.pi))


def excluded_volume_force(mapping, copies, vectors):
    """Repulsion between beads of different molecules, U(r) = 50 kJ/mol (1 - (r / sigma)^2)^2 below contact.

    sigma is the sum of the two `bead_radii`. It is all that data from a single molecule support: how large its beads
    are. Finite everywhere, periodic by minimum image. (OpenMM has no force for two particles at exactly one place.)

    Raises
    ------
    SettingsError
        If the box is narrower than two contacts.
    """
    radii = bead_radii(mapping)
    contact = 2 * radii.max()
    narrowest = np.diag(vectors).min()
    if narrowest < 2 * contact:
        raise SettingsError(f"box of width {narrowest:.3g} nm given: {2 * contact:.3g} nm, two contacts, needed")
    force = openmm.CustomNonbondedForce(f"{REPULSION} * (1 - min(1, (r/sigma)^2))^2; sigma = radius1 + radius2")
    force.setName("CG excluded volume")
    force.addPerParticleParameter("radius")
    for radius in np.tile(radii, copies):
        force.addParticle([float(radius)])
    force.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(contact)
    n_beads = mapping.n_beads
    for first in range(0, copies * n_beads, n_beads):
        for i in range(first, first + n_beads):
            for j in range(first, i):
                force.addExclusion(i, j)
    return force


def tiled_topology(mapping, copies, box=None):
    """The CG topology of all copies, with its box.

    Returns
    -------
    openmm.app.Topology
    """
    single = mapping.cg_topology()
    positions = np.zeros((mapping.n_beads, 3)) * unit.nanometer
    modeller = app.Modeller(single, positions)
    for _ in range(copies - 1):
        modeller.add(single, positions)
    if box is not None:
        modeller.topology.setPeriodicBoxVectors([openmm.Vec3(*vector) for vector in box_vectors(box)])
    return modeller.topology


def pack(structures_nm, copies, vectors, seed=None):
    """Whole molecules on a grid in the box, each turned at random.

    Parameters
    ----------
    structures_nm : numpy.ndarray, shape (s, N, 3)
        Used in turn.
    copies : int
    vectors : numpy.ndarray, shape (3, 3)
        nm.
    seed : int, optional

    Returns
    -------
    numpy.ndarray, shape (copies * N, 3)
        nm.

    Raises
    ------
    SettingsError
        If the box is narrower than a molecule, or has less room for each than half a molecule's diameter.
    """
    centred = structures_nm - structures_nm.mean(1, keepdims=True)
    size = 2 * np.linalg.norm(centred, axis=-1).max()
    divisions = int(np.ceil(np.cbrt(copies) - 1e-9))
    narrowest = np.diag(vectors).min()
    if narrowest < size or narrowest / divisions < size / 2:
        needed = max(size, divisions * size / 2)
        raise SettingsError(
            f"box of width {narrowest:.3g} nm given for {copies} molecules of diameter {size:.3g} nm: "
            f"at least {needed:.3g} nm is needed"
        )
    rng = np.random.default_rng(seed)
    cells = np.stack(np.unravel_index(np.arange(copies), (divisions,) * 3), axis=1)
    centres = (cells + 0.5) / divisions @ vectors
    turned = [centred[k % len(centred)] @ _rotation(rng) for k in range(copies)]
    return (centres[:, None] + np.array(turned)).reshape(-1, 3)


def _rotation(rng):
    """A uniform random rotation matrix."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))
