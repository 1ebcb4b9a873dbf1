"""Preconditioned L-BFGS for many independent systems at once, from forces alone."""

import numpy as np

__all__ = ["minimize_together"]

MEMORY = 8
# Iterations between updates of the preconditioner. Chignolin on 6 beads, energy above that of minimised MD after 50
# iterations: 0.33 kJ/mol per atom with 5, 0.34 with 10, 0.44 with 25; each costs as much as three iterations.
REFRESH = 10
# Largest displacement of an atom in one step. There is no line search: per-copy energies are not available.
MAX_STEP_NM = 0.03
# "Until the tolerance is reached" (0 iterations) ends here if it never is.
MAX_ITERATIONS = 10_000


def minimize_together(forces, positions, tolerance, maxIterations, factorize):
    """Minimise every system by limited-memory BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.4).

    The initial inverse Hessian of the recursion is that of `factorize`, scaled by the last step's curvature. Step
    lengths, curvature and convergence are each system's own, so that its path does not depend on the others, to the
    bit. There is no line search: a step is taken whole, and shortened where an atom would move too far. A system
    stays where its force is not finite.

    Parameters
    ----------
    forces : callable
        Of positions, shape (some systems, 3 n), and the numbers of these systems: forces, of the same shape, in
        kJ/mol/nm.
    positions : numpy.ndarray, shape (systems, 3 n)
        nm.
    tolerance : float
        Root mean square of the force components at which a system is left alone, kJ/mol/nm.
    maxIterations : int
        0 for as many as it takes.
    factorize : callable
        Of positions of all systems and the numbers of some: a function that takes the arguments of `forces` for
        these, with forces in place of positions, and solves (approximate Hessian) step = force, steps in nm.

    Returns
    -------
    numpy.ndarray, shape (systems, 3 n)
        nm.
    """
    positions, moving = positions.copy(), np.arange(len(positions))
    force = step = smooth = np.zeros_like(positions)
    for iteration in range(maxIterations or MAX_ITERATIONS):
        previous, force = force, force.copy()
        force[moving] = forces(positions[moving], moving)
        size = np.sqrt(_dot(force, force)[:, 0] / force.shape[1])
        moving = np.flatnonzero((size > tolerance) & np.isfinite(size))
        if not len(moving):
            break
        if iteration % REFRESH == 0:
            solve, history, scale = factorize(positions, moving), [], np.ones((len(positions), 1))
            smooth = _of(solve, force, moving)
        else:
            smooth_previous, smooth = smooth, _of(solve, force, moving)
            change, smooth_change = previous - force, smooth_previous - smooth
            curvature = _dot(step, change)
            # Skip the update where the curvature along the step is not positive.
            convex = curvature > 0
            change, smooth_change = np.where(convex, change, 0.0), np.where(convex, smooth_change, 0.0)
            inverse = np.divide(1, curvature, out=np.zeros_like(curvature), where=convex)
            scale = np.divide(curvature, _dot(change, smooth_change), out=scale.copy(), where=convex)
            history = [*history, (step, change, smooth_change, inverse)][-MEMORY:]
        step = np.zeros_like(positions)
        step[moving] = _limited(_direction(force, smooth, history, scale)[moving])
        positions += step
    return positions


def _of(solve, force, moving):
    smooth = np.zeros_like(force)
    smooth[moving] = solve(force[moving], moving)
    return smooth


def _direction(force, smooth, history, scale):
    """The two-loop recursion: inverse Hessian times force, shape (systems, 3 n).

    The preconditioner is linear: that of the recursion's vector is put together from those of forces, already known.
    """
    weights = []
    for step, change, smooth_change, inverse in reversed(history):
        weights.append(inverse * _dot(step, force))
        force, smooth = force - weights[-1] * change, smooth - weights[-1] * smooth_change
    direction = scale * smooth
    for (step, change, _, inverse), weight in zip(history, reversed(weights), strict=True):
        direction = direction + (weight - inverse * _dot(change, direction)) * step
    return direction


def _limited(step):
    furthest = np.linalg.norm(step.reshape(len(step), -1, 3), axis=-1).max(1, keepdims=True)
    return step * (MAX_STEP_NM / np.maximum(furthest, MAX_STEP_NM))


def _dot(a, b):
    return np.einsum("ki,ki->k", a, b)[:, None]
