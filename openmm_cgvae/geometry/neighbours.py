"""Neighbour search: within one cutoff at linear cost, or with a cutoff for each pair."""

import torch

__all__ = ["DENSE_ATOMS", "listed_pairs", "near_in_cells", "neighbour_table", "owned_pairs", "pairs_within"]

# Number of atoms above which neighbour lists are cheaper than all pairs.
DENSE_ATOMS = 500


def neighbour_table(points: torch.Tensor, cutoff: float) -> torch.Tensor:
    """Neighbours of every point of every frame, by a cell list.

    Parameters
    ----------
    points : Tensor, shape (B, n, 3)
    cutoff : float

    Returns
    -------
    int Tensor, shape (B, n, M)
        Rows of ``points.flatten(0, 1)``, M the largest number of neighbours (at least 1). A point with fewer is
        filled up with its own row.
    """
    batch, n = points.shape[0], points.shape[1]
    centre, candidate = _near_rows(points.detach(), cutoff)
    rows = torch.arange(batch * n, device=points.device)
    degree = torch.bincount(centre, minlength=batch * n)
    table = rows.unsqueeze(1).repeat(1, max(1, int(degree.max())))
    _, place = _runs(torch.zeros_like(degree), degree)
    table[centre, place] = candidate
    return table.reshape(batch, n, -1)


def listed_pairs(points: torch.Tensor, cutoff: float) -> torch.Tensor:
    """Frame and points i, j, (m, 3), of all pairs of points (B, n, 3) within a cutoff, sorted by frame and i."""
    centre, candidate = _near_rows(points.detach(), cutoff)
    n = points.shape[1]
    return torch.stack([centre // n, centre % n, candidate % n], dim=1)


def pairs_within(x: torch.Tensor, reach: torch.Tensor, max_elements: int = 1 << 21) -> torch.Tensor:
    """Frame and points i, j, (m, 3), of the pairs of points (B, n, 3) whose squared distance is below `reach` (n, n).

    At most `max_elements` distances are held at once.
    """
    # Squared distances as a product of rows of five.
    centred = x - x.mean(1, keepdim=True)
    square, one = centred.square().sum(-1, keepdim=True), torch.ones_like(x[..., :1])
    rows, columns = torch.cat([-2.0 * centred, square, one], dim=2), torch.cat([centred, one, square], dim=2)
    found: list[torch.Tensor] = []
    size = max(1, max_elements // (x.shape[1] * x.shape[1]))
    for number, (row, column) in enumerate(zip(rows.split(size), columns.split(size))):  # noqa: B905
        pairs = torch.nonzero(torch.bmm(row, column.transpose(1, 2)) < reach)
        pairs[:, 0] += number * size
        found.append(pairs)
    return torch.cat(found)


def owned_pairs(points, owner, cutoff):
    # type: (Tensor, Tensor, float) -> tuple[Tensor, Tensor]
    """Rows i and j of all pairs within a cutoff that belong to the same owner, each in both orders, sorted by i.

    Parameters
    ----------
    points : Tensor, shape (m, 3)
    owner : int Tensor, shape (m,)
        From 0: the frame or molecule of every point, of any number of points each.
    cutoff : float
    """
    flat = points.detach()
    if flat.shape[0] == 0:
        return owner, owner
    lowest = torch.zeros(int(owner.max()) + 1, 3, dtype=flat.dtype, device=flat.device)
    lowest = lowest.scatter_reduce(0, owner.unsqueeze(1).expand(-1, 3), flat, "amin", include_self=False)
    return near_in_cells(flat, ((flat - lowest.index_select(0, owner)) / cutoff).long() + 1, owner, cutoff)


def _near_rows(points, cutoff):
    # type: (Tensor, float) -> tuple[Tensor, Tensor]
    """Rows of ``points.flatten(0, 1)`` within the cutoff of each other: points, in their order, and neighbours."""
    batch, n = points.shape[0], points.shape[1]
    rows = torch.arange(batch * n, device=points.device)
    if batch * n == 0:
        return rows, rows
    cell = ((points - points.amin(1, keepdim=True)) / cutoff).long().flatten(0, 1) + 1
    return near_in_cells(points.flatten(0, 1), cell, rows // n, cutoff)


def near_in_cells(flat, cell, frame, cutoff):
    # type: (Tensor, Tensor, Tensor, float) -> tuple[Tensor, Tensor]
    """Rows of points (m, 3) of one frame within the cutoff, by cells (m, 3) as wide, counted from 1.

    Points are sorted by cells. The three cells along z are next to each other in that order, so that 9 runs of it hold
    all candidates of a point.
    """
    size = cell.amax(0) + 2
    key = ((frame * size[0] + cell[:, 0]) * size[1] + cell[:, 1]) * size[2] + cell[:, 2]
    ordered, order = torch.sort(key, stable=True)

    shift = torch.arange(-1, 2, device=flat.device)
    column = key.unsqueeze(1) + ((shift.unsqueeze(1) * size[1] + shift) * size[2]).flatten()
    first = torch.searchsorted(ordered, column - 1)
    centre, candidate = _runs(first, torch.searchsorted(ordered, column + 1, right=True) - first)
    centre, candidate = centre // 9, order[candidate]
    near = (flat[candidate] - flat[centre]).square().sum(-1) < cutoff * cutoff
    near = near & (candidate != centre)
    return centre[near], candidate[near]


def _runs(first, count):
    # type: (Tensor, Tensor) -> tuple[Tensor, Tensor]
    """Number of the run, and place, of every member of runs that begin at `first`."""
    first, count = first.flatten(), count.flatten()
    run = torch.repeat_interleave(count)
    before = torch.cumsum(count, 0) - count
    return run, first[run] + torch.arange(run.shape[0], device=run.device) - before[run]
