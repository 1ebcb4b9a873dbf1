"""Neighbour search in periodic boxes of any triclinic shape: all images within a cutoff, at linear cost."""

import torch

from openmm_cgvae.geometry.neighbours import near_in_cells

__all__ = ["image_pairs", "lattice_vectors"]


def image_pairs(points: torch.Tensor, cutoff: float, box: torch.Tensor) -> torch.Tensor:
    """Pairs of different points of a frame of which some image is within a cutoff, in each order.

    Points are put into the box, and those near its faces copied to the other side; where the box is narrower than the
    cutoff, a pair is found with several images.

    Parameters
    ----------
    points : Tensor, shape (B, n, 3)
        Anywhere: molecules need not be inside the box.
    cutoff : float
    box : Tensor, shape (B, 3, 3)
        Vectors in rows, in the unit of the points.

    Returns
    -------
    int Tensor, shape (m, 6)
        Frame, points i and j, sorted by frame and i, and lattice numbers s: ``points[j] + s @ box`` is near
        ``points[i]``.
    """
    batch, n = points.shape[0], points.shape[1]
    if batch * n == 0:
        return torch.zeros(0, 6, dtype=torch.int64, device=points.device)
    points = points.detach()
    inverse = torch.linalg.inv(box.to(torch.float64)).to(points.dtype)
    fractional = torch.matmul(points, inverse)
    cell = torch.floor(fractional)
    fractional = (fractional - cell).flatten(0, 1)
    # Width of the layer at the faces, in box vectors: their planes are 1 / |column of the inverse| apart.
    layer = (cutoff * inverse.square().sum(1).sqrt()).repeat_interleave(n, 0)
    row = torch.arange(batch * n, device=points.device)
    steps = torch.zeros(batch * n, 3, dtype=points.dtype, device=points.device)
    reach = int(torch.ceil(layer.max()).item())
    for axis in range(3):
        rows, its_steps = [row], [steps]
        for step in range(-reach, reach + 1):
            place = fractional[row, axis] + step
            there = torch.nonzero((place > -layer[row, axis]) & (place < 1.0 + layer[row, axis]))[:, 0]
            if step != 0:
                moved = steps[there].clone()
                moved[:, axis] = float(step)
                rows.append(row[there])
                its_steps.append(moved)
        row, steps = torch.cat(rows), torch.cat(its_steps)
    frame = row // n
    copies = torch.bmm((fractional[row] + steps).unsqueeze(1), box[frame]).squeeze(1)
    lowest = torch.floor(copies.amin(0) / cutoff)
    near = near_in_cells(copies, torch.floor(copies / cutoff).long() - lowest.long() + 1, frame, cutoff)
    # The points themselves come first.
    own = near[0] < batch * n
    i, copy = near[0][own], near[1][own]
    j = row[copy]
    lattice = (steps[copy] - cell.flatten(0, 1)[j] + cell.flatten(0, 1)[i]).long()
    found = torch.cat([torch.stack([i // n, i % n, j % n], dim=1), lattice], dim=1)
    return found[i != j]


def lattice_vectors(pairs: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
    """Translations s @ box, (m, 3), of the second points of `image_pairs` (m, 6)."""
    return torch.bmm(pairs[:, 3:].to(box.dtype).unsqueeze(1), box[pairs[:, 0]]).squeeze(1)
