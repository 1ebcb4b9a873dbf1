"""Bounds from approximate conformers bring broken structures back, and leave sound ones alone."""

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers, rdMolTransforms

from openmm_cgvae.ligands.chemicalbounds import ChemicalBounds

STEREO = r"C/C=C\C[C@H](O)[C@@H](N)c1ccc(Cl)cc1"


def molecule(smiles, n=4):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMultipleConfs(mol, n, randomSeed=7)
    return mol


def positions(mol):
    return torch.tensor(np.array([c.GetPositions() for c in mol.GetConformers()]))


def perceived(mol, x):
    """SMILES of a structure by its geometry alone."""
    built = Chem.Mol(mol)
    built.RemoveAllConformers()
    conformer = Chem.Conformer(len(x))
    conformer.SetPositions(np.asarray(x, dtype=np.float64))
    built.AddConformer(conformer)
    Chem.AssignStereochemistryFrom3D(built)
    return Chem.MolToSmiles(built)


@pytest.mark.parametrize("smiles", [STEREO, "C1CCCCC1CO", "C[C@H]1CC[C@@H](C)C1", "CCO", "c1ccccc1", "C"])
def test_approximate_conformers_are_inside(smiles):
    mol = molecule(smiles)
    x = positions(mol)
    assert torch.equal(ChemicalBounds(mol)(x), x)


def test_minimised_conformers_hardly_move():
    mol = molecule(STEREO)
    bounds = ChemicalBounds(mol)
    rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol)
    x = positions(mol)
    assert (bounds(x) - x).square().sum(-1).mean().sqrt() < 0.1


def test_noise_is_undone_with_every_stereo_mark_as_it_was():
    mol = molecule(STEREO)
    bounds, x = ChemicalBounds(mol), positions(mol)
    noisy = x + 0.35 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    mended = bounds(noisy)
    wrong = [perceived(mol, y) != Chem.MolToSmiles(mol) for y in noisy]
    assert any(wrong)
    assert [perceived(mol, y) for y in mended] == [Chem.MolToSmiles(mol)] * len(mended)
    assert (
        bounds.length_errors(bounds.lengths(mended)).abs().max()
        < 0.05
        < bounds.length_errors(bounds.lengths(noisy)).abs().max()
    )


def test_single_bonds_turn_freely():
    mol = molecule("CCCC", 1)
    bounds, x = ChemicalBounds(mol), positions(mol)
    moved = []
    for angle in (60.0, 180.0, -60.0):
        turned = Chem.Mol(mol)
        rdMolTransforms.SetDihedralDeg(turned.GetConformer(), 0, 1, 2, 3, angle)
        y = positions(turned)
        moved.append((y - x).abs().max() > 0.5)
        assert (bounds(y) - y).abs().max() < 0.05
    # It may have been at one of them.
    assert sum(moved) >= 2


def test_atoms_on_top_of_each_other_are_parted():
    mol = molecule("OCCCCCO", 8)
    bounds, x = ChemicalBounds(mol), positions(mol)
    near = x.clone()
    # The two ends meet.
    near[:, 6] = near[:, 0] + 0.5
    apart = (bounds(near)[:, 6] - bounds(near)[:, 0]).norm(dim=-1)
    assert apart.min() > 2.0
