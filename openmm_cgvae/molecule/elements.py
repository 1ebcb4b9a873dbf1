"""Which element a particle is, where its file does not say: ions by their names, atoms by theirs, beads none."""

import re

__all__ = ["forget_guessed_elements", "ion_element"]

# Names of residues and atoms in amber, charmm, gromacs, martini and the PDB; signs and counts of charge left out.
_NAMES = {
    "Li": "LI LIT", "Na": "NA SOD", "K": "K POT", "Rb": "RB RUB", "Cs": "CS CES", "Mg": "MG", "Ca": "CA CAL",
    "Sr": "SR", "Ba": "BA BAR", "Zn": "ZN ZIN", "Cd": "CD CAD", "Mn": "MN", "Fe": "FE", "Co": "CO", "Ni": "NI",
    "Cu": "CU", "Ag": "AG", "Hg": "HG", "Al": "AL", "F": "F", "Cl": "CL CLA CHL", "Br": "BR", "I": "I IOD",
}  # fmt: skip
_IONS = {name: symbol for symbol, names in _NAMES.items() for name in names.split()}
# Residues that say no more than that they are ions.
_ANY_ION = {"ION", "IONS"}
_BACKBONE = {"N", "CA", "C", "O"}


def ion_element(residue, atom):
    """Return the symbol of the ion that a residue's and an atom's name stand for, or None.

    Parameters
    ----------
    residue, atom : str
        Such as NA and NA, SOD and SOD, ION and CL-, MG2 and MG. An atom called CA is calcium only in a residue of
        ions.
    """
    residue, atom = _bare(residue), _bare(atom)
    if residue not in _IONS and residue not in _ANY_ION:
        return None
    if atom == residue or residue in _ANY_ION:
        return _IONS.get(atom)
    # Another name for the same ion, or one that says nothing of it.
    return _IONS[residue] if _IONS.get(atom) == _IONS[residue] or atom in _ANY_ION else None


def _bare(name):
    """A name without charges: Ca2+ is CA, Cl- is CL, MG2 is MG."""
    return re.sub(r"\d*[+-]*$", "", name.strip().upper())


def forget_guessed_elements(topology, declared=(), beads=()):
    """Give ions their elements, and take those of beads away, that a reader guessed from first letters.

    Elements stay in residues that are all-atom: with hydrogens, or a backbone. A lone O is the oxygen of a water.

    Parameters
    ----------
    topology : mdtraj.Topology
        Changed in place.
    declared : collection of int
        Atoms whose elements the file itself tells; ions by name apart, these stay.
    beads : collection of int
        Of those, particles that the file calls no atoms.
    """
    from mdtraj.core.element import Element, virtual

    beads = set(beads)
    for residue in topology.residues:
        atoms = list(residue.atoms)
        atomistic = any(atom.element.symbol == "H" for atom in atoms) or {a.name for a in atoms} >= _BACKBONE
        for atom in atoms:
            symbol = ion_element(residue.name, atom.name)
            if symbol is not None:
                atom.element = Element.getBySymbol(symbol)
            elif atom.index in beads or not (atom.index in declared or atomistic or _is_water_oxygen(residue, atom)):
                atom.element = virtual


def _is_water_oxygen(residue, atom):
    return residue.is_water and atom.name in ("O", "OW", "OH2")
