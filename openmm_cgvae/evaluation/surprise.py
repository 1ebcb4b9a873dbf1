"""How unlike training a structure is: beads by the potential of the training data, residues by crystals."""

import numpy as np

from openmm_cgvae.metrics.peptides import backbone_torsions, ramachandran_classes
from openmm_cgvae.metrics.residueshapes import HALF_TURN_CHI2, residue_shapes
from openmm_cgvae.metrics.rotamers import CHI_BINS, side_chain_torsions

__all__ = ["bead_surprise", "beyond_training", "residue_surprise"]

# kJ/mol/K.
BOLTZMANN = 0.00831446
RAREST = 1e-4


def bead_surprise(potential, beads):
    """Mean free energy of the distances, angles and chiralities of every bead, above the most common ones.

    Parameters
    ----------
    potential : CGPotential
        Of the training data.
    beads : numpy.ndarray, shape (frames, N, 3)
        nm.

    Returns
    -------
    numpy.ndarray, shape (frames, N)
        kT. Beyond what training saw, walls make it rise steeply.
    """
    total, count = np.zeros(beads.shape[:2]), np.zeros(beads.shape[1])
    for terms in potential.terms:
        if not len(terms):
            continue
        lowest = terms.energies.min(1)[terms.tables]
        energy = np.maximum(terms.energy(terms.values(beads)) - lowest, 0)
        for column in terms.beads.T:
            np.add.at(total.T, column, energy.T)
            np.add.at(count, column, 1)
    return total / np.maximum(count, 1) / (BOLTZMANN * potential.temperature)


def beyond_training(potential, beads):
    """Tell which frames have a bead distance outside of what training saw; bool, shape (frames,)."""
    terms = potential.distances
    values = terms.values(beads)
    low, high = terms.lower[terms.tables], terms.upper[terms.tables]
    return ((values < low) | (values > high)).any(-1)


def residue_surprise(types, atoms, mask, connected):
    """How rare the torsions of residues are in crystals.

    Parameters
    ----------
    types : numpy.ndarray of int, shape (N,)
    atoms : numpy.ndarray, shape (frames, N, 14, 3)
    mask : numpy.ndarray of bool, shape (N, 14)
    connected : numpy.ndarray of bool, shape (N,)

    Returns
    -------
    numpy.ndarray, shape (frames, N)
        Minus the decimal logarithm of the share of crystal residues that have rarer ones, of phi and psi or of chi1
        and chi2, whichever are rarer; at most 4, and 0 where a residue has none.
    """
    shapes = residue_shapes()
    angles = backbone_torsions(atoms, mask, connected)[..., :2] / (2 * np.pi) % 1
    chi = side_chain_torsions(types, atoms, mask)[..., :2]
    turns = chi / (2 * np.pi) % np.where(HALF_TURN_CHI2[types, None], [1.0, 0.5], 1.0)
    bins = shapes.ramachandran.shape[-1]
    backbone = shapes.ramachandran[(ramachandran_classes(types, connected), *_cells(angles, bins))]
    side_chain = shapes.rotamers[(types, *_cells(turns, CHI_BINS))]
    backbone = np.where(np.isfinite(angles).all(-1), backbone, 1.0)
    side_chain = np.where(np.isfinite(chi[..., 0]), side_chain, 1.0)
    return -np.log10(np.clip(np.minimum(backbone, side_chain), RAREST, 1.0))


def _cells(turns, bins):
    """Bins of two angles in turns; the first where an angle is not known."""
    return np.moveaxis((np.nan_to_num(turns) * bins).astype(np.int64) % bins, -1, 0)
