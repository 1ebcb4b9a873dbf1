"""Bonds and angles of proteins against those of crystals, stereocentres of side chains, disulfide bonds."""

import numpy as np

from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS, stereo_slots
from openmm_cgvae.metrics.residueshapes import CA, CB, CYSTEINE, PROLINE, SULFUR, C, N, O, pick, residue_shapes
from openmm_cgvae.metrics.vectors import angle, distance

__all__ = ["disulfides", "good_angles", "good_bonds", "wrong_side_chain_centres"]

TOLERANCE = 0.1
SIGMAS = 4.0
# S-S distances that are taken for a bond, Angstrom.
DISULFIDES = (1.8, 2.5)


def good_bonds(types, atoms, mask, connected, backbone=False):
    """Tell which bonds have a length within 10 % of the mean of crystals.

    Parameters
    ----------
    types : numpy.ndarray of int, shape (N,)
    atoms : numpy.ndarray, shape (..., N, 14, 3)
        Angstrom.
    mask : numpy.ndarray of bool, shape (N, 14)
    connected : numpy.ndarray of bool, shape (N,)
        Whether a residue is bonded to the one before.
    backbone : bool, optional
        Only N-CA, CA-C, C-O and the peptide bonds.

    Returns
    -------
    good : numpy.ndarray of bool, shape (..., N, b + 1)
        The bonds within each residue, and that to the residue before.
    known : numpy.ndarray of bool, shape (N, b + 1)
    """
    shapes = residue_shapes()
    slots = shapes.bonds[types]
    known = _there(slots, mask)
    if backbone:
        known &= (slots < CB).all(-1)
    ends = pick(atoms, np.maximum(slots, 0))
    ratios = distance(ends[..., 0, :], ends[..., 1, :]) / shapes.bond_lengths[types]
    proline = (types == PROLINE).astype(int)
    links = distance(np.roll(atoms[..., C, :], 1, axis=-2), atoms[..., N, :]) / shapes.peptide_lengths[proline]
    linked = _linked(mask, connected, [C], [N])
    good = np.abs(np.concatenate([ratios, links[..., None]], axis=-1) - 1) <= TOLERANCE
    return good, np.concatenate([known, linked[:, None]], axis=-1)


def good_angles(types, atoms, mask, connected):
    """Tell which angles are within 4 standard deviations of the mean of crystals.

    Parameters
    ----------
    types, atoms, mask, connected
        As in `good_bonds`.

    Returns
    -------
    good : numpy.ndarray of bool, shape (..., N, a + 3)
        The angles within each residue, and three over the peptide bond to the residue before.
    known : numpy.ndarray of bool, shape (N, a + 3)
    """
    shapes = residue_shapes()
    slots = shapes.angles[types]
    known = _there(slots, mask)
    points = pick(atoms, np.maximum(slots, 0))
    inside = np.degrees(angle(*(points[..., k, :] for k in range(3))))
    before = np.roll(atoms, 1, axis=-3)
    rows = (
        (before[..., CA, :], before[..., C, :], atoms[..., N, :]),
        (before[..., O, :], before[..., C, :], atoms[..., N, :]),
        (before[..., C, :], atoms[..., N, :], atoms[..., CA, :]),
    )
    links = np.degrees(np.stack([angle(*row) for row in rows], axis=-1))
    proline = (types == PROLINE).astype(int)
    off = np.concatenate(
        [
            (inside - shapes.angle_means[types]) / shapes.angle_spreads[types],
            (links - shapes.link_means[proline]) / shapes.link_spreads[proline],
        ],
        axis=-1,
    )
    linked = [_linked(mask, connected, *part) for part in (([CA, C], [N]), ([O, C], [N]), ([C], [N, CA]))]
    return np.abs(off) <= SIGMAS, np.concatenate([known, np.stack(linked, axis=-1)], axis=-1)


def wrong_side_chain_centres(types, atoms, mask):
    """Which isoleucines and threonines are mirrored at C-beta, and which are known; bool, shapes (..., N) and (N,)."""
    rows = np.full((len(AMINO_ACIDS), 4), -1)
    for kind, *slots in stereo_slots():
        if slots[0] == CB:
            rows[kind] = slots
    slots = np.maximum(rows[types], 0)
    known = (rows[types, 0] == CB) & np.take_along_axis(mask, slots, axis=1).all(1)
    points = pick(atoms, slots)
    a, b, c = (points[..., k, :] - points[..., 0, :] for k in (1, 2, 3))
    return known & ((np.cross(a, b) * c).sum(-1) < 0), known


def disulfides(types, atoms, mask):
    """Find the disulfide bonds of a structure.

    Parameters
    ----------
    types : numpy.ndarray of int, shape (N,)
    atoms : numpy.ndarray, shape (N, 14, 3)
        Angstrom.
    mask : numpy.ndarray of bool, shape (N, 14)

    Returns
    -------
    numpy.ndarray of int, shape (d, 2)
        Residues whose sulfur atoms are each other's nearest, 1.8 to 2.5 Angstrom apart.
    """
    from scipy.spatial import cKDTree

    cysteines = np.flatnonzero((types == CYSTEINE) & mask[:, SULFUR])
    if len(cysteines) < 2:
        return np.empty((0, 2), dtype=np.int64)
    points = atoms[cysteines, SULFUR]
    apart, nearest = (column[:, 1] for column in cKDTree(points).query(points, k=2))
    chosen = (nearest[nearest] == np.arange(len(nearest))) & (apart >= DISULFIDES[0]) & (apart < DISULFIDES[1])
    pairs = np.stack([cysteines, cysteines[nearest]], axis=1)[chosen]
    return pairs[pairs[:, 0] < pairs[:, 1]]


def _there(slots, mask):
    """Which rows of slots (N, r, k) a type has and the mask holds; (N, r)."""
    return (slots >= 0).all(-1) & mask[np.arange(len(slots))[:, None, None], np.maximum(slots, 0)].all(-1)


def _linked(mask, connected, before, here):
    """Residues bonded to the one before, these slots being there in both; (N,)."""
    linked = np.array(connected, dtype=bool) & np.roll(mask[:, before].all(1), 1) & mask[:, here].all(1)
    linked[:1] = False
    return linked
