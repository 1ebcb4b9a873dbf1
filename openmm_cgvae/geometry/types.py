"""Types of beads, atoms and pairs, which index the tables that a network learns."""

import torch

__all__ = ["as_types", "moments_by_type", "n_types"]


def as_types(types, count):
    """Types as a tensor (count,); each its own where None."""
    return torch.arange(count) if types is None else torch.tensor(types)


def n_types(types, count):
    """Rows of a table of these types."""
    return count if types is None else int(max(types)) + 1


def moments_by_type(values: torch.Tensor, types: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and unbiased variance over all frames and members of a type.

    Parameters
    ----------
    values : Tensor, shape (frames, m, ...)
    types : int Tensor, shape (m,)
    n : int
        Number of types.

    Returns
    -------
    mean, variance : Tensor, shape (n, ...)
        Of a type without members 0.
    """
    shape = (n, *values.shape[2:])
    members = torch.bincount(types, minlength=n).view(-1, *[1] * (values.dim() - 2)).to(values)
    mean = values.new_zeros(shape).index_add_(0, types, values.mean(0)) / members.clamp_min(1)
    squares = (values - mean[types]).square().sum(0)
    counted = (members * len(values) - 1).clamp_min(1)
    return mean, values.new_zeros(shape).index_add_(0, types, squares) / counted
