"""Distances, angles and torsions of points given as arrays (..., 3)."""

import numpy as np

from openmm_cgvae.molecule.graph import dihedral

__all__ = ["angle", "distance", "torsion"]


def distance(a, b):
    """Distance of two points."""
    return np.sqrt(np.square(a - b).sum(-1))


def angle(a, b, c):
    """Angle at b in radians."""
    u, v = a - b, c - b
    return np.arctan2(np.sqrt(np.square(np.cross(u, v)).sum(-1)), (u * v).sum(-1))


def torsion(a, b, c, d):
    """Torsion about b-c in radians, in (-pi, pi], IUPAC sign."""
    points = np.stack(np.broadcast_arrays(a, b, c, d), axis=-2)
    return dihedral(points, np.arange(4)[None])[..., 0]
