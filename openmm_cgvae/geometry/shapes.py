"""Signed volumes and torsions that bonds fix, and their gradients."""

import itertools

import numpy as np
import torch

from openmm_cgvae.geometry.vectors import cross

__all__ = ["centres_with_neighbours", "place_order", "shapes_and_gradients", "stiff_torsions", "turns_and_gradients"]


def place_order(spec):
    """Sort keys that put the neighbours of atoms of one type in the same order: a list of (n,)."""
    types = range(spec.n_atoms) if spec.place_types is None else spec.place_types.tolist()
    return list(zip(types, range(spec.n_atoms), strict=True))


def bonded_neighbours(spec):
    """Neighbours of every atom, a list of lists."""
    neighbours, order = [[] for _ in range(spec.n_atoms)], place_order(spec)
    for i, j in spec.near_pairs[spec.near_hops == 1].tolist():
        neighbours[i].append(j)
        neighbours[j].append(i)
    return [sorted(row, key=order.__getitem__) for row in neighbours]


def centres_with_neighbours(spec):
    """Every three of an atom's three or four neighbours: (c, 4), centre first.

    With only three of four neighbours, the last could lie on the wrong side and be inverted by a minimisation.
    """
    rows = [
        [centre, *three]
        for centre, row in enumerate(bonded_neighbours(spec))
        if len(row) in (3, 4)
        for three in itertools.combinations(row, 3)
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def stiff_torsions(spec):
    """One torsion about each bond that hardly turns, between its ends with most neighbours: (t, 4).

    Distances alone do not fix this torsion: where both atoms of a peptide bond are as far from planar as in training,
    they still allow a torsion near 90 degrees, on the side of cis.
    """
    neighbours, order, found = bonded_neighbours(spec), place_order(spec), {}
    for i, j in spec.rigid_pairs.tolist():
        for b, c in itertools.product(neighbours[i], neighbours[j]):
            if c in neighbours[b]:
                row = (i, b, c, j) if order[b] < order[c] else (j, c, b, i)
                found.setdefault(row[1:3], []).append(row)
    rows = [
        max(rows, key=lambda row: (len(neighbours[row[0]]) + len(neighbours[row[3]]), [order[k] for k in row]))
        for rows in found.values()
    ]
    return np.array(sorted(rows), dtype=np.int64).reshape(-1, 4)


def volumes_and_gradients(corners):
    # type: (Tensor) -> tuple[Tensor, Tensor]
    """Signed volumes (c, B) and their gradients (4, c, 3, B) of centres and neighbours (4, c, 3, B), centre first."""
    edges = corners[1:] - corners[:1]
    slopes = cross(edges.roll(-1, 0), edges.roll(1, 0), 2)
    return (edges[0] * slopes[0]).sum(1), torch.cat([-slopes.sum(0, keepdim=True), slopes])


def turns_and_gradients(corners):
    # type: (Tensor) -> tuple[Tensor, Tensor]
    """Cosines of torsions, times the areas on both sides of the bond, (t, B), and gradients (4, t, 3, B)."""
    a, b, c = (corners[1:] - corners[:-1]).unbind(0)
    ab, bc, ca = (a * b).sum(1, keepdim=True), (b * c).sum(1, keepdim=True), (c * a).sum(1, keepdim=True)
    bb = (b * b).sum(1, keepdim=True)
    of_a, of_b, of_c = bc * b - bb * c, bc * a + ab * c - 2 * ca * b, ab * b - bb * a
    return (ab * bc - ca * bb).squeeze(1), torch.stack([-of_a, of_a - of_b, of_b - of_c, of_c])


def shapes_and_gradients(corners, n_volumes):
    # type: (Tensor, int) -> tuple[Tensor, Tensor]
    """Of corners (4, s, 3, B), `n_volumes` signed volumes and then torsions: (s, B), and gradients (4, s, 3, B)."""
    volume, of_volume = volumes_and_gradients(corners[:, :n_volumes])
    turn, of_turn = turns_and_gradients(corners[:, n_volumes:])
    return torch.cat([volume, turn]), torch.cat([of_volume, of_turn], dim=1)
