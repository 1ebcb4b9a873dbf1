"""Which cysteines are bonded to each other."""

import logging

import numpy as np

from openmm_cgvae.binding.chains import residue_index
from openmm_cgvae.core.errors import SettingsError

__all__ = ["disulfide_pairs"]

logger = logging.getLogger(__name__)

# Crystal structures (8,927 pairs of cysteines, 3,976 bonded): side-chain beads of Martini below 0.33 nm are bonded in
# 98 % of cases and hold 99.7 % of bonds. From C-alpha, C-beta are put where they are on average; pairs of these 0.28 to
# 0.46 nm apart, closest to 0.38 nm first, are bonded in 91 % of cases and hold 93 % of bonds.
_SIDE_BEADS = 0.33
_ALPHA = (0.38, 0.70)
_BETA = (0.28, 0.46)
_BETA_MEAN = 0.38
# Mean C-beta in nm along the bisector of the C-alpha trace, its normal, and their cross product.
_BETA_PLACE = (0.1212, -0.0845, -0.0131)
# Centres of mass of residues: 88 % and 95 %.
_CENTRES = (0.36, 0.54)
_CENTRES_MEAN = 0.475
# Neighbours in the chain are near each other anyway.
_SEPARATION = 3


def disulfide_pairs(residues, cysteines, connected, main, sides, family, disulfides="auto", bonds=()):
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
    family : {"ca", "com", "martini"}
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
        pairs += _by_distance(sorted(free), connected, main, sides, family)
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


def _by_distance(cysteines, connected, main, sides, family):
    """Closest pairs first, each cysteine once."""
    if len(cysteines) < 2:
        return []
    from scipy.spatial import cKDTree

    index = np.array(cysteines)
    part = np.cumsum(~connected)
    if sides is not None:
        points, low, reach, ideal = sides[index], 0.0, _SIDE_BEADS, 0.0
    elif family == "com":
        points, (low, reach), ideal = main[index], _CENTRES, _CENTRES_MEAN
    else:
        points, (low, reach), ideal = _betas(index, connected, main), _BETA, _BETA_MEAN
    candidates = []
    for a, b in cKDTree(points).query_pairs(reach):
        i, j = int(index[a]), int(index[b])
        distance = np.linalg.norm(points[a] - points[b])
        if sides is None:
            near = part[i] == part[j] and abs(i - j) < _SEPARATION
            if near or distance < low:
                continue
        if family == "ca" and not _ALPHA[0] < np.linalg.norm(main[i] - main[j]) < _ALPHA[1]:
            continue
        candidates.append((abs(distance - ideal), i, j))
    pairs, taken = [], set()
    for _, i, j in sorted(candidates):
        if not {i, j} & taken:
            taken |= {i, j}
            pairs.append((i, j))
    return pairs


def _betas(index, connected, main):
    """C-beta from the C-alpha trace; at the ends of chains C-alpha itself."""
    betas = main[index].copy()
    inner = np.array([0 < i < len(main) - 1 and connected[i] and connected[i + 1] for i in index], dtype=bool)
    i = index[inner]
    before, behind = main[i] - main[i - 1], main[i + 1] - main[i]
    bisector = _unit(_unit(before) - _unit(behind))
    normal = _unit(np.cross(before, behind))
    for part, axis in zip(_BETA_PLACE, (bisector, normal, np.cross(bisector, normal)), strict=True):
        betas[inner] += part * axis
    return betas


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
