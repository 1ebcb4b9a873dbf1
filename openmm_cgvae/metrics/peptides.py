"""Backbones: phi, psi, omega, cis peptide bonds, handedness at C-alpha, Ramachandran outliers."""

import numpy as np

from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS
from openmm_cgvae.metrics.residueshapes import CA, CB, PROLINE, C, N, present_slots, residue_shapes
from openmm_cgvae.metrics.vectors import torsion

__all__ = [
    "RAMACHANDRAN_OUTLIER",
    "backbone_torsions",
    "cis_figures",
    "cis_peptides",
    "d_residues",
    "ramachandran_classes",
    "ramachandran_outliers",
    "twisted_peptides",
]

# Bins of phi, psi that together hold the rarest 0.05 % of crystal residues, as MolProbity has it for the general case.
RAMACHANDRAN_OUTLIER = 0.0005
# A peptide bond twisted further than this out of its plane, degrees (MolProbity).
TWISTED = 30.0


def backbone_torsions(atoms, mask, connected):
    """Measure phi, psi and omega.

    Parameters
    ----------
    atoms : numpy.ndarray, shape (..., N, 14, 3)
    mask : numpy.ndarray of bool, shape (N, 14)
    connected : numpy.ndarray of bool, shape (N,)
        Whether a residue is bonded to the one before; what the first says does not count.

    Returns
    -------
    numpy.ndarray, shape (..., N, 3)
        Radians; omega is that of the bond to the residue before; NaN where atoms are missing or not connected.
    """
    here = {slot: atoms[..., slot, :] for slot in (N, CA, C)}
    bonded = _bonded(connected)
    before = {slot: np.where(bonded[:, None], np.roll(here[slot], 1, axis=-2), np.nan) for slot in (CA, C)}
    after = np.roll(np.where(bonded[:, None], here[N], np.nan), -1, axis=-2)
    there = mask[:, [N, CA, C]].all(1)
    there_before, there_after = there & np.roll(there, 1), there & np.roll(there, -1)
    phi = torsion(before[C], here[N], here[CA], here[C])
    psi = torsion(here[N], here[CA], here[C], after)
    omega = torsion(before[CA], before[C], here[N], here[CA])
    known = np.stack([there_before, there_after, there_before], axis=-1)
    return np.where(known, np.stack([phi, psi, omega], axis=-1), np.nan)


def ramachandran_classes(types, connected):
    """Class of each residue: 0 general, 1 isoleucine and valine, 2 before proline, 3 proline, 4 glycine; shape (N,)."""
    letters = np.array(list(AMINO_ACIDS))[types]
    before_proline = np.roll((letters == "P") & _bonded(connected), -1)
    conditions = [letters == "G", letters == "P", before_proline, np.isin(letters, ["I", "V"])]
    return np.select(conditions, [4, 3, 2, 1], 0)


def ramachandran_outliers(types, atoms, mask, connected):
    """Which residues lie where crystals put the rarest 0.05 %, and which have phi and psi; bool, shape (..., N)."""
    shapes = residue_shapes()
    angles = backbone_torsions(atoms, mask, connected)[..., :2]
    known = np.isfinite(angles).all(-1)
    bins = shapes.ramachandran.shape[-1]
    phi, psi = np.moveaxis(
        (np.where(known[..., None], angles, 0) / (2 * np.pi) % 1 * bins).astype(np.int64) % bins, -1, 0
    )
    return known & (shapes.ramachandran[ramachandran_classes(types, connected), phi, psi] < RAMACHANDRAN_OUTLIER), known


def d_residues(types, atoms, mask):
    """Which residues are mirrored at C-alpha, and which have a C-beta to tell; bool, (..., N) and (N,).

    L residues have (N - CA) x (C - CA) . (CB - CA) > 0.
    """
    known = present_slots(types)[:, CB] & mask[:, [N, CA, C, CB]].all(1)
    n, c, cb = (atoms[..., slot, :] - atoms[..., CA, :] for slot in (N, C, CB))
    return known & ((np.cross(n, c) * cb).sum(-1) < 0), known


def cis_peptides(types, atoms, mask, connected):
    """Count cis peptide bonds, and all: dict of (int, int), ``cis`` and, before proline, ``cis_proline``."""
    proline = types == PROLINE
    omega = np.abs(backbone_torsions(atoms, mask, connected)[:, 2])
    parts = {"cis": ~proline, "cis_proline": proline}
    return {
        name: (int((omega[part] < np.pi / 2).sum()), int(np.isfinite(omega[part]).sum()))
        for name, part in parts.items()
    }


def cis_figures(types, atoms, reference, mask, connected):
    """Count cis peptide bonds that are wrong and those that are missed, before proline and before others.

    Parameters
    ----------
    types : numpy.ndarray of int, shape (N,)
    atoms, reference : numpy.ndarray, shape (N, 14, 3)
    mask : numpy.ndarray of bool, shape (N, 14)
    connected : numpy.ndarray of bool, shape (N,)

    Returns
    -------
    dict of (int, int)
        ``wrong_cis`` (cis here, trans in the reference) of the trans bonds of the reference, ``missed_cis`` of its cis
        bonds, and both with ``_proline`` for those before proline, not counted in the first.
    """
    proline = types == PROLINE
    omega, wanted = (backbone_torsions(x, mask, connected)[:, 2] for x in (atoms, reference))
    known = np.isfinite(omega) & np.isfinite(wanted)
    cis, wanted = np.abs(omega) < np.pi / 2, np.abs(wanted) < np.pi / 2
    figures = {}
    for suffix, part in (("", known & ~proline), ("_proline", known & proline)):
        figures[f"wrong_cis{suffix}"] = (int((cis & ~wanted & part).sum()), int((~wanted & part).sum()))
        figures[f"missed_cis{suffix}"] = (int((~cis & wanted & part).sum()), int((wanted & part).sum()))
    return figures


def twisted_peptides(atoms, mask, connected):
    """Which peptide bonds are neither cis nor trans within 30 degrees, and which are known; bool, shape (..., N)."""
    omega = np.abs(np.degrees(backbone_torsions(atoms, mask, connected)[..., 2]))
    return (omega > TWISTED) & (omega < 180 - TWISTED), np.isfinite(omega)


def _bonded(connected):
    """Connected to the one before, the first never."""
    bonded = np.array(connected, dtype=bool)
    bonded[:1] = False
    return bonded
