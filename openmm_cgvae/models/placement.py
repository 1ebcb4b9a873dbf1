"""Hydrogens, chain ends and caps placed on the atoms that a model gives, in plain torch."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["PlacementTensors", "draw_rotors", "place", "placement_tensors"]


class PlacementTensors(NamedTuple):
    """`openmm_cgvae.binding.assembly.Placements` as tensors, rows sorted by level.

    atoms : (p,) int64
    references : (3 p,) int64, for every level its origins, first and second references in turn
    symmetric : (p, 1), 1 where x lies between both references, 0 where it lies along the first
    local : (p, 3) in the unit of positions
    rotor : (p,) int64, n_rotors where there is none
    sizes : rows of every level
    wells : (r, w) in radians
    """

    atoms: Tensor
    references: Tensor
    symmetric: Tensor
    local: Tensor
    rotor: Tensor
    sizes: list[int]
    wells: Tensor


def placement_tensors(placements, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> PlacementTensors:
    """Tensors of `Placements` for positions in nm, or in another unit of which `scale` are a nm (10 for Angstrom)."""
    sizes = [int((placements.level == k).sum()) for k in range(int(placements.level.max(initial=-1)) + 1)]
    references, start = [], 0
    for size in sizes:
        references.append(torch.as_tensor(placements.references[start : start + size].T.reshape(-1).copy()))
        start += size
    rotor = torch.as_tensor(placements.rotor)
    return PlacementTensors(
        atoms=torch.as_tensor(placements.atoms),
        references=torch.cat(references) if references else torch.zeros(0, dtype=torch.int64),
        symmetric=torch.as_tensor(placements.symmetric[:, None]).to(dtype),
        local=torch.as_tensor(scale * placements.local).to(dtype),
        rotor=torch.where(rotor >= 0, rotor, torch.full_like(rotor, len(placements.wells))),
        sizes=sizes,
        wells=torch.as_tensor(placements.wells).to(dtype),
    )


def draw_rotors(wells: Tensor, uniform: Tensor, normal: Tensor, spread: float = 0.2) -> Tensor:
    """Rotor angles (f, r) in radians: a preferred torsion of every rotor, and a normal deviate about it.

    Parameters
    ----------
    wells : (r, w)
    uniform : (f, r), in [0, 1)
    normal : (f, r)
    spread : float
        Standard deviation in radians, about that of a methyl or hydroxyl at 300 K.
    """
    frames, rotors, columns = uniform.shape[0], wells.shape[0], wells.shape[1]
    column = (uniform * columns).long().clamp(0, columns - 1)
    chosen = wells.expand(frames, rotors, columns).gather(2, column.unsqueeze(2)).squeeze(2)
    return chosen + spread * normal


def place(positions: Tensor, placements: PlacementTensors, angles: Tensor) -> Tensor:
    """Positions (f, n, 3) with all placed atoms at their places; the others are as given.

    With unit vectors u, v from a placed atom's origin to its two other references: x along u (u + v where symmetric),
    z along u x v, y = z x x; the atom is at origin + local, turned about -x by its rotor's angle, which so is the
    torsion (second reference, first, origin, first atom of the rotor).

    Parameters
    ----------
    positions : (f, n, 3), what is in the rows of placed atoms does not matter
    placements : PlacementTensors
    angles : (f, r), radians
    """
    frames = positions.shape[0]
    ones = torch.ones(frames, 1, dtype=positions.dtype, device=positions.device)
    cosine = torch.cat([torch.cos(angles), ones], dim=1).index_select(1, placements.rotor)
    sine = torch.cat([torch.sin(angles), torch.zeros_like(ones)], dim=1).index_select(1, placements.rotor)
    x, y, z = placements.local.unbind(1)
    across, above = y * cosine + z * sine, z * cosine - y * sine
    start = 0
    for size in placements.sizes:
        end = start + size
        corners = positions.index_select(1, placements.references[3 * start : 3 * end])
        origin, first, second = corners.reshape(frames, 3, size, 3).unbind(1)
        u = torch.nn.functional.normalize(first - origin, dim=2)
        v = torch.nn.functional.normalize(second - origin, dim=2)
        along = torch.nn.functional.normalize(u + placements.symmetric[start:end] * v, dim=2)
        up = torch.nn.functional.normalize(torch.linalg.cross(u, v, dim=2), dim=2)
        side = torch.linalg.cross(up, along, dim=2)
        found = origin + x[start:end, None] * along
        found = found + across[:, start:end, None] * side + above[:, start:end, None] * up
        positions = positions.index_copy(1, placements.atoms[start:end], found)
        start = end
    return positions
