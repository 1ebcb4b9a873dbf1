"""Graph of residues: nearest neighbours of every residue, and edge features."""

from typing import Optional

import torch
from torch import Tensor

from openmm_cgvae.geometry.images import image_pairs, lattice_vectors
from openmm_cgvae.geometry.localframes import frame_of, in_frame, unit_vector
from openmm_cgvae.geometry.neighbours import neighbour_table
from openmm_cgvae.geometry.vectors import dot
from openmm_cgvae.proteins.builder import next_row

__all__ = [
    "EDGE_FEATURES",
    "NODE_FEATURES",
    "at_rows",
    "edge_features",
    "gaussians",
    "nearest",
    "nearest_images",
    "node_features",
    "residue_frames",
]

# Gaussians of a distance, and how far they reach, in Angstrom.
N_GAUSSIANS, REACH = 16, 20.0
# Up to so many residues all distances are computed, beyond a cell list is made.
DENSE_RESIDUES = 700
# Residues along the chain, on both sides, whose positions enter the node features and whose offset enters the edges.
AROUND = 3
ALONG = 4
EDGE_FEATURES = N_GAUSSIANS + 3 + 3 + 9 + 2 * ALONG + 1
NODE_FEATURES = 2 * AROUND * 5


def gaussians(distance: Tensor, count: int, reach: float) -> Tensor:
    """Gaussians (..., count) of distances (...), evenly spread from 0 to `reach`."""
    step = reach / (count - 1)
    centres = torch.arange(count, dtype=distance.dtype, device=distance.device) * step
    return torch.exp(-0.5 * ((distance.unsqueeze(-1) - centres) / step).square())


def residue_frames(points: Tensor, connected: Tensor) -> Tensor:
    """A frame (R, 3, 3) of every residue, one axis a row, of its own point and those before and after it in the chain.

    At an end of a chain the next two on the one side take their place.
    """
    leads = next_row(connected)
    before, after = next_row(points, -1), next_row(points)
    started, ended = ~connected.unsqueeze(1), ~leads.unsqueeze(1)
    first = torch.where(started, torch.where(ended, points + 1.0, 2 * points - next_row(points, 2)), before)
    last = torch.where(ended, torch.where(started, points - 1.0, 2 * points - next_row(points, -2)), after)
    ahead, behind = unit_vector(last - points), unit_vector(first - points)
    return frame_of(points + ahead + behind, points - ahead + behind, points)


def nearest(points: Tensor, count: int, reach: float = REACH) -> tuple[Tensor, Tensor]:
    """Rows of the nearest residues of every residue, and how much each counts.

    A neighbour's weight falls to zero at the distance of the first that is left out, so that features change
    continuously where two neighbours change places.

    Parameters
    ----------
    points : Tensor, shape (B, n, 3)
        Residues of B frames, in Angstrom.
    count : int

    Returns
    -------
    rows : int Tensor, shape (B n, count)
        Rows of ``points.flatten(0, 1)``; a residue's own where it has fewer neighbours.
    weight : Tensor, shape (B n, count)
    """
    distance, column = _in_order(points, count + 1, reach)
    return _weighted(distance, column, count, reach)


def nearest_images(points: Tensor, count: int, box: Tensor, reach: float = REACH) -> tuple[Tensor, Tensor, Tensor]:
    """As `nearest` in periodic boxes (B, 3, 3), with the translation of every neighbour, (B n, count, 3)."""
    n, rows = points.shape[1], points.shape[0] * points.shape[1]
    pairs = image_pairs(points, reach, box)
    translation = lattice_vectors(pairs, box)
    centre, other = pairs[:, 0] * n + pairs[:, 1], pairs[:, 0] * n + pairs[:, 2]
    flat = points.flatten(0, 1)
    apart = (flat[other] + translation - flat[centre]).square().sum(-1).sqrt()
    degree = torch.bincount(centre, minlength=rows)
    most = max(count + 1, int(degree.max().item()))
    place = torch.arange(centre.shape[0], device=points.device) - (torch.cumsum(degree, 0) - degree)[centre]
    distance = torch.full([rows, most], torch.inf, dtype=points.dtype, device=points.device)
    distance[centre, place] = apart
    listed = torch.zeros(rows, most, dtype=torch.int64, device=points.device)
    listed[centre, place] = torch.arange(centre.shape[0], device=points.device)
    distance, place = torch.topk(distance, count + 1, dim=1, largest=False)
    listed = listed.gather(1, place)
    # A row without any pair has nothing to look up.
    other = torch.nn.functional.pad(other, [0, 1])
    found, weight = _weighted(distance, other[listed], count, reach)
    translation = torch.nn.functional.pad(translation, [0, 0, 0, 1])[listed[:, :count]]
    return found, weight, translation * (weight > 0).unsqueeze(-1).to(translation.dtype)


def at_rows(values: Tensor, rows: Tensor, translation: Optional[Tensor]) -> Tensor:  # noqa: UP045 (TorchScript)
    """Positions (R, 3) or (R, P, 3) of the neighbours (R, K) of every residue, where their images are."""
    found = values[rows]
    if translation is None:
        return found
    return found + (translation if found.dim() == 3 else translation.unsqueeze(2))


def _weighted(distance: Tensor, column: Tensor, count: int, reach: float) -> tuple[Tensor, Tensor]:
    """Rows and weights of `nearest`, of one more in order."""
    edge = distance[:, count:].clamp_max(reach)
    weight = (1.0 - (distance[:, :count] / edge).pow(6)).clamp_min(0.0).square()
    own = torch.arange(column.shape[0], device=column.device).unsqueeze(1)
    return torch.where(weight > 0, column[:, :count], own), weight


def _in_order(points: Tensor, count: int, reach: float, dense: int = DENSE_RESIDUES) -> tuple[Tensor, Tensor]:
    """Distances and rows (B n, count) of the nearest others, infinite where there are fewer within reach."""
    batch, n = points.shape[0], points.shape[1]
    if n <= dense:
        apart = torch.cdist(points, points) + torch.diag(torch.full([n], torch.inf, device=points.device))
        base = (torch.arange(batch, device=points.device) * n)[:, None, None]
        found = min(count, n)
        distance, column = torch.topk(apart, found, dim=2, largest=False)
        distance, column = distance.flatten(0, 1), (column + base).flatten(0, 1)
    else:
        table = neighbour_table(points, reach).flatten(0, 1)
        flat = points.flatten(0, 1)
        distance = (flat[table] - flat.unsqueeze(1)).square().sum(-1).sqrt()
        own = torch.arange(batch * n, device=points.device).unsqueeze(1)
        distance = distance.masked_fill(table == own, torch.inf)
        found = min(count, table.shape[1])
        distance, place = torch.topk(distance, found, dim=1, largest=False)
        column = table.gather(1, place)
    missing = count - found
    if missing > 0:
        distance = torch.nn.functional.pad(distance, [0, missing], value=torch.inf)
        column = torch.nn.functional.pad(column, [0, missing])
    return distance, column


def node_features(points: Tensor, frames: Tensor, connected: Tensor, around: int = AROUND) -> Tensor:
    """Places of the residues around each along the chain, in its frame, (R, NODE_FEATURES)."""
    features: list[torch.Tensor] = []
    for side in [1, -1]:
        there = torch.ones_like(connected)
        for k in range(1, around + 1):
            there = there & (next_row(connected, k) if side == 1 else next_row(connected, 1 - k))
            vector = in_frame(frames, next_row(points, side * k) - points)
            length = dot(vector, vector, -1).add(1e-8).sqrt().unsqueeze(-1)
            part = torch.cat([vector / 5.0, length - 3.8 * k, torch.ones_like(length)], dim=1)
            features.append(part * there.unsqueeze(1).to(part.dtype))
    return torch.cat(features, dim=1)


def edge_features(
    points: Tensor,
    frames: Tensor,
    rows: Tensor,
    chain: Tensor,
    translation: Optional[Tensor] = None,  # noqa: UP045
    count: int = N_GAUSSIANS,
    reach: float = REACH,
    along: int = ALONG,
) -> Tensor:
    """Distance, directions, orientation and place along the chain of every neighbour, (R, K, EDGE_FEATURES).

    Parameters
    ----------
    points : Tensor, shape (R, 3)
    frames : Tensor, shape (R, 3, 3)
    rows : int Tensor, shape (R, K)
    chain : int Tensor, shape (R,)
        Number of the unbroken chain of every residue.
    translation : Tensor, shape (R, K, 3), optional
        Of the neighbours' images. An image of a residue's own chain is another chain.
    """
    vector = at_rows(points, rows, translation) - points.unsqueeze(1)
    distance = dot(vector, vector, -1).add(1e-8).sqrt()
    unit = vector / distance.unsqueeze(-1)
    others = frames[rows]
    own = frames.unsqueeze(1)
    there = in_frame(own, unit)
    back = in_frame(others, unit)
    rotation = torch.matmul(own, others.transpose(-1, -2)).flatten(-2)
    offset = rows - torch.arange(rows.shape[0], device=rows.device).unsqueeze(1)
    same = chain[rows] == chain.unsqueeze(1)
    if translation is not None:
        same = same & (translation == 0).all(-1)
    offset = torch.where(same, offset.clamp(-along - 1, along + 1), along + 1)
    steps = (offset.unsqueeze(-1) == torch.arange(-along, along + 1, device=rows.device)).to(points.dtype)
    return torch.cat([gaussians(distance, count, reach), there, back, rotation, steps], dim=-1)
