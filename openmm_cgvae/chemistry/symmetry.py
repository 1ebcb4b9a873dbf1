"""Which relabellings of heavy atoms leave a molecule the same."""

from typing import NamedTuple

import numpy as np

__all__ = ["MOST_SYMMETRIES", "Symmetries", "heavy_symmetries"]

# Of a molecule with more, as many are tried: a cage of CF3 groups has millions, which differ in ends alone.
MOST_SYMMETRIES = 1024
# Ends that a conjugated group makes equivalent, such as the oxygens of a carboxylate or a nitro group.
TERMINAL = ("O", "N")


class Symmetries(NamedTuple):
    """Relabellings of heavy atoms; `atoms[order]` is one molecule for each row `order` of `orders`.

    Parameters
    ----------
    heavy : numpy.ndarray of int, shape (h,)
        Atom indices of the heavy atoms.
    orders : numpy.ndarray of int, shape (s, h)
        Positions in `heavy`; the identity comes first.
    complete : bool
        False if there are more than were asked for.
    """

    heavy: np.ndarray
    orders: np.ndarray
    complete: bool


def heavy_symmetries(mol, most=MOST_SYMMETRIES):
    """Relabellings of the heavy atoms that keep elements and bonds, whatever the bonds' stereo marks.

    As in RDKit's ``GetBestRMS``, ends of a conjugated group (carboxylate, nitro, guanidinium) are equivalent.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        With or without hydrogens; a molecule of hydrogens alone keeps them.
    most : int
        Relabellings to find at most.

    Returns
    -------
    Symmetries
    """
    from rdkit import Chem

    heavy = np.array([atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1], dtype=np.int64)
    if not len(heavy):
        return Symmetries(np.arange(mol.GetNumAtoms()), np.arange(mol.GetNumAtoms())[None], True)
    bare = _symmetrised(Chem.RemoveAllHs(mol, sanitize=False))
    found = bare.GetSubstructMatches(bare, uniquify=False, useChirality=False, maxMatches=most + 1)
    orders = np.array(found[:most], dtype=np.int64).reshape(-1, len(heavy))
    identity = np.arange(len(heavy))
    others = orders[(orders != identity).any(1)]
    return Symmetries(heavy, np.concatenate([identity[None], others])[:most], len(found) <= most)


def _symmetrised(mol):
    """A copy in which the ends of conjugated groups have no charge and single bonds."""
    from rdkit import Chem

    mol = Chem.RWMol(mol)
    for centre in mol.GetAtoms():
        bonds = [
            bond
            for bond in centre.GetBonds()
            if bond.GetOtherAtom(centre).GetSymbol() in TERMINAL and bond.GetOtherAtom(centre).GetDegree() == 1
        ]
        if {"SINGLE", "DOUBLE"} <= {str(bond.GetBondType()) for bond in bonds}:
            for bond in bonds:
                bond.SetBondType(Chem.BondType.SINGLE)
                bond.GetOtherAtom(centre).SetFormalCharge(0)
    return mol
