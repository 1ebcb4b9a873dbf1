"""Atoms of a molecule turned about its bonds, many samples at a time."""

import torch
from torch import Tensor

from openmm_cgvae.geometry.localframes import unit_vector
from openmm_cgvae.geometry.vectors import cross, dot

__all__ = ["bond_axes", "turned", "turned_by_all"]


def bond_axes(x: Tensor, bond: Tensor) -> tuple[Tensor, Tensor]:
    """Origin and direction (S, 3) of a bond (2,) of atoms (S, N, 3): from the second atom, away from the first."""
    origin = x[:, bond[1]]
    return origin, unit_vector(origin - x[:, bond[0]])


def turned(points: Tensor, origin: Tensor, axis: Tensor, angle: Tensor) -> Tensor:
    """Points (S, m, 3) turned about axes (S, 3) by J angles (S, J) in radian: (S, J, m, 3)."""
    vector = points - origin.unsqueeze(1)
    axis = axis.unsqueeze(1).expand_as(vector)
    along = dot(vector, axis, -1).unsqueeze(-1) * axis
    across = cross(axis, vector, -1)
    c, s = torch.cos(angle)[:, :, None, None], torch.sin(angle)[:, :, None, None]
    there = (vector - along).unsqueeze(1) * c + across.unsqueeze(1) * s
    return there + (along + origin.unsqueeze(1)).unsqueeze(1)


def turned_by_all(x: Tensor, bonds: Tensor, moved: Tensor, angles: Tensor) -> Tensor:
    """Atoms turned about all bonds, in any order with the same result.

    Parameters
    ----------
    x : Tensor, shape (S, N, 3)
    bonds : int Tensor, shape (T, 2)
    moved : bool Tensor, shape (T, N)
        Atoms beyond the second atom of each bond.
    angles : Tensor, shape (T, S)
        Radian.

    Returns
    -------
    Tensor, shape (S, N, 3)
    """
    for k in range(bonds.shape[0]):
        origin, axis = bond_axes(x, bonds[k])
        rows = torch.nonzero(moved[k])[:, 0]
        places = turned(x.index_select(1, rows), origin, axis, angles[k].unsqueeze(1)).squeeze(1)
        x = x.index_copy(1, rows, places)
    return x
