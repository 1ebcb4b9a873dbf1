"""Atoms of different residues too near to each other, and bonds that pass through rings."""

import numpy as np

from openmm_cgvae.chemistry.aminoacids.residues import N_SLOTS
from openmm_cgvae.metrics.residueshapes import SULFUR, C, N, residue_shapes

__all__ = ["OVERLAPS", "atom_contacts", "overlap_figures", "pierced_rings"]

OVERLAPS = (2.6, 2.0, 1.2)
# Pairs up to so many bonds apart are no contact.
BONDED = 3
# Centres of a ring and of a bond through it are nearer than this, Angstrom.
NEAR_RING = 2.5


def atom_contacts(types, atoms, mask, connected, cutoff, disulfides=()):
    """Find pairs of heavy atoms of different residues nearer than a cutoff and more than three bonds apart.

    Parameters
    ----------
    types : numpy.ndarray of int, shape (N,)
    atoms : numpy.ndarray, shape (N, 14, 3)
    mask : numpy.ndarray of bool, shape (N, 14)
    connected : numpy.ndarray of bool, shape (N,)
        Whether a residue is bonded to the one before.
    cutoff : float
        In the unit of `atoms`.
    disulfides : array_like of int, shape (d, 2), optional
        Residues with bonded sulfur atoms.

    Returns
    -------
    residues, slots : numpy.ndarray of int, shape (p, 2)
        First residue before the second.
    distances : numpy.ndarray, shape (p,)
    """
    from scipy.spatial import cKDTree

    shapes = residue_shapes()
    residue, slot = np.nonzero(mask)
    points = atoms[residue, slot]
    pairs = cKDTree(points).query_pairs(cutoff, output_type="ndarray")
    pairs = np.sort(pairs[residue[pairs[:, 0]] != residue[pairs[:, 1]]], axis=1)
    residues, slots = residue[pairs], slot[pairs]
    separation = np.full(len(pairs), 99)
    next_to = (residues[:, 1] == residues[:, 0] + 1) & np.asarray(connected, dtype=bool)[residues[:, 1]]
    separation[next_to] = _over_peptide(types[residues[next_to]], slots[next_to])
    bonded = np.sort(np.asarray(disulfides, dtype=np.int64).reshape(-1, 2), axis=1) @ (len(types), 1)
    bridged = np.isin(residues @ (len(types), 1), bonded)
    to_sulfur = shapes.separations[types[residues[bridged]], slots[bridged], SULFUR].sum(1)
    separation[bridged] = np.minimum(separation[bridged], to_sulfur + 1)
    free = separation > BONDED
    pairs = pairs[free]
    return residues[free], slots[free], np.sqrt(np.square(points[pairs[:, 0]] - points[pairs[:, 1]]).sum(1))


def overlap_figures(types, atoms, mask, connected, disulfides=()):
    """Count contacts below 2.6 and 2.0 Angstrom, and residues with a contact below 1.2.

    Parameters
    ----------
    types, atoms, mask, connected, disulfides
        As in `atom_contacts`, Angstrom.

    Returns
    -------
    dict of (int, int)
        ``contacts_2.6``, ``contacts_2.0`` and the number of atoms; ``clashing_residues`` and that of residues.
        FlowBack counts these residues too, but of neighbours in the chain side chains only.
    """
    residues, _, apart = atom_contacts(types, atoms, mask, connected, max(OVERLAPS), disulfides)
    atoms_there = int(np.count_nonzero(mask))
    figures = {f"contacts_{limit}": (int((apart < limit).sum()), atoms_there) for limit in OVERLAPS[:2]}
    return figures | {"clashing_residues": (len(np.unique(residues[apart < OVERLAPS[2]])), len(types))}


def pierced_rings(types, atoms, mask, connected, disulfides=()):
    """Find bonds that pass through a ring of another residue or of their own.

    Parameters
    ----------
    types, atoms, mask, connected, disulfides
        As in `atom_contacts`, Angstrom.

    Returns
    -------
    numpy.ndarray of int, shape (p, 2)
        Residue of the ring and residue of the bond, once for each such pair of ring and bond.
    """
    from scipy.spatial import cKDTree

    shapes = residue_shapes()
    index = np.arange(len(types) * N_SLOTS).reshape(-1, N_SLOTS)
    points, bonds = atoms.reshape(-1, 3), _bonds(types, mask, connected, disulfides, index)
    tree = cKDTree(points[bonds].mean(1))
    found = []
    for kind, ring in shapes.rings:
        rows = index[(types == kind) & mask[:, ring].all(1)][:, ring]
        if not len(rows):
            continue
        near = tree.query_ball_point(points[rows].mean(1), NEAR_RING)
        which = np.repeat(np.arange(len(rows)), [len(part) for part in near])
        candidates = bonds[np.concatenate([np.asarray(part, dtype=np.int64) for part in near])]
        apart = ~(candidates[:, :, None] == rows[which][:, None]).any((1, 2))
        which, candidates = which[apart], candidates[apart]
        through = _crosses(points[rows[which]], points[candidates])
        found.append(np.stack([rows[which][through, 0], candidates[through, 0]], axis=1) // N_SLOTS)
    return np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64)


def _over_peptide(types, slots):
    """Bonds between atoms of two residues of which the second follows the first; (p,)."""
    separations = residue_shapes().separations
    return separations[types[:, 0], slots[:, 0], C] + 1 + separations[types[:, 1], N, slots[:, 1]]


def _bonds(types, mask, connected, disulfides, index):
    """All bonds as rows of flat atom numbers."""
    slots = residue_shapes().bonds[types]
    inside = index[np.arange(len(types))[:, None, None], np.maximum(slots, 0)][(slots >= 0).all(-1)]
    after = np.flatnonzero(connected)
    after = after[after > 0]
    peptides = np.stack([index[after - 1, C], index[after, N]], axis=1)
    sulfurs = index[np.asarray(disulfides, dtype=np.int64).reshape(-1, 2), SULFUR]
    bonds = np.concatenate([inside, peptides, sulfurs])
    return bonds[mask.ravel()[bonds].all(1)]


def _crosses(rings, bonds):
    """Whether the segments (p, 2, 3) pass through the polygons (p, k, 3), taken as triangles around their centres."""
    start, along = bonds[:, None, 0], bonds[:, None, 1] - bonds[:, None, 0]
    centre = rings.mean(1, keepdims=True)
    u, v = rings - centre, np.roll(rings, -1, axis=1) - centre
    # Moeller and Trumbore, J. Graph. Tools 2, 21 (1997): start + t along = centre + a u + b v.
    normal = np.cross(along, v)
    determinant = (u * normal).sum(-1)
    safe = np.where(np.abs(determinant) < 1e-12, np.inf, determinant)
    away = np.broadcast_to(start - centre, u.shape)
    turned = np.cross(away, u)
    a, b, t = (away * normal).sum(-1) / safe, (along * turned).sum(-1) / safe, (v * turned).sum(-1) / safe
    return ((a >= 0) & (b >= 0) & (a + b <= 1) & (t > 0) & (t < 1) & np.isfinite(safe)).any(1)
