"""Minimise frames of a molecule with every bead held in place: force field, springs, preconditioner and L-BFGS."""

import numpy as np

from openmm_cgvae.atomistic.lbfgs import minimize_together

__all__ = ["Relaxation"]


class Relaxation:
    """Minimise several frames at a time, each as if it were alone.

    Parameters
    ----------
    context : FrameContext or CopiesContext
    stiffness : Stiffness
    mapping : CGMapping
    springs : numpy.ndarray, shape (n_beads,)
        kJ/mol/nm^2.
    """

    def __init__(self, context, stiffness, mapping, springs):
        self.context = context
        self._stiffness, self._mapping, self._springs = stiffness, mapping, springs[:, None]

    def relax(self, frames, beads, boxes, tolerance, maxIterations):
        """Minimise frames.

        Parameters
        ----------
        frames : numpy.ndarray, shape (frames, n_atoms, 3)
            nm; one at a time with a box.
        beads : numpy.ndarray, shape (frames, n_beads, 3)
            Where to hold the beads, nm.
        boxes : numpy.ndarray, shape (frames, 3, 3), or None
            Periodic box vectors, nm.
        tolerance : float
            kJ/mol/nm.
        maxIterations : int

        Returns
        -------
        positions : numpy.ndarray, shape (frames, n_atoms, 3)
            nm.
        energies : numpy.ndarray, shape (frames, 2)
            Before and after, kJ/mol.
        """
        # Centre each frame, since single precision loses digits far from the origin.
        centre = beads.mean(1, dtype=float, keepdims=True)
        start, held = frames - centre, beads - centre
        if boxes is not None:
            self.context.set_box(boxes[0], start[0])

        def forces(positions, numbers):
            positions = positions.reshape(-1, *start.shape[1:])
            pull = self._springs * (held[numbers] - self._mapping.weighted_sums(positions))
            return (self.context.forces(positions) + self._mapping.shared_out(pull)).reshape(len(positions), -1)

        flat = start.reshape(len(start), -1)
        minimized = minimize_together(forces, flat, tolerance, maxIterations, self._stiffness.factorize)
        minimized = minimized.reshape(start.shape)
        energies = [[self.context.energy(frame) for frame in pair] for pair in zip(start, minimized, strict=True)]
        return minimized + centre, np.array(energies)
