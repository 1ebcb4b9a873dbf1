"""Martini beads: which version they are of, and which atoms they stand for.

Bead positions are centres of mass of the heavy atoms in martini.json, which the module `martinidata` measured on pairs
of structures (largest residual 8e-5 nm). See docs/martini.md for hydrogens and the ends of chains.
"""

import json
import logging
from functools import cache
from pathlib import Path

import numpy as np

from openmm_cgvae.chemistry.aminoacids.residues import HEAVY_ATOMS, RESIDUE_NAMES
from openmm_cgvae.core.errors import MappingError, TopologyMismatchError

__all__ = ["MARTINI_ROLES", "martini_beads", "martini_shares", "martini_version", "same_in_both_versions"]

logger = logging.getLogger(__name__)

_SHARES = json.loads(Path(__file__).with_name("martini.json").read_text())
# Names of beads in the order of their types.
MARTINI_ROLES = ("BB", "SC1", "SC2", "SC3", "SC4", "SC5")
# Backbone beads at C-alpha are as far apart as these; centres of backbones have a median of 0.32 to 0.36 nm.
_ELNEDYN = 0.372


@cache
def martini_beads(version, kind):
    """Names of the beads of an amino acid type in a version, backbone first."""
    return tuple(_SHARES["martini2" if version == "elnedyn" else version][RESIDUE_NAMES[kind]])


@cache
def martini_shares(version, kind, bead):
    """Slots of the atoms of a bead and the share of each that belongs to it.

    Parameters
    ----------
    version : {"martini3", "martini2", "elnedyn"}
    kind : int
        Amino acid type.
    bead : str

    Returns
    -------
    slots : tuple of int
    shares : tuple of float
    """
    if version == "elnedyn" and bead == "BB":
        return (HEAVY_ATOMS[kind].index("CA"),), (1.0,)
    shares = _SHARES["martini2" if version == "elnedyn" else version][RESIDUE_NAMES[kind]][bead]
    return tuple(HEAVY_ATOMS[kind].index(name) for name in shares), tuple(shares.values())


def same_in_both_versions(kind):
    """Whether an amino acid has the same beads of the same atoms in Martini 2.2 and 3."""
    name = RESIDUE_NAMES[kind]
    return _SHARES["martini2"][name] == _SHARES["martini3"][name]


def martini_version(residues, kinds, positions, requested=None):
    """Return the version that the beads are of and log how it was told.

    Parameters
    ----------
    residues : list of BeadResidue
    kinds : list of int
        Amino acid types.
    positions : numpy.ndarray, shape (n, 3), or None
        Backbone beads in nm.
    requested : str, optional
        "martini3", "martini2" or "elnedyn": taken if the names agree.

    Returns
    -------
    str
        "martini3", "martini2" or "elnedyn".

    Raises
    ------
    MappingError
        If the names of the beads are of another version than requested.
    TopologyMismatchError
        If a residue has a bead that its version does not have.
    """
    exact = {
        version: sum(set(martini_beads(version, k)) == set(r.rows) for r, k in zip(residues, kinds, strict=True))
        for version in _SHARES
    }
    possible = [version for version, matches in exact.items() if matches == max(exact.values())]
    _check_beads(possible[0], residues, kinds)
    version = possible[0]
    if requested in ("martini2", "elnedyn") and "martini2" in possible:
        return requested
    if requested in ("martini2", "martini3", "elnedyn") and requested not in possible:
        raise MappingError(f'mapping "{requested}" given, the names of the beads are those of {version}')
    if requested == "martini3":
        return requested
    if len(possible) == 2:
        logger.info("the beads are named alike in Martini 2.2 and 3: taken for 3")
    if "martini2" in possible and _at_alpha_carbons(positions):
        version = "elnedyn"
    logger.info("beads of %s", {"martini3": "Martini 3", "martini2": "Martini 2", "elnedyn": "elnedyn"}[version])
    return version


def _check_beads(version, residues, kinds):
    """Refuse beads that the version does not have there; side chains may lack some, as where a structure did."""
    lacking = []
    for residue, kind in zip(residues, kinds, strict=True):
        expected, names = martini_beads(version, kind), residue.rows.keys()
        if not names <= set(expected):
            raise TopologyMismatchError(
                f"{residue.label} has beads {', '.join(names)}; {version}, which most residues agree with, has "
                f"{', '.join(expected)} there"
            )
        if len(names) < len(expected):
            lacking.append(residue.label)
    if lacking:
        logger.warning(
            "%d residues lack side-chain beads, the first is %s: their atoms follow from the other beads",
            len(lacking),
            lacking[0],
        )


def _at_alpha_carbons(positions):
    if positions is None or len(positions) < 3:
        return False
    lengths = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    lengths = lengths[lengths < 0.45]
    return len(lengths) > 1 and float(np.median(lengths)) > _ELNEDYN
