"""Which cysteines are bonded to each other."""

import logging

import numpy as np

from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.molecule.chains import residue_index

__all__ = ["disulfide_pairs"]

logger = logging.getLogger(__name__)

# Crystal structures (8,927 pairs of cysteines, 3,976 bonded): side-chain beads of Martini below 0.33 nm are bonded in
# 98 % of cases and hold 99.7 % of bonds. C-alpha tell less: with them 0.36 to 0.70 nm apart and side chains that point
# at each other (sites 0.24 nm from C-alpha below 0.55 nm), 79 % are bonded, and 86 % of bonds are found.
_SIDE_BEADS = 0.33
_ALPHA = (0.36, 0.70)
_SITES, _SITE_LENGTH = 0.55, 0.24
# Neighbours in the chain are near each other anyway.
_SEPARATION = 3


def disulfide_pairs(residues, cysteines, connected, main, sides, disulfides="auto", bonds=()):
    """Return pairs of residue indices whose sulphurs are bonded, shape (s, 2).

    Parameters
    ----------
    residues : list of BeadResidue
    cysteines : list of int
        Residues that may take part.
    connected : numpy.ndarray of bool, shape (n,)
    main : numpy.ndarray, shape (n, 3), or None
        C-alpha or other main beads in nm.
    sides : numpy.ndarray, shape (n, 3), or None
        Side-chain beads where there are some.
    disulfides : "auto", None or list of pairs
        Listed residues are given by index or as "A:57".
    bonds : iterable of (int, int)
        Bonds between side chains that the topology has; with "auto" they decide, before distances.

    Raises
    ------
    SettingsError
        If a listed residue is no cysteine, or is listed twice.
    """
    if disulfides is None or disulfides == "none":
        return np.zeros((0, 2), dtype=int)
    if not isinstance(disulfides, str):
        return _listed(residues, cysteines, disulfides)
    if disulfides != "auto":
        raise SettingsError(f'disulfides={disulfides!r} given: "auto", None or a list of pairs is expected')
    free = set(cysteines)
    pairs = []
    for i, j in bonds:
        if i in free and j in free:
            pairs.append((i, j))
            free -= {i, j}
    told = len(pairs)
    if main is not None:
        pairs += _by_distance(sorted(free), connected, main, sides)
    if pairs:
        said = ", ".join(f"{residues[i].label} - {residues[j].label}" for i, j in pairs[:6])
        how = "by bonds of the topology" if told else "by distance"
        logger.info("%d disulfide bonds %s: %s%s", len(pairs), how, said, " ..." if len(pairs) > 6 else "")
    elif main is None and len(cysteines) > 1:
        logger.info("%d cysteines and no positions: none of them is taken for bonded", len(cysteines))
    return np.array(sorted(tuple(sorted(p)) for p in pairs), dtype=int).reshape(-1, 2)


def _listed(residues, cysteines, listed):
    pairs = [tuple(sorted(residue_index(residues, which) for which in pair)) for pair in listed]
    flat = [i for pair in pairs for i in pair]
    for i in flat:
        if i not in cysteines:
            raise SettingsError(f"disulfides: {residues[i].label} listed, a cysteine with a free sulphur is expected")
    if len(set(flat)) < len(flat):
        twice = next(i for i in flat if flat.count(i) > 1)
        raise SettingsError(f"disulfides: {residues[twice].label} listed twice; a sulphur has one such bond")
    return np.array(sorted(pairs), dtype=int).reshape(-1, 2)


def _by_distance(cysteines, connected, main, sides):
    """Closest pairs first, each cysteine once."""
    if len(cysteines) < 2:
        return []
    from scipy.spatial import cKDTree

    index = np.array(cysteines)
    part = np.cumsum(~connected)
    if sides is not None:
        points, reach = sides[index], _SIDE_BEADS
    else:
        points, reach = _sites(index, connected, main), _SITES
    candidates = []
    for a, b in cKDTree(points).query_pairs(reach):
        i, j = index[a], index[b]
        if sides is None:
            apart = np.linalg.norm(main[i] - main[j])
            near = part[i] == part[j] and abs(i - j) < _SEPARATION
            if near or not _ALPHA[0] < apart < _ALPHA[1]:
                continue
        candidates.append((np.linalg.norm(points[a] - points[b]), int(i), int(j)))
    pairs, taken = [], set()
    for _, i, j in sorted(candidates):
        if not {i, j} & taken:
            taken |= {i, j}
            pairs.append((i, j))
    return pairs


def _sites(index, connected, main):
    """Where side chains point from C-alpha alone; C-alpha itself at the ends of chains."""
    sites = main[index].copy()
    inner = np.array([0 < i < len(main) - 1 and connected[i] and connected[i + 1] for i in index], dtype=bool)
    i = index[inner]
    before, behind = main[i] - main[i - 1], main[i + 1] - main[i]
    bisector = _unit(_unit(before) - _unit(behind))
    normal = _unit(np.cross(before, behind))
    sites[inner] += _SITE_LENGTH * (0.82 * bisector + 0.57 * normal)
    return sites


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
