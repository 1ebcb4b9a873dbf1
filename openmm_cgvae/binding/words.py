"""Options of proteins in words, as a command line has them: ``A:57=HIP,A:60=ASH``."""

import re

from openmm_cgvae.core.errors import SettingsError

__all__ = ["READERS", "ends"]


def _listed(text):
    return [part.strip() for part in text.split(",") if part.strip()]


def _states(text):
    pairs = [part.split("=") for part in _listed(text)]
    if not all(len(pair) == 2 for pair in pairs):
        raise SettingsError(f"--protonation {text} given: residue=state,... is expected, as in A:57=HIP")
    return dict(pairs)


def _pairs(text):
    if text in ("auto", "none"):
        return None if text == "none" else text
    # Residue numbers may be negative.
    pairs = [re.fullmatch(r"(.*?\d[A-Za-z]?)-(.+)", part) for part in _listed(text)]
    if not all(pairs):
        raise SettingsError(f"--disulfides {text} given: auto, none or pairs are expected, as in A:3-A:40")
    return [pair.groups() for pair in pairs]


def ends(text):
    """Read ``--termini``: one state, or a pair of them."""
    ends = _listed(text)
    if len(ends) not in (1, 2):
        raise SettingsError(f"--termini {text} given: charged, neutral or capped, or two of them, are expected")
    return ends[0] if len(ends) == 1 else tuple(ends)


def _residues(text):
    return text if text in ("auto", "none") else _listed(text)


# Option to the function that reads it.
READERS = {"protonation": _states, "disulfides": _pairs, "termini": ends, "breaks": _residues}
