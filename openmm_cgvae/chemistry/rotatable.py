"""Rotatable bonds of a molecule, the rigid fragments between them, and the atoms that each of them turns."""

import numpy as np

__all__ = ["fragment_of_atoms", "moved_atoms", "rigid_fragments", "rotatable_bonds", "torsion_atoms"]

HALOGENS = ("F", "Cl", "Br")


def rotatable_bonds(mol, terminal=False, amides=False):
    """Bonds about which parts of a molecule turn.

    Without the options these are the bonds that RDKit's strict definition counts
    (``rdMolDescriptors.CalcNumRotatableBonds(mol, True)``): single, in no ring, between two atoms that each have
    another heavy neighbour and no triple bond, unless one of them carries three equal halogens or three methyl groups
    (CF3, CCl3, CBr3, tert-butyl: turning them changes nothing but labels), or both belong to an amide-like group: a
    carbon of three neighbours with =O, =N or =S, and a nitrogen, oxygen or sulphur on it. So esters, thioesters,
    carbamates, ureas and amidines count as amides do.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        With or without explicit hydrogens.
    terminal : bool
        End groups too: methyl, OH, NH2 and every other end atom with hydrogens, CF3 and its like, tert-butyl.
    amides : bool
        Bonds of amide-like groups too, which turn between cis and trans.

    Returns
    -------
    numpy.ndarray of int, shape (m, 2)
        Atom indices, each bond once, in the order of the molecule's bonds; the part beyond the second atom has at
        most as many atoms as that beyond the first.
    """
    found = []
    for bond in mol.GetBonds():
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        if bond.IsInRing() or str(bond.GetBondType()) != "SINGLE" or any(_is_linear(atom) for atom in ends):
            continue
        if not all(_turns(atom, terminal) for atom in ends):
            continue
        if not amides and all(_is_amide_like(atom) for atom in ends):
            continue
        found.append(tuple(atom.GetIdx() for atom in ends))
    return _smaller_side_last(mol, found)


def rigid_fragments(mol, terminal=False, amides=False):
    """The atoms that stay together when all rotatable bonds are cut: connected components, hydrogens included.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
    terminal, amides : bool
        See `rotatable_bonds`.

    Returns
    -------
    list of numpy.ndarray of int
        Atom indices of every fragment, sorted; fragments in the order of their first atoms.
    """
    labels = fragment_of_atoms(mol, rotatable_bonds(mol, terminal, amides))
    return [np.flatnonzero(labels == k) for k in range(int(labels.max(initial=-1)) + 1)]


def fragment_of_atoms(mol, bonds):
    """Number of every atom's connected component when `bonds` are cut, in the order of first atoms, shape (n,)."""
    around = _neighbours(mol)
    for i, j in np.asarray(bonds, dtype=np.int64).reshape(-1, 2).tolist():
        around[i].remove(j)
        around[j].remove(i)
    labels, count = np.full(len(around), -1, dtype=np.int64), 0
    for start in range(len(around)):
        if labels[start] < 0:
            labels[_reached(around, start)] = count
            count += 1
    return labels


def moved_atoms(mol, bonds):
    """Which atoms turn about each bond while the others stay.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
    bonds : int array, shape (m, 2)
        In no ring, as of `rotatable_bonds`.

    Returns
    -------
    numpy.ndarray of bool, shape (m, n)
        Atoms on the side of each bond's second atom, that atom included.
    """
    bonds, around = np.asarray(bonds, dtype=np.int64).reshape(-1, 2), _neighbours(mol)
    moved = np.zeros((len(bonds), mol.GetNumAtoms()), dtype=bool)
    for row, (j, k) in zip(moved, bonds.tolist(), strict=True):
        row[_reached(around, k, closed=(j,))] = True
    return moved


def torsion_atoms(mol, bonds):
    """Four atoms whose dihedral angle says how far each bond is turned.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
    bonds : int array, shape (m, 2)

    Returns
    -------
    numpy.ndarray of int, shape (m, 4)
        A neighbour of the first atom, the bond, a neighbour of the second atom: heavy ones where there are any, of
        these the one of lowest canonical rank, so that the choice does not depend on the order of atoms but among
        equivalent ones.
    """
    from rdkit import Chem

    ranks = list(Chem.CanonicalRankAtoms(mol))
    rows = [(_reference(mol, j, k, ranks), j, k, _reference(mol, k, j, ranks)) for j, k in np.asarray(bonds).tolist()]
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def _reference(mol, atom, other, ranks):
    around = [a for a in mol.GetAtomWithIdx(atom).GetNeighbors() if a.GetIdx() != other]
    return min(around, key=lambda a: (a.GetAtomicNum() == 1, ranks[a.GetIdx()])).GetIdx()


def _heavy_neighbours(atom):
    return [a for a in atom.GetNeighbors() if a.GetAtomicNum() != 1]


def _is_linear(atom):
    return any(str(bond.GetBondType()) == "TRIPLE" for bond in atom.GetBonds())


def _turns(atom, terminal):
    """Whether an end of a bond turns something: another heavy atom, or what `terminal` asks for."""
    heavy = _heavy_neighbours(atom)
    if len(heavy) < 2:
        return terminal and atom.GetTotalNumHs(includeNeighbors=True) > 0
    return terminal or not _is_top(atom, heavy)


def _is_top(atom, heavy):
    """Whether a carbon carries three equal halogens or three methyl groups."""
    if atom.GetSymbol() != "C" or atom.GetIsAromatic():
        return False
    ends = [a for a in heavy if len(_heavy_neighbours(a)) == 1]
    kinds = [a.GetSymbol() if a.GetSymbol() in HALOGENS else "CH3" if _is_methyl(a) else "" for a in ends]
    return any(kinds.count(kind) >= 3 for kind in (*HALOGENS, "CH3"))


def _is_methyl(atom):
    return atom.GetSymbol() == "C" and atom.GetTotalNumHs(includeNeighbors=True) == 3


def _is_amide_like(atom):
    """Whether an atom is the carbon, or the nitrogen, oxygen or sulphur, of an amide-like group."""
    if atom.GetSymbol() == "C":
        return any(_is_amide_bond(bond, atom) for bond in atom.GetBonds())
    return any(_is_amide_bond(bond, bond.GetOtherAtom(atom)) for bond in atom.GetBonds())


def _is_amide_bond(bond, carbon):
    """Whether a bond in no ring joins a carbon C(=O), C(=N) or C(=S) of three neighbours to N, O or S."""
    other = bond.GetOtherAtom(carbon)
    if bond.IsInRing() or str(bond.GetBondType()) != "SINGLE" or carbon.GetSymbol() != "C":
        return False
    if carbon.GetIsAromatic() or len(_heavy_neighbours(carbon)) != 3:
        return False
    if not _is_donor(other):
        return False
    doubles = (b.GetOtherAtom(carbon) for b in carbon.GetBonds() if str(b.GetBondType()) == "DOUBLE")
    return any(a.GetSymbol() in ("N", "O", "S") for a in doubles)


def _is_donor(atom):
    """Nitrogen of any kind, oxygen, or sulphur that is no end."""
    symbol = atom.GetSymbol()
    if symbol == "N":
        return True
    if atom.GetIsAromatic():
        return False
    return symbol == "O" or (symbol == "S" and len(_heavy_neighbours(atom)) > 1)


def _smaller_side_last(mol, bonds):
    bonds = np.array(bonds, dtype=np.int64).reshape(-1, 2)
    moved, other = moved_atoms(mol, bonds).sum(1), moved_atoms(mol, bonds[:, ::-1]).sum(1)
    return np.where((moved > other)[:, None], bonds[:, ::-1], bonds)


def _neighbours(mol):
    """Indices of every atom's neighbours, a list of lists."""
    around = [[] for _ in range(mol.GetNumAtoms())]
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        around[i].append(j)
        around[j].append(i)
    return around


def _reached(around, start, closed=()):
    """Atoms that bonds lead to from `start`, itself included, without passing those that are `closed`."""
    seen, waiting = {start, *closed}, [start]
    while waiting:
        for j in around[waiting.pop()]:
            if j not in seen:
                seen.add(j)
                waiting.append(j)
    return sorted(seen - set(closed))
