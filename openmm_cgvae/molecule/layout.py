"""Molecules laid out flat, to be drawn."""

from contextlib import contextmanager

import numpy as np

__all__ = ["flat_layout", "symbol_of"]


def flat_layout(atomic_numbers, bonds, orders=None):
    """Lay the heavy atoms of a molecule out in two dimensions.

    Parameters
    ----------
    atomic_numbers : numpy.ndarray of int, shape (n,)
        Hydrogens too.
    bonds : numpy.ndarray of int, shape (m, 2)
    orders : dict of (int, int) to int, optional
        Of the bonds; perceived from valences if omitted, for a molecule without net charge.

    Returns
    -------
    heavy : numpy.ndarray of int, shape (h,)
    places : numpy.ndarray, shape (h, 2)
        About 1.5 from an atom to the next.
    orders : dict of (int, int) to float
        Of the bonds between them, by their places in `heavy`.
    charges : list of int
        Formal charges of the heavy atoms.
    None, if RDKit cannot lay the molecule out.
    """
    from rdkit.Chem import rdDepictor

    heavy = np.flatnonzero(np.asarray(atomic_numbers) > 1)
    with _quiet():
        try:
            whole = _molecule(atomic_numbers, bonds, orders)
            bare = _heavy_part(whole, heavy)
            rdDepictor.Compute2DCoords(bare)
        except (ValueError, RuntimeError):
            return None
    found = {(b.GetBeginAtomIdx(), b.GetEndAtomIdx()): b.GetBondTypeAsDouble() for b in bare.GetBonds()}
    charges = [whole.GetAtomWithIdx(int(i)).GetFormalCharge() for i in heavy]
    return heavy, np.array(bare.GetConformer().GetPositions())[:, :2], found, charges


def symbol_of(number):
    """Symbol of an element."""
    from rdkit import Chem

    return Chem.GetPeriodicTable().GetElementSymbol(int(number))


def _molecule(atomic_numbers, bonds, orders):
    """With bond orders, as given or as valences ask; single bonds where they cannot be told."""
    from rdkit import Chem
    from rdkit.Chem import rdDetermineBonds

    molecule = Chem.RWMol()
    for number in atomic_numbers:
        atom = Chem.Atom(int(number))
        atom.SetNoImplicit(True)
        molecule.AddAtom(atom)
    for i, j in np.asarray(bonds).tolist():
        order = 1 if orders is None else orders[min(i, j), max(i, j)]
        molecule.AddBond(i, j, Chem.BondType.values[int(order)])
    if orders is not None:
        return molecule.GetMol()
    perceived = Chem.RWMol(molecule)
    try:
        rdDetermineBonds.DetermineBondOrders(perceived, charge=0, embedChiral=False)
        Chem.Kekulize(perceived, clearAromaticFlags=True)
    except (ValueError, RuntimeError):
        return molecule.GetMol()
    return perceived.GetMol()


def _heavy_part(molecule, heavy):
    from rdkit import Chem

    bare, place = Chem.RWMol(), {}
    for i in heavy.tolist():
        place[i] = bare.AddAtom(Chem.Atom(molecule.GetAtomWithIdx(i).GetAtomicNum()))
    for bond in molecule.GetBonds():
        ends = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if all(end in place for end in ends):
            bare.AddBond(*(place[end] for end in ends), bond.GetBondType())
    bare.UpdatePropertyCache(strict=False)
    return bare.GetMol()


@contextmanager
def _quiet():
    """Without RDKit's messages on what cannot be perceived."""
    from rdkit import RDLogger

    RDLogger.DisableLog("rdApp.*")
    try:
        yield
    finally:
        RDLogger.EnableLog("rdApp.*")
