"""Rotatable bonds are RDKit's, fragments are rigid, and turning a bond moves what is said to move."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdMolDescriptors, rdMolTransforms

from openmm_cgvae.chemistry.rotatable import moved_atoms, rigid_fragments, rotatable_bonds, torsion_atoms

# Of every kind that the strict definition knows: end groups, amides, esters, ureas, amidines, alkynes, rings, ions.
SMILES = [
    "CCO", "c1ccccc1", "CCCC", "CC(C)(C)c1ccccc1", "FC(F)(F)CCC(Cl)(Cl)Cl", "CC(=O)NCC(=O)OCC", "CSC(=O)CC(=S)NCC",
    "NC(=O)NCCN", "CC#CCCC#N", "CCC(=[NH2+])NCC", "O=C(O)CCC(=O)[O-]", "CN(C)C(=O)C(=O)NC", "C1CCCCC1C2CC2",
    "O=S(=O)(NCC)c1ccccc1", "C/C=C/CC", "CCNC=O", "OP(=O)(O)OCC", "C[N+](C)(C)CC[O-]", "CC(=O)Oc1ccccc1C(=O)O",
    "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O", "O=C1NC(=O)c2ccccc12", "CC(=O)n1cccc1", "CCC(=O)SCC", "BrC(Br)(Br)C(C)CC",
]  # fmt: skip


def bonded(mol, i, j):
    return mol.GetBondBetweenAtoms(int(i), int(j)) is not None


@pytest.mark.parametrize("smiles", SMILES)
@pytest.mark.parametrize("hydrogens", [False, True])
def test_without_options_as_many_bonds_as_the_strict_definition_counts(smiles, hydrogens):
    mol = Chem.MolFromSmiles(smiles)
    expected = rdMolDescriptors.CalcNumRotatableBonds(mol, rdMolDescriptors.NumRotatableBondsOptions.Strict)
    assert len(rotatable_bonds(Chem.AddHs(mol) if hydrogens else mol)) == expected


def test_options_add_end_groups_and_amides():
    # N-ethylacetamide: of CH3-C(=O)-NH-CH2-CH3 the strict definition has N-CH2 alone.
    mol = Chem.MolFromSmiles("CC(=O)NCC")
    assert rotatable_bonds(mol).tolist() == [[3, 4]]
    assert sorted(map(sorted, rotatable_bonds(mol, amides=True).tolist())) == [[1, 3], [3, 4]]
    assert sorted(map(sorted, rotatable_bonds(mol, terminal=True).tolist())) == [[0, 1], [3, 4], [4, 5]]
    # An end without hydrogens, a halogen or =O, turns nothing.
    assert len(rotatable_bonds(Chem.MolFromSmiles("ClCCBr"), terminal=True)) == 1
    assert len(rotatable_bonds(Chem.MolFromSmiles("FC(F)(F)c1ccccc1"), terminal=True)) == 1


@pytest.mark.parametrize("smiles", SMILES)
def test_fragments_hold_every_atom_once_and_are_connected(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    fragments = rigid_fragments(mol)
    assert sorted(np.concatenate(fragments).tolist()) == list(range(mol.GetNumAtoms()))
    assert [f[0] for f in fragments] == sorted(f[0] for f in fragments)
    assert len(fragments) == len(rotatable_bonds(mol)) + 1
    for fragment in fragments:
        part = Chem.MolFragmentToSmiles(mol, fragment.tolist())
        assert "." not in part
    # A hydrogen stays with its heavy atom.
    labels = {int(i): k for k, fragment in enumerate(fragments) for i in fragment}
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() == 1:
            assert labels[atom.GetIdx()] == labels[atom.GetNeighbors()[0].GetIdx()]


def test_molecules_of_a_mixture_are_fragments_of_their_own():
    assert len(rigid_fragments(Chem.MolFromSmiles("CCO.c1ccccc1.[Na+]"))) == 3
    assert rotatable_bonds(Chem.MolFromSmiles("C")).shape == (0, 2)


@pytest.mark.parametrize("smiles", ["CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O", "CCCCO", "NCC(=O)NCC"])
def test_turning_a_bond_by_the_moved_atoms_is_what_rdkit_does(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=3) == 0
    bonds = rotatable_bonds(mol, terminal=True)
    start = mol.GetConformer().GetPositions()
    for bond, moved, torsion in zip(bonds, moved_atoms(mol, bonds), torsion_atoms(mol, bonds), strict=True):
        assert not moved[bond[0]] and moved[bond[1]] and 2 * moved.sum() <= len(moved)
        assert tuple(torsion[1:3]) == tuple(bond) and bonded(mol, *torsion[:2]) and bonded(mol, *torsion[2:])
        turned = Chem.Mol(mol)
        conformer = turned.GetConformer()
        before = rdMolTransforms.GetDihedralRad(conformer, *map(int, torsion))
        rdMolTransforms.SetDihedralRad(conformer, *map(int, torsion), before + 0.7)
        shift = np.linalg.norm(conformer.GetPositions() - start, axis=1)
        # What moves is on the second atom's side; atoms on the axis stay.
        assert not (shift[~moved] > 1e-6).any() and (shift[moved] > 1e-3).any()


def test_fragments_do_not_depend_on_the_order_of_atoms():
    mol = Chem.AddHs(Chem.MolFromSmiles("CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)NCC"))
    order = np.random.default_rng(0).permutation(mol.GetNumAtoms())
    shuffled = Chem.RenumberAtoms(mol, order.tolist())
    own = {frozenset(f.tolist()) for f in rigid_fragments(mol)}
    assert {frozenset(order[f].tolist()) for f in rigid_fragments(shuffled)} == own
