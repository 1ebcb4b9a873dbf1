"""Which residues are bonded to the one before: chain ids, chain ends, residue numbers and distances, in that order."""

import itertools
import logging
from collections import Counter

import numpy as np

from openmm_cgvae.core.errors import PositionsError, SettingsError, TopologyMismatchError

__all__ = ["BOND_LENGTHS", "connections", "nearest_image", "residue_index", "whole_chains"]

logger = logging.getLogger(__name__)

# Distance in nm between main beads of bonded residues: expected, and the most that a bond of the force field reaches.
# C-alpha 0.38 (0.29 at cis bonds; CALVADOS reaches 0.46); Martini backbones of k = 1250 spread by 0.045 about 0.35.
BOND_LENGTHS = {"ca": (0.38, 0.47), "com": (0.55, 1.0), "martini": (0.35, 0.5)}
# Below this, residues whose numbers do not follow each other are taken for bonded all the same.
_SURE = {"ca": (0.28, 0.42), "com": (0.0, 0.0), "martini": (0.26, 0.42)}
_WRAPS = (9999, 99999)


def connections(residues, positions, family, breaks="auto"):
    """Return for every residue whether it is bonded to the one before, shape (n,), and log what was decided.

    Parameters
    ----------
    residues : list of BeadResidue
    positions : numpy.ndarray, shape (n, 3), or None
        Main beads in nm.
    family : {"ca", "com", "martini"}
    breaks : "auto", "none" or list
        "none" keeps every chain whole; a list names the residues, by index or as "A:57", that begin a new part.

    Raises
    ------
    PositionsError
        If distances are of another unit.
    TopologyMismatchError
        If residues are out of order.
    """
    n = len(residues)
    lengths = None if positions is None else np.linalg.norm(np.diff(positions, axis=0), axis=1)
    follows = np.array([_follows(a, b) for a, b in itertools.pairwise(residues)], dtype=bool)
    together = np.array([_same_chain(a, b) for a, b in itertools.pairwise(residues)], dtype=bool)
    if lengths is not None:
        _check_unit(lengths[follows & together], family)
    connected = np.zeros(n, dtype=bool)
    if breaks == "none":
        connected[1:] = together
    elif breaks == "auto":
        _check_order(residues, positions, lengths, family)
        connected[1:] = together & _bonded(follows, lengths, family)
        _warn_of_breaks(residues, np.flatnonzero(together & ~connected[1:]))
    elif isinstance(breaks, str):
        raise SettingsError(f'breaks={breaks!r} given: "auto", "none" or a list of residues is expected')
    else:
        connected[1:] = together
        connected[[residue_index(residues, which) for which in breaks]] = False
    _log(residues, follows, together, lengths, connected, family)
    return connected


def whole_chains(positions, residues, box):
    """Main beads (n, 3) with every chain in one piece where a periodic box (3, 3) had broken it."""
    if box is None:
        return positions
    steps = nearest_image(np.diff(positions, axis=0), box)
    together = np.array([_same_chain(a, b) for a, b in itertools.pairwise(residues)], dtype=bool)
    steps = np.where(together[:, None], steps, np.diff(positions, axis=0))
    return positions[0] + np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])


def nearest_image(vectors, box):
    """Vectors (n, 3) by way of the nearest image in a reduced box (3, 3)."""
    for row in (2, 1, 0):
        vectors = vectors - np.round(vectors[:, row : row + 1] / box[row, row]) * box[row]
    return vectors


def residue_index(residues, which):
    """Index of a residue given by index or as "A:57", "A:57B" (insertion code) or "57".

    Raises
    ------
    SettingsError
        If there is no such residue, or more than one.
    """
    if isinstance(which, (int, np.integer)) and 0 <= which < len(residues):
        return int(which)
    chain, _, number = str(which).rpartition(":")
    found = [
        i for i, r in enumerate(residues) if f"{r.number}{r.insertion}" == number and (not chain or r.chain == chain)
    ]
    if len(found) != 1 or isinstance(which, (int, np.integer)):
        raise SettingsError(
            f"residue {which!r} given: {len(found) or 'none'} of {len(residues)} residues is so named; an index from "
            '0 or chain and number as in "A:57" is expected'
        )
    return found[0]


def _same_chain(a, b):
    return a.chain == b.chain and a.molecule == b.molecule


def _follows(a, b):
    """Whether a residue's number follows that of the one before: by one, by insertion code, or after a wrap."""
    if b.number == a.number:
        return b.insertion != a.insertion
    return b.number == a.number + 1 or (a.number in _WRAPS and b.number in (0, 1))


def _bonded(follows, lengths, family):
    if lengths is None:
        return follows
    low, high = _SURE[family]
    sure = (lengths > low) & (lengths < high)
    return np.where(follows, lengths <= BOND_LENGTHS[family][1], sure)


def _check_unit(lengths, family):
    if len(lengths) == 0:
        return
    (expected, most), found = BOND_LENGTHS[family], float(np.median(lengths))
    for factor, unit in ((10.0, "Angstrom"), (0.1, "a tenth of nm")):
        if 0.7 < found / (expected * factor) < 1.5:
            raise PositionsError(
                f"neighbouring beads are {found:.3g} nm apart, {expected} nm is expected: positions look like "
                f"{unit}; give them in nm"
            )
    if not 0.5 * expected < found < most:
        raise PositionsError(
            f"neighbouring beads are {found:.3g} nm apart, {expected} nm is expected: these are no positions of such "
            "beads, or not in the order of the topology, or of a molecule broken over a periodic box"
        )


def _check_order(residues, positions, lengths, family):
    """Refuse a chain whose numbers go up and down, unless distances say that the order of the beads is right."""
    start = 0
    for end in range(1, len(residues) + 1):
        if end < len(residues) and _same_chain(residues[end - 1], residues[end]):
            continue
        numbers = np.array([r.number for r in residues[start:end]])
        steps = np.diff(numbers)
        down = np.flatnonzero(steps < 0)
        # A number that comes again is that of another copy or of a wrap.
        once = len(set(zip(numbers, (r.insertion for r in residues[start:end]), strict=True))) == len(numbers)
        if len(down) and once and not _order_is_right(down + start, lengths, positions, numbers, start, family):
            a, b = residues[start + down[0]], residues[start + down[0] + 1]
            raise TopologyMismatchError(
                f"residues are out of order: {b.label} comes behind {a.label}; residues along the chain are expected, "
                "or TER or another chain id where a new chain starts"
            )
        start = end


def _order_is_right(down, lengths, positions, numbers, start, family):
    if lengths is None:
        return False
    most = BOND_LENGTHS[family][1]
    if (lengths[down] <= most).all():
        return True
    # Sorted by number, would more neighbours be bonded?
    order = np.argsort(numbers, kind="stable") + start
    by_number = np.linalg.norm(np.diff(positions[order], axis=0), axis=1)
    return (by_number <= most).sum() <= (lengths[start : start + len(numbers) - 1] <= most).sum()


def _warn_of_breaks(residues, before):
    """Tell of breaks that chain ids do not say: a missing bead leaves two chains, with ends of their own."""
    if len(before):
        a, b = residues[before[0]], residues[before[0] + 1]
        more = f", and {len(before) - 1} more" if len(before) > 1 else ""
        logger.warning(
            "no bond from %s to %s%s: each part has ends of its own; give the beads that are missing, or say where "
            "chains break by breaks (--breaks, none for nowhere)", a.label, b.label, more
        )  # fmt: skip


def _log(residues, follows, together, lengths, connected, family):
    reasons = Counter()
    for i, bonded in enumerate(connected[1:]):
        if bonded and not follows[i]:
            reasons["residue numbers that do not follow each other, bonded by distance"] += 1
        elif not bonded and not together[i]:
            reasons["chain ends"] += 1
        elif not bonded and follows[i] and lengths is not None and lengths[i] > BOND_LENGTHS[family][1]:
            reasons["breaks by distance"] += 1
        elif not bonded:
            reasons["breaks by residue number"] += 1
    said = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "no break"
    parts = int((~connected).sum())
    logger.info("%d residues in %d part%s: %s", len(residues), parts, "s" if parts != 1 else "", said)
