"""Least-squares superposition of groups of points of any size (Kabsch)."""

import torch

__all__ = ["fitted", "superpositions"]

STEADY = 1e-10


def superpositions(points, targets, weights, groups, n_groups, steady=STEADY):
    # type: (Tensor, Tensor, Tensor, Tensor, int, float) -> tuple[Tensor, Tensor, Tensor]
    """Find the proper rotations that bring weighted points nearest to their targets, group by group.

    No gradient is followed. What points leave open, such as the turn of a straight line about itself, is turned as
    little as possible: a group without rows keeps its orientation.

    Parameters
    ----------
    points, targets : Tensor, shape (m, 3)
    weights : Tensor, shape (m,)
    groups : int Tensor, shape (m,)
        Group of every row.
    n_groups : int
    steady : float
        Part of the covariance that keeps orientations.

    Returns
    -------
    rotations : Tensor, shape (g, 3, 3)
        Of row vectors: a point p goes to (p - from) R + to.
    origins, destinations : Tensor, shape (g, 3)
        Weighted centres of the points and of the targets.
    """
    p, t, w = points.detach().double(), targets.detach().double(), weights.double().unsqueeze(1)
    total = torch.zeros(n_groups, 1, dtype=p.dtype, device=p.device).index_add(0, groups, w).clamp_min(1e-30)
    zeros = torch.zeros(n_groups, 3, dtype=p.dtype, device=p.device)
    origins, destinations = zeros.index_add(0, groups, w * p) / total, zeros.index_add(0, groups, w * t) / total
    a, b = p - origins.index_select(0, groups), t - destinations.index_select(0, groups)
    products = (w * a).unsqueeze(2) * b.unsqueeze(1)
    covariance = torch.zeros(n_groups, 3, 3, dtype=p.dtype, device=p.device).index_add(0, groups, products)
    # Of rotations as good as each other, the one nearest to none; it turns as points and targets turn together.
    least = steady * covariance.abs().sum((1, 2)) + 1e-30
    covariance = covariance + least.view(-1, 1, 1) * torch.eye(3, dtype=p.dtype, device=p.device)
    left, _, right = torch.linalg.svd(covariance)
    # Without this a reflection could be nearer.
    signs = torch.ones_like(destinations)
    signs[:, 2] = torch.sign(torch.linalg.det(left) * torch.linalg.det(right))
    rotations = torch.matmul(left * signs.unsqueeze(1), right)
    return rotations.to(points.dtype), origins.to(points.dtype), destinations.to(points.dtype)


def fitted(points, targets, groups, n_groups):
    # type: (Tensor, Tensor, Tensor, int) -> Tensor
    """Superpose groups of points (m, 3) onto targets (m, 3), every point of the same weight."""
    weights = torch.ones_like(points[:, 0])
    rotations, origins, destinations = superpositions(points, targets, weights, groups, n_groups)
    centred = (points - origins.index_select(0, groups)).unsqueeze(1)
    return torch.bmm(centred, rotations.index_select(0, groups)).squeeze(1) + destinations.index_select(0, groups)
