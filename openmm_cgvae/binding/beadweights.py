"""Which beads are used, and the weights of atoms in them."""

import numpy as np

from openmm_cgvae.binding.martini import martini_beads, martini_shares
from openmm_cgvae.chemistry.aminoacids.residues import HEAVY_ATOMS

__all__ = ["bead_weights", "mapping_weights", "used_beads"]

_MASSES = {"C": 12.011, "N": 14.007, "O": 15.999, "S": 32.06}


def used_beads(residues, kinds, version):
    """Return row, residue and role of every bead that is used.

    Parameters
    ----------
    residues : list of BeadResidue
    kinds : list of int
        Amino acid types.
    version : {"ca", "com", "martini3", "martini2", "elnedyn"}
    """
    rows, owner, roles = [], [], []
    for i, (residue, kind) in enumerate(zip(residues, kinds, strict=True)):
        if version in ("ca", "com"):
            rows.append(next(iter(residue.rows.values())))
            names = [version.upper()]
        else:
            names = [name for name in martini_beads(version, kind) if name in residue.rows]
            rows += [residue.rows[name] for name in names]
        owner += [i] * len(names)
        roles += names
    return np.array(rows), np.array(owner), roles


def mapping_weights(kinds, bead_residues, roles, version, starts):
    """Return atom, bead and weight of every element of M, of which those of a bead sum to 1.

    Masses are those of heavy atoms without OXT, for centres of mass of residues too.

    Parameters
    ----------
    kinds : list of int, length n
        Amino acid types.
    bead_residues : numpy.ndarray of int, shape (b,)
    roles : list of str, length b
    version : str
    starts : numpy.ndarray of int, shape (n,)
        First atom of every residue, whose heavy atoms follow in slot order.
    """
    by_type = {}
    for bead, (residue, role) in enumerate(zip(bead_residues, roles, strict=True)):
        by_type.setdefault((kinds[residue], role), []).append(bead)
    atoms, beads, weights = [], [], []
    for (kind, role), members in by_type.items():
        slots, values = bead_weights(kind, role, version)
        origin = starts[bead_residues[members]]
        atoms.append((origin[:, None] + np.array(slots)).ravel())
        beads.append(np.repeat(members, len(slots)))
        weights.append(np.tile(values, len(members)))
    return np.concatenate(atoms), np.concatenate(beads), np.concatenate(weights)


def bead_weights(kind, role, version):
    """Return the slots of the atoms of a bead, and their weights, which sum to 1."""
    names = HEAVY_ATOMS[kind]
    if role == "CA":
        return (names.index("CA"),), np.ones(1)
    if version == "com":
        slots, shares = tuple(range(len(names))), np.ones(len(names))
    else:
        slots, shares = martini_shares(version, kind, role)
    masses = np.array([_MASSES[names[slot][0]] for slot in slots]) * shares
    return slots, masses / masses.sum()
