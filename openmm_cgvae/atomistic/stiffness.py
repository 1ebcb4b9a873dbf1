"""Positive definite approximation of the Hessian of bonds, angles, torsions and bead springs."""

from functools import partial

import numpy as np
import openmm
from scipy.sparse import csc_array, csr_array, eye_array
from scipy.sparse.linalg import splu

__all__ = ["Stiffness"]

# Diagonal stand-in for the non-bonded Hessian, kJ/mol/nm^2. Energies after 50 iterations are the same for 1,000 and
# 3,000.
OTHERS = 2000.0
# Lower limits of bond lengths (nm) and sines, which keep angle and torsion gradients finite.
SHORTEST, STRAIGHTEST = 0.03, 0.05


class Stiffness:
    """Preconditioner of a molecule's minimisation, after Mones, Ortner and Csanyi (Sci. Rep. 8, 13991, 2018).

    A term that depends on an internal coordinate q, with a curvature of at most k, adds k dq dq^T (Gauss-Newton):
    the sum is positive definite, and sparse.

    Parameters
    ----------
    system : openmm.System
        Its harmonic bonds and angles and its periodic and Ryckaert-Bellemans torsions are taken.
    matrix : numpy.ndarray or sparse array, shape (n_beads, n_atoms)
        M of the mapping.
    springs : numpy.ndarray, shape (n_beads,)
        That hold every M x, kJ/mol/nm^2.
    """

    def __init__(self, system, matrix, springs):
        self._terms, self._size = list(_bonded_terms(system)), 3 * matrix.shape[1]
        blocks = [_block(_coordinates(atoms)) for _, atoms, _ in self._terms]
        constant = [(np.arange(self._size), np.arange(self._size), np.full(self._size, OTHERS))]
        matrix = csr_array(matrix)
        for start, end, spring in zip(matrix.indptr, matrix.indptr[1:], springs, strict=False):
            atoms, weights = matrix.indices[start:end], matrix.data[start:end]
            # x, y and z of a bead are coordinates of their own.
            axes = _coordinates(atoms[None].astype(np.int64)).reshape(-1, 3).T
            constant.append((*_block(axes), np.tile(spring * np.outer(weights, weights).ravel(), 3)))
        rows, columns = (np.concatenate([entry[k] for entry in (*constant, *blocks)]) for k in (0, 1))
        # Fill-reducing ordering, computed once.
        pattern = csc_array((np.ones(len(rows)), (rows, columns))) + self._size**2 * eye_array(self._size)
        self._place = _factors(pattern.tocsc(), "MMD_AT_PLUS_A").perm_c
        self._order = np.argsort(self._place)
        entries = self._place[columns] * self._size + self._place[rows]
        places, self._entries = np.unique(entries, return_inverse=True)
        self._constant = np.concatenate([values for _, _, values in constant])
        self._rows = places % self._size
        self._starts = np.searchsorted(places, self._size * np.arange(self._size + 1))

    def factorize(self, positions, numbers):
        """Factorise the matrices at some geometries.

        Parameters
        ----------
        positions : numpy.ndarray, shape (systems, 3 n)
            nm.
        numbers : numpy.ndarray
            Of the systems to take.

        Returns
        -------
        callable
            Of forces, shape (some systems, 3 n), and the numbers of these systems: matrix^-1 force, in nm.
        """
        return partial(self._solve, {k: self._factor(positions[k].reshape(-1, 3)) for k in numbers})

    def _factor(self, positions):
        values = [self._constant]
        for gradients, atoms, stiffness in self._terms:
            gradient = gradients(*positions[atoms.T])
            scaled = stiffness[:, None] * gradient
            values.append((scaled[:, :, None] * gradient[:, None, :]).ravel())
        data = np.bincount(self._entries, np.concatenate(values))
        return _factors(csc_array((data, self._rows, self._starts), shape=(self._size, self._size)), "NATURAL")

    def _solve(self, factors, forces, numbers):
        ordered = forces[:, self._order]
        return np.stack([factors[k].solve(force) for k, force in zip(numbers, ordered, strict=True)])[:, self._place]


def _factors(matrix, order):
    # A positive definite matrix needs no pivoting.
    return splu(matrix, permc_spec=order, diag_pivot_thresh=0.0, options={"SymmetricMode": True})


def _coordinates(atoms):
    """Numbers of the coordinates of atoms, (terms, atoms) to (terms, 3 atoms)."""
    return (3 * atoms[..., None] + np.arange(3)).reshape(len(atoms), -1)


def _block(coordinates):
    """Rows and columns of all pairs of a term's coordinates, term after term."""
    rows, columns = np.broadcast_arrays(coordinates[:, :, None], coordinates[:, None, :])
    return rows.ravel(), columns.ravel()


def _bonded_terms(system):
    """Gradients of a kind of term, as a function of its atoms' positions; its atoms; and its stiffness in kJ/mol."""
    kinds = {_bond: [], _angle: [], _torsion: []}
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicBondForce):
            for i, j, _, k in map(force.getBondParameters, range(force.getNumBonds())):
                kinds[_bond].append(((i, j), k._value))
        elif isinstance(force, openmm.HarmonicAngleForce):
            for *atoms, _, k in map(force.getAngleParameters, range(force.getNumAngles())):
                kinds[_angle].append((atoms, k._value))
        elif isinstance(force, openmm.PeriodicTorsionForce):
            for *atoms, n, _, k in map(force.getTorsionParameters, range(force.getNumTorsions())):
                kinds[_torsion].append((atoms, abs(k._value) * n**2))
        elif isinstance(force, openmm.RBTorsionForce):
            for *atoms, c0, c1, c2, c3, c4, c5 in map(force.getTorsionParameters, range(force.getNumTorsions())):
                stiffness = sum(n**2 * abs(c._value) for n, c in enumerate((c0, c1, c2, c3, c4, c5)))
                kinds[_torsion].append((atoms, stiffness))
    for gradients, terms in kinds.items():
        if terms:
            # Merge the terms of each torsion into one.
            atoms, which = np.unique(np.array([atoms for atoms, _ in terms]), axis=0, return_inverse=True)
            yield gradients, atoms, np.bincount(which.ravel(), [stiffness for _, stiffness in terms])


def _bond(a, b):
    ab = _unit(a - b)[0]
    return np.hstack([ab, -ab])


def _angle(a, b, c):
    ba, length_a = _unit(a - b)
    bc, length_c = _unit(c - b)
    cosine = (ba * bc).sum(1, keepdims=True)
    sine = np.sqrt(np.maximum(1 - cosine**2, STRAIGHTEST**2))
    of_a, of_c = (cosine * ba - bc) / (sine * length_a), (cosine * bc - ba) / (sine * length_c)
    return np.hstack([of_a, -of_a - of_c, of_c])


def _torsion(a, b, c, d):
    """Gradient of the dihedral angle (Blondel and Karplus, J. Comput. Chem. 17, 1132, 1996, eq. 27)."""
    axis, length = _unit(b - c)
    ba, dc = a - b, d - c
    m, n = np.cross(ba, axis), np.cross(dc, axis)
    floor = (SHORTEST * STRAIGHTEST) ** 2
    m, n = (v / np.maximum((v * v).sum(1, keepdims=True), floor) for v in (m, n))
    shift = ((ba * axis).sum(1, keepdims=True) * m - (dc * axis).sum(1, keepdims=True) * n) / length
    return np.hstack([-m, m + shift, -n - shift, n])


def _unit(v):
    length = np.maximum(np.linalg.norm(v, axis=1, keepdims=True), SHORTEST)
    return v / length, length
