"""Residues put together to a molecule: atoms, bonds and placements in one set of arrays, linear in residues."""

from dataclasses import dataclass

import numpy as np

from openmm_cgvae.chemistry.aminoacids.residues import BACKBONE, template

__all__ = ["Placements", "assemble"]

# Preferred torsions of a rotor are 1, 2 or 3: repeated to this many, a column drawn at random is fair.
_WELLS = 6


@dataclass(frozen=True)
class Placements:
    """How atoms that no model places follow from atoms that are there: see `residues.Template` for the frame.

    Rows are sorted by level: references of level 0 are placed by the model, those of level 1 by level 0, and so on.

    Parameters
    ----------
    atoms : numpy.ndarray of int, shape (p,)
    references : numpy.ndarray of int, shape (p, 3)
        Atom indices: origin, and the two others of the frame.
    symmetric : numpy.ndarray of bool, shape (p,)
        Whether x lies between the two references instead of along the first.
    local : numpy.ndarray, shape (p, 3)
        Position in the frame in nm, at rotor angle 0.
    rotor : numpy.ndarray of int, shape (p,)
        Rotor of an atom, -1 for none.
    level : numpy.ndarray of int, shape (p,)
    wells : numpy.ndarray, shape (r, 6)
        Preferred torsions of every rotor in radians, repeated so that all columns are equally likely.
    """

    atoms: np.ndarray
    references: np.ndarray
    symmetric: np.ndarray
    local: np.ndarray
    rotor: np.ndarray
    level: np.ndarray
    wells: np.ndarray

    @property
    def n_rotors(self):
        return len(self.wells)


@dataclass(frozen=True)
class Assembly:
    """Atoms of a chain of templates.

    Parameters
    ----------
    templates : list of Template
        By residue.
    starts : numpy.ndarray of int, shape (n + 1,)
        First atom of every residue, and the number of atoms.
    numbers : numpy.ndarray of int, shape (a,)
        Atomic numbers.
    slots : numpy.ndarray of int, shape (a,)
        Heavy slot of an atom, -1 for what is placed.
    bonds : numpy.ndarray of int, shape (b, 2)
    placements : Placements
    """

    templates: list
    starts: np.ndarray
    numbers: np.ndarray
    slots: np.ndarray
    bonds: np.ndarray
    placements: Placements


def assemble(keys, connected, extra_bonds=()):
    """Return the `Assembly` of residues.

    Parameters
    ----------
    keys : list of tuple
        Arguments of `residues.template` for every residue.
    connected : numpy.ndarray of bool, shape (n,)
        Whether a residue is bonded to the one before.
    extra_bonds : iterable of (int, str, int, str)
        Residue and atom name of both ends of bonds between residues that do not follow each other.
    """
    templates = [template(*key) for key in keys]
    starts = np.concatenate([[0], np.cumsum([t.n_atoms for t in templates])])
    backbone = np.stack([t.backbone for t in templates])
    bonds = [np.concatenate([t.bonds + start for t, start in zip(templates, starts[:-1], strict=True)])]
    after = np.flatnonzero(connected)
    nitrogen, carbonyl = BACKBONE.index("N"), BACKBONE.index("C")
    bonds.append(
        np.stack([starts[after - 1] + backbone[after - 1, carbonyl], starts[after] + backbone[after, nitrogen]], 1)
    )
    for i, first, j, second in extra_bonds:
        ends = [[starts[i] + templates[i].atoms.index(first), starts[j] + templates[j].atoms.index(second)]]
        bonds.append(np.array(ends))
    slots = np.concatenate([t.slots for t in templates])
    return Assembly(
        templates=templates,
        starts=starts,
        numbers=np.concatenate([t.numbers for t in templates]),
        slots=slots,
        bonds=np.concatenate(bonds),
        placements=_placements(templates, starts[:-1], backbone, slots),
    )


def _placements(templates, starts, backbone, slots):
    counts = np.array([len(t.placed) for t in templates])
    owner = np.repeat(np.arange(len(templates)), counts)
    atoms = np.concatenate([t.placed for t in templates]) + starts[owner]
    where = np.concatenate([t.reference_residue for t in templates]) + owner[:, None]
    local_index = np.concatenate([t.reference for t in templates])
    elsewhere = where != owner[:, None]
    within = np.where(elsewhere, 0, local_index)
    across = backbone[where, np.where(elsewhere, local_index, 0)]
    references = starts[where] + np.where(elsewhere, across, within)
    rotors = np.array([len(t.wells) for t in templates])
    first_rotor = np.concatenate([[0], np.cumsum(rotors)])[:-1]
    rotor = np.concatenate([t.rotor for t in templates])
    rotor = np.where(rotor >= 0, rotor + first_rotor[owner], -1)
    wells = [np.resize(w, _WELLS) for t in templates for w in t.wells]
    level = _levels(atoms, references, slots)
    order = np.argsort(level, kind="stable")
    return Placements(
        atoms=atoms[order],
        references=references[order],
        symmetric=np.concatenate([t.symmetric for t in templates])[order],
        local=np.concatenate([t.local for t in templates])[order],
        rotor=rotor[order],
        level=level[order],
        wells=np.array(wells).reshape(-1, _WELLS),
    )


def _levels(atoms, references, slots):
    """Level of every placed atom: one more than the highest of its references, which a model places at -1."""
    level = np.full(len(slots), -1)
    # A cap's hydrogens are the deepest: three levels above what a model places.
    for _ in range(8):
        found = level.copy()
        found[atoms] = level[references].max(axis=1) + 1
        if (found == level).all():
            break
        level = found
    return level[atoms]
