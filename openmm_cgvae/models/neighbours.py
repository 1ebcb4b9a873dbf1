"""Which points lie within a cutoff of each other, at a cost linear in their number."""

import torch

__all__ = ["neighbour_table"]


def neighbour_table(points: torch.Tensor, cutoff: float) -> torch.Tensor:
    """Neighbours of every point of every frame, by a cell list.

    Points are sorted by cells as wide as the cutoff. The three cells along z are next to each other in that order,
    so that 9 runs of it hold all candidates of a point.

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
    flat = points.detach().flatten(0, 1)
    rows = torch.arange(batch * n, device=points.device)
    cell = ((points.detach() - points.detach().amin(1, keepdim=True)) / cutoff).long().flatten(0, 1) + 1
    size = cell.amax(0) + 2
    key = (((rows // n) * size[0] + cell[:, 0]) * size[1] + cell[:, 1]) * size[2] + cell[:, 2]
    ordered, order = torch.sort(key, stable=True)

    shift = torch.arange(-1, 2, device=points.device)
    column = key.unsqueeze(1) + ((shift.unsqueeze(1) * size[1] + shift) * size[2]).flatten()
    first = torch.searchsorted(ordered, column - 1)
    centre, candidate = _runs(first, torch.searchsorted(ordered, column + 1, right=True) - first)
    centre, candidate = centre // 9, order[candidate]
    near = (flat[candidate] - flat[centre]).square().sum(-1) < cutoff * cutoff
    near = near & (candidate != centre)
    centre, candidate = centre[near], candidate[near]

    degree = torch.bincount(centre, minlength=batch * n)
    table = rows.unsqueeze(1).repeat(1, max(1, int(degree.max())))
    _, place = _runs(torch.zeros_like(degree), degree)
    table[centre, place] = candidate
    return table.reshape(batch, n, -1)


def _runs(first, count):
    # type: (Tensor, Tensor) -> tuple[Tensor, Tensor]
    """Number of the run, and place, of every member of runs that begin at `first`."""
    first, count = first.flatten(), count.flatten()
    run = torch.repeat_interleave(count)
    before = torch.cumsum(count, 0) - count
    return run, first[run] + torch.arange(run.shape[0], device=run.device) - before[run]
