"""What a topology or a mapping in a file may say, checked without OpenMM and mdtraj."""

import math

from openmm_cgvae.core.errors import MappingError, ModelFileError

__all__ = ["check_mapping", "check_topology"]

LONGEST_NAME = 64
LONGEST_SYMBOL = 3


def check_topology(description):
    """Refuse a description that `topology_from_dict` would not read, or read as another one.

    Raises
    ------
    ModelFileError
        Naming the first atom, residue or bond that is wrong.
    """
    try:
        atoms, residues, bonds = (_listed(description[name]) for name in ("atoms", "residues", "bonds"))
        _check_residues(residues)
        _check_atoms(atoms, len(residues))
        _check_bonds(bonds, len(atoms))
    except (KeyError, TypeError, ValueError) as error:
        text = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ModelFileError(f"the stored topology cannot be read ({text}): the file is damaged") from error


def check_mapping(description):
    """Refuse a description that is no `CGMapping.to_dict` (`MappingError`, `ModelFileError` of its topology)."""
    try:
        topology, beads, weights, names = (description[key] for key in ("topology", "beads", "weights", "names"))
        check_topology(topology)
        n_atoms, n_beads = len(topology["atoms"]), len(_listed(beads))
        if sorted(_index(i, n_atoms, "atom") for bead in beads for i in _listed(bead)) != list(range(n_atoms)):
            raise ValueError("its beads do not hold each atom once")
        if len(_listed(weights)) != n_atoms or len(_listed(names)) != n_beads:
            raise ValueError(f"{len(weights)} weights and {len(names)} names for {n_atoms} atoms on {n_beads} beads")
        for name in names:
            _check_name(name, "bead")
        for i, weight in enumerate(weights):
            if type(weight) not in (int, float) or not 0 <= weight < math.inf:
                raise ValueError(f"the weight of atom {i} is {repr(weight)[:40]}")
        if any(not sum(weights[i] for i in bead) > 0 for bead in beads):
            raise ValueError("all weights of a bead are 0")
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        text = f"it has no {error}" if isinstance(error, KeyError) else error
        raise MappingError(f"not a mapping ({text})") from error


def _check_residues(residues):
    last = None
    seen = set()
    for name, number, chain in map(_listed, residues):
        _check_name(name, "residue", empty=True)
        if type(number) not in (int, str) or type(chain) is not int:
            raise ValueError(f"residue {name} has the number {repr(number)[:40]} in chain {repr(chain)[:40]}")
        if chain != last and chain in seen:
            raise ValueError(f"chain {chain} is not in one piece")
        seen.add(chain)
        last = chain


def _check_atoms(atoms, n_residues):
    last = 0
    for i, (name, symbol, residue) in enumerate(map(_listed, atoms)):
        _check_name(name, "atom", empty=True)
        if not isinstance(symbol, str) or len(symbol) > LONGEST_SYMBOL or (symbol and not symbol.isalpha()):
            raise ValueError(f"atom {i} is of element {repr(symbol)[:40]}")
        if _index(residue, n_residues, "residue") < last:
            raise ValueError(f"residue {residue} is not in one piece")
        last = residue


def _check_bonds(bonds, n_atoms):
    for i, j in map(_listed, bonds):
        if _index(i, n_atoms, "atom") == _index(j, n_atoms, "atom"):
            raise ValueError(f"atom {i} is bonded to itself")


def _listed(value):
    if not isinstance(value, list | tuple):
        raise ValueError(f"{str(value)[:40]!r} is no list")
    return value


def _index(value, count, what):
    if type(value) is not int or not 0 <= value < count:
        raise ValueError(f"{what} {repr(value)[:40]} of {count}")
    return value


def _check_name(name, what, empty=False):
    if not isinstance(name, str) or len(name) > LONGEST_NAME or not (name or empty) or not name.isprintable():
        raise ValueError(f"the {what} name {str(name)[:40]!r}")
