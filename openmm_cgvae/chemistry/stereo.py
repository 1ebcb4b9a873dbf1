"""Stereo marks of a molecule as plain numbers, which do not depend on the order of its bonds."""

import itertools

__all__ = ["set_stereo_marks", "stereo_marks"]


def stereo_marks(mol):
    """Describe the stereocentres and double bonds of a molecule in JSON types.

    Parameters
    ----------
    mol : rdkit.Chem.Mol

    Returns
    -------
    dict
        ``centres``: a list of [atom, neighbours, turn], turn 1 if neighbours 2, 3, ... go clockwise seen from the
        first, else -1; ``bonds``: a list of [a, i, j, b, "cis" or "trans"], of a and b about the double bond i=j.
        Empty where there are none.
    """
    from rdkit import Chem

    mol = Chem.Mol(mol)
    Chem.AssignStereochemistry(mol, cleanIt=False, force=True)
    centres = []
    for atom in mol.GetAtoms():
        turn = {"CHI_TETRAHEDRAL_CW": 1, "CHI_TETRAHEDRAL_CCW": -1}.get(str(atom.GetChiralTag()))
        if turn is not None:
            centres.append([atom.GetIdx(), _neighbours(atom), turn])
    bonds = []
    for bond in mol.GetBonds():
        side = {"STEREOZ": "cis", "STEREOCIS": "cis", "STEREOE": "trans", "STEREOTRANS": "trans"}.get(
            str(bond.GetStereo())
        )
        if side is not None:
            a, b = bond.GetStereoAtoms()
            bonds.append([a, bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), b, side])
    return {"centres": centres, "bonds": bonds} if centres or bonds else {}


def set_stereo_marks(mol, marks):
    """Give a molecule the marks that `stereo_marks` described; its bonds may be in another order.

    Raises
    ------
    KeyError, TypeError, ValueError, RuntimeError
        If the marks are not of this molecule.
    """
    from rdkit import Chem

    for number, neighbours, turn in marks.get("centres", ()):
        atom = mol.GetAtomWithIdx(number)
        own = _neighbours(atom)
        if sorted(own) != sorted(neighbours):
            raise ValueError(f"atom {number} has neighbours {own}, {neighbours} expected")
        clockwise = turn * _parity([neighbours.index(k) for k in own]) > 0
        atom.SetChiralTag(Chem.ChiralType.CHI_TETRAHEDRAL_CW if clockwise else Chem.ChiralType.CHI_TETRAHEDRAL_CCW)
    for a, i, j, b, side in marks.get("bonds", ()):
        bond = mol.GetBondBetweenAtoms(i, j)
        if bond is None:
            raise ValueError(f"atoms {i} and {j} have no bond")
        bond.SetStereoAtoms(*((a, b) if bond.GetBeginAtomIdx() == i else (b, a)))
        bond.SetStereo(Chem.BondStereo.STEREOCIS if side == "cis" else Chem.BondStereo.STEREOTRANS)
    Chem.AssignStereochemistry(mol, cleanIt=False, force=True)


def _neighbours(atom):
    """Neighbours in the order of the atom's bonds, to which RDKit's marks refer."""
    return [bond.GetOtherAtomIdx(atom.GetIdx()) for bond in atom.GetBonds()]


def _parity(order):
    """1 of an even permutation, -1 of an odd one."""
    return (-1) ** sum(a > b for a, b in itertools.combinations(order, 2))
