"""Side-chain torsions: agreement with a reference, and rotamers that crystals hardly show."""

import numpy as np

from openmm_cgvae.chemistry.aminoacids.residues import chi_slots
from openmm_cgvae.metrics.residueshapes import HALF_TURN_CHI2, pick, residue_shapes
from openmm_cgvae.metrics.vectors import torsion

__all__ = ["CHI_BINS", "ROTAMER_OUTLIER", "TORSIONS", "chi_agreement", "rotamer_outliers", "side_chain_torsions"]

# chi5 of arginine is planar.
TORSIONS = 4
CHI_BINS = 36
# Bins of chi1, chi2 that together hold the rarest 0.3 % of crystal residues, as MolProbity has it.
ROTAMER_OUTLIER = 0.003


def side_chain_torsions(types, atoms, mask):
    """Measure chi1 to chi4.

    Parameters
    ----------
    types : numpy.ndarray of int, shape (N,)
    atoms : numpy.ndarray, shape (..., N, 14, 3)
    mask : numpy.ndarray of bool, shape (N, 14)

    Returns
    -------
    numpy.ndarray, shape (..., N, 4)
        Radians; NaN where a residue has no such torsion or atoms are missing.
    """
    slots = chi_slots()[types, :TORSIONS]
    known = (slots >= 0).all(-1) & np.take_along_axis(mask[:, None], np.maximum(slots, 0), axis=-1).all(-1)
    points = pick(atoms, np.maximum(slots, 0))
    return np.where(known, torsion(*(points[..., k, :] for k in range(4))), np.nan)


def chi_agreement(types, atoms, reference, mask, degrees):
    """Tell which side chains have the torsions of a reference.

    Parameters
    ----------
    types : numpy.ndarray of int, shape (N,)
    atoms, reference : numpy.ndarray, shape (..., N, 14, 3)
    mask : numpy.ndarray of bool, shape (N, 14)
    degrees : float
        Largest difference; chi2 of Phe, Tyr and Asp is taken modulo 180 degrees.

    Returns
    -------
    agree, known : numpy.ndarray of bool, shape (..., N, 2)
        Of chi1, and of chi1 and chi2 both.
    """
    off = side_chain_torsions(types, atoms, mask) - side_chain_torsions(types, reference, mask)
    period = np.where(HALF_TURN_CHI2[types, None] & (np.arange(2) == 1), np.pi, 2 * np.pi)
    off = np.abs((off[..., :2] + period / 2) % period - period / 2)
    known = np.isfinite(off)
    return np.logical_and.accumulate(off <= np.radians(degrees), axis=-1), known


def rotamer_outliers(types, atoms, mask):
    """Which side chains have chi1, chi2 where crystals have the rarest 0.3 %, and which are known; bool, (..., N)."""
    chi = side_chain_torsions(types, atoms, mask)[..., :2]
    two = (chi_slots()[types, 1] >= 0).all(-1)
    known = np.isfinite(chi[..., 0]) & (np.isfinite(chi[..., 1]) | ~two)
    # chi2 of half a turn fills the first half of the columns; a type without chi2 has equal columns.
    turns = np.where(np.isfinite(chi), chi, 0) / (2 * np.pi) % np.where(HALF_TURN_CHI2[types, None], [1.0, 0.5], 1.0)
    first, second = np.moveaxis((turns * CHI_BINS).astype(np.int64) % CHI_BINS, -1, 0)
    return known & (residue_shapes().rotamers[types, first, second] < ROTAMER_OUTLIER), known
