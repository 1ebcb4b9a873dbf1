"""L-BFGS for many independent systems at once, from forces alone."""

import torch

__all__ = ["minimize_together"]

MEMORY = 8
# First step along the force, nm^2 mol/kJ, and the furthest an atom may move in a step: nothing else limits the steps,
# since one Context tells the forces on each copy but no copy's own energy.
FIRST_STEP = 1e-5
MAX_STEP_NM = 0.02
# "Until the tolerance is reached" (0 iterations) ends here if it never is.
MAX_ITERATIONS = 10_000


def minimize_together(forces, positions, tolerance, maxIterations):
    """Minimise every system by limited-memory BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.4).

    Step lengths, curvature and convergence are each system's own, so that its path does not depend on the others.
    There is no line search: a step is taken whole, and shortened where an atom would move too far. A system stays
    where its force is not finite.

    Parameters
    ----------
    forces : callable
        Positions to forces, both tensors of shape (systems, 3 n), in nm and kJ/mol/nm.
    positions : torch.Tensor, shape (systems, 3 n)
        nm.
    tolerance : float
        Root mean square of the force components at which a system is left alone, kJ/mol/nm.
    maxIterations : int
        0 for as many as it takes.

    Returns
    -------
    torch.Tensor, shape (systems, 3 n)
        nm.
    """
    force, history = forces(positions), []
    scale = torch.full_like(positions[:, :1], FIRST_STEP)
    for _ in range(maxIterations or MAX_ITERATIONS):
        size = force.square().mean(1, keepdim=True).sqrt()
        moving = (size > tolerance) & size.isfinite()
        if not moving.any():
            break
        step = torch.where(moving, _limited(_direction(force, history, scale)), 0.0)
        positions, previous = positions + step, force
        force = forces(positions)
        change = previous - force
        curvature = _dot(step, change)
        # Where the energy is not convex along the step, it says nothing of the minimum and is left out.
        convex = curvature > 0
        inverse = torch.where(convex, 1 / curvature, 0.0)
        scale = torch.where(convex, curvature / _dot(change, change), scale)
        history = [*history, (step, torch.where(convex, change, 0.0), inverse)][-MEMORY:]
    return positions


def _direction(force, history, scale):
    """The two-loop recursion: inverse Hessian times force, shape (systems, 3 n)."""
    direction, weights = force, []
    for step, change, inverse in reversed(history):
        weights.append(inverse * _dot(step, direction))
        direction = direction - weights[-1] * change
    direction = scale * direction
    for (step, change, inverse), weight in zip(history, reversed(weights), strict=True):
        direction = direction + (weight - inverse * _dot(change, direction)) * step
    return direction


def _limited(step):
    furthest = step.unflatten(1, (-1, 3)).norm(dim=-1).amax(1, keepdim=True)
    return step * (MAX_STEP_NM / furthest).clamp(max=1.0)


def _dot(a, b):
    return (a * b).sum(1, keepdim=True)
