"""How far built proteins are from a reference, without superposition, and how far samples are from each other."""

import itertools

import numpy as np

from openmm_cgvae.chemistry.aminoacids.residues import N_SLOTS, exchanged_slots
from openmm_cgvae.core.errors import DataError
from openmm_cgvae.metrics.residueshapes import CB

__all__ = ["diversity", "protein_rmsd", "with_nearest_labels"]


def with_nearest_labels(types, atoms, reference, mask):
    """Exchange the names of equivalent side-chain atoms where that brings a residue nearer to the reference.

    Equivalent are CD1/CD2 and CE1/CE2 of Phe and Tyr (together), OD1/OD2 of Asp, OE1/OE2 of Glu, NH1/NH2 of Arg.

    Parameters
    ----------
    types : numpy.ndarray of int, shape (N,)
    atoms, reference : numpy.ndarray, shape (..., N, 14, 3)
    mask : numpy.ndarray of bool, shape (N, 14)

    Returns
    -------
    numpy.ndarray, shape (..., N, 14, 3)
    """
    slots = exchanged_slots()[types]
    other = atoms[..., np.arange(len(types))[:, None], slots, :]
    both = mask & np.take_along_axis(mask, slots, axis=1)
    kept, exchanged = (np.where(both, np.square(x - reference).sum(-1), 0).sum(-1) for x in (atoms, other))
    return np.where((exchanged < kept)[..., None, None], other, atoms)


def protein_rmsd(types, atoms, reference, mask):
    """Root mean square deviation of heavy atoms without superposition, equivalent atoms by the better label.

    Parameters
    ----------
    types : numpy.ndarray of int, shape (N,)
    atoms, reference : numpy.ndarray, shape (..., N, 14, 3)
    mask : numpy.ndarray of bool, shape (N, 14)

    Returns
    -------
    dict of numpy.ndarray, shape (...)
        ``all``, ``backbone`` (N, CA, C, O) and ``side_chain`` (the rest, CB included), in the unit given.
    """
    squares = np.square(with_nearest_labels(types, atoms, reference, mask) - reference).sum(-1)
    slots = np.arange(N_SLOTS)
    parts = {"all": mask, "backbone": mask & (slots < CB), "side_chain": mask & (slots >= CB)}
    return {
        name: np.sqrt(np.where(part, squares, 0).sum((-2, -1)) / max(1, np.count_nonzero(part)))
        for name, part in parts.items()
    }


def diversity(types, samples, reference, mask):
    """Spread of samples, DIV = (RMSD_ref - RMSD_gen) / RMSD_ref as FlowBack defines it.

    RMSD_ref is the mean over samples to the reference, RMSD_gen that over pairs of samples, both of all heavy atoms.
    0: samples differ from each other as much as from the reference; 1: all samples are one structure.

    Parameters
    ----------
    types : numpy.ndarray of int, shape (N,)
    samples : numpy.ndarray, shape (s, N, 14, 3)
        s > 1.
    reference : numpy.ndarray, shape (N, 14, 3)
    mask : numpy.ndarray of bool, shape (N, 14)

    Returns
    -------
    float

    Raises
    ------
    DataError
        If fewer than two samples are given.
    """
    if len(samples) < 2:
        raise DataError(f"{len(samples)} sample given: at least 2 have a spread")
    to_reference = protein_rmsd(types, samples, reference, mask)["all"].mean()
    pairs = [
        protein_rmsd(types, samples[i], samples[j], mask)["all"]
        for i, j in itertools.combinations(range(len(samples)), 2)
    ]
    return float((to_reference - np.mean(pairs)) / to_reference)
