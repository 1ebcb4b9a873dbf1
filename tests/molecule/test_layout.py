import numpy as np
from rdkit import Chem

from openmm_cgvae.molecule.layout import flat_layout, symbol_of


def given(smiles):
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    bonds = np.array([[b.GetBeginAtomIdx(), b.GetEndAtomIdx()] for b in molecule.GetBonds()])
    orders = {
        tuple(sorted(row)): b.GetBondTypeAsDouble() for row, b in zip(bonds.tolist(), molecule.GetBonds(), strict=True)
    }
    return np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()]), bonds, orders


def test_bond_orders_are_perceived_and_hydrogens_left_out():
    numbers, bonds, _ = given("CC(=O)NC")
    heavy, places, orders, charges = flat_layout(numbers, bonds)
    assert numbers[heavy].tolist() == [6, 6, 8, 7, 6] and places.shape == (5, 2)
    assert orders[1, 2] == 2 and sum(orders.values()) == 5
    assert charges == [0] * 5
    apart = [np.linalg.norm(places[i] - places[j]) for i, j in orders]
    assert 1.2 < min(apart) <= max(apart) < 1.8


def test_given_orders_are_kept_also_of_an_ion():
    numbers, bonds, orders = given("CC(=O)[O-]")
    _, _, found, _ = flat_layout(numbers, bonds, orders)
    assert sorted(found.values()) == [1, 1, 2]
    # A charge that was not told leaves single bonds.
    _, _, found, _ = flat_layout(numbers, bonds)
    assert len(found) == 3


def test_aromatic_rings_have_alternating_bonds():
    numbers, bonds, _ = given("c1ccccc1O")
    _, _, orders, _ = flat_layout(numbers, bonds)
    assert sorted(orders.values()) == [1, 1, 1, 1, 2, 2, 2]


def test_symbols():
    assert [symbol_of(n) for n in (1, 6, 17)] == ["H", "C", "Cl"]
