"""Ends of chains: caps that the beads have, caps and charges that they get."""

import logging

import numpy as np

from openmm_cgvae.chemistry.aminoacids.names import CAP_NAMES
from openmm_cgvae.core.errors import SettingsError

__all__ = ["residue_keys", "without_caps"]

logger = logging.getLogger(__name__)

_TERMINI = ("charged", "neutral", "capped")


def without_caps(everything):
    """Return amino acids, caps by (residue, side) as their name and number, and rows of the beads of caps.

    Parameters
    ----------
    everything : list of BeadResidue
    """
    residues, caps, rows, waiting = [], {}, [], None
    for entry in everything:
        if entry.kind != "cap":
            if waiting is not None and (waiting.chain, waiting.molecule) == (entry.chain, entry.molecule):
                caps[len(residues), "n"] = ("ACE", waiting.number)
            waiting = None
            residues.append(entry)
            continue
        rows += entry.rows.values()
        name = CAP_NAMES[entry.name.upper()]
        if name == "ACE":
            waiting = entry
        elif residues:
            caps[len(residues) - 1, "c"] = (name, entry.number)
    return residues, caps, rows


def residue_keys(residues, variants, connected, known, termini, caps="residues"):
    """Templates of all residues with caps, whether each is bonded to the one before, and ids.

    Parameters
    ----------
    residues : list of BeadResidue
    variants : list of str
    connected : numpy.ndarray of bool, shape (n,)
    known : dict
        Caps of the beads, by residue and side: name and number.
    termini : str or (str, str)
    caps : {"residues", "merged"}

    Returns
    -------
    keys : list of tuple
    bonded : numpy.ndarray of bool
    labels : list of (number, insertion code, chain id, molecule)
    index : list of int
        Place of every amino acid among them.
    """
    start, end = (termini, termini) if isinstance(termini, str) else termini
    for side in (start, end):
        if side not in _TERMINI:
            raise SettingsError(f"termini {side!r} given: one of {', '.join(_TERMINI)} is expected")
    if caps not in ("residues", "merged"):
        raise SettingsError(f'caps={caps!r} given: "residues" or "merged" is expected')
    ends_at = np.append(~connected[1:], True)
    # amber14 has no amino acid with both ends charged; as part of a chain, with caps, it is more like what it was.
    alone = ~connected & ends_at & (caps == "residues" and (start, end) == ("charged", "charged"))
    if alone.any():
        logger.info("%d residues alone, the first is %s, get caps", alone.sum(), residues[int(alone.argmax())].label)
    keys, bonded, labels, index = [], [], [], []
    for i, (residue, variant) in enumerate(zip(residues, variants, strict=True)):
        first, last = not connected[i], ends_at[i]
        before, behind = known.get((i, "n")), known.get((i, "c"))
        if first and not before and (start == "capped" or alone[i]):
            before = ("ACE", residue.number - 1)
        if last and not behind and (end == "capped" or alone[i]):
            behind = ("NME", residue.number + 1)
        if before:
            keys.append(("ACE:PRO" if variant == "PRO" else "ACE",))
            bonded.append(False)
            labels.append((before[1], "", residue.chain, residue.molecule))
        index.append(len(keys))
        n = start if first and not before else "chain"
        c = end if last and not behind else "chain"
        keys.append((variant, n, c))
        bonded.append(not first or before is not None)
        labels.append((residue.number, residue.insertion, residue.chain, residue.molecule))
        if behind:
            keys.append((behind[0],))
            bonded.append(True)
            labels.append((behind[1], "", residue.chain, residue.molecule))
    return keys, np.array(bonded), labels, index
