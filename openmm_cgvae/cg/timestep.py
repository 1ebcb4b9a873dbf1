"""The time step of a coarse-grained potential, from its vibrations."""

import numpy as np

__all__ = ["STEPS_PER_PERIOD", "stable_time_step"]

# Verlet-like integrators are stable up to a period over pi; a twentieth leaves room for curvatures 40 times larger
# where the sampled frames have not been.
STEPS_PER_PERIOD = 20
RANGE_PS = (0.001, 0.02)
N_FRAMES = 64
SHIFT_NM = 1e-5


def stable_time_step(terms, masses, beads_nm):
    """A twentieth of the shortest vibration period met on given frames.

    The periods are those of the normal modes of every frame: the eigenvalues omega^2 of the mass-weighted Hessian,
    sum over terms of U''(x) grad x (grad x)^T. Slopes, which add U' times the curvature of the coordinate, are left
    out, and so are negative U''; both would lower the stiffest modes only.

    Parameters
    ----------
    terms : sequence of TabulatedTerms
    masses : array_like, shape (N,)
        amu.
    beads_nm : array_like, shape (frames, N, 3)
        Frames to look at; up to 64 of them at an even stride are used.

    Returns
    -------
    float
        ps, between 1 and 20 fs.
    """
    beads_nm, roots = np.asarray(beads_nm, dtype=float), np.repeat(np.sqrt(masses), 3)
    chosen = np.unique(np.linspace(0, len(beads_nm) - 1, N_FRAMES).round().astype(int))
    squares = [np.linalg.eigvalsh(_hessian(terms, frame) / np.outer(roots, roots))[-1] for frame in beads_nm[chosen]]
    period = 2 * np.pi / np.sqrt(max(*squares, 1e-12))
    return float(np.clip(period / STEPS_PER_PERIOD, *RANGE_PS).round(5))


def _hessian(terms, frame):
    """The positive part of the second derivatives of one frame's energy, shape (3N, 3N), kJ/mol/nm^2."""
    size = frame.size
    shifts = SHIFT_NM * np.eye(size).reshape(size, *frame.shape)
    hessian = np.zeros((size, size))
    for kind in terms:
        gradients = (kind.values(frame + shifts) - kind.values(frame - shifts)) / (2 * SHIFT_NM)
        hessian += gradients * np.maximum(kind.curvature(kind.values(frame)), 0) @ gradients.T
    return hessian
