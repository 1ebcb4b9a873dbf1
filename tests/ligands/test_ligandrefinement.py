"""What refines conformers: its symmetries, what it may not change, and atoms that ride on others."""

import numpy as np
import pytest
import torch
from ligandmodels import DRUG, embedded, positions_of, random_refinement
from rdkit import Chem

from openmm_cgvae.ensembles.binding import ligand_tensors
from openmm_cgvae.ligands.features import ligand_arrays
from openmm_cgvae.ligands.refinement import Refinement
from openmm_cgvae.ligands.refinenet import RefineNetwork

MARKED = "C/C=C/[C@H](N)CC(=O)Nc1ccccc1C"


def refined(mol, positions=None, spread=0.02):
    """Positions before and after, float64 tensors (S, N, 3)."""
    refinement = Refinement(random_refinement(spread=spread)).double()
    tensors = ligand_tensors(mol)
    refinement.take({k: v.double() if v.is_floating_point() else v for k, v in tensors.items()})
    x = torch.as_tensor(positions_of(mol) if positions is None else positions)
    with torch.no_grad():
        return x, refinement(x)


@pytest.fixture(scope="module")
def drug():
    return embedded(DRUG, 3)


def test_rotated_and_mirrored_conformers_have_the_rotated_and_mirrored_result(drug):
    x, found = refined(drug)
    assert (found - x).norm(dim=-1).max() > 0.01
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    for matrix in (turn, -turn):
        _, other = refined(drug, x @ torch.as_tensor(matrix) + 5.0)
        assert torch.allclose(other, found @ torch.as_tensor(matrix) + 5.0, atol=1e-8)


def test_the_result_does_not_depend_on_the_order_of_atoms_or_on_other_samples(drug):
    x, found = refined(drug)
    order = np.random.default_rng(1).permutation(drug.GetNumAtoms()).tolist()
    _, other = refined(Chem.RenumberAtoms(drug, order))
    assert torch.allclose(other, found[:, order], atol=1e-8)
    _, alone = refined(drug, x[1:2])
    assert torch.allclose(alone, found[1:2], atol=1e-8)


def test_a_network_that_nobody_trained_moves_nothing(drug):
    refinement = Refinement(RefineNetwork(16, 12, 1, 2))
    refinement.take(ligand_tensors(drug))
    x = torch.as_tensor(positions_of(drug)).float()
    assert torch.allclose(refinement(x), x, atol=1e-4)


@pytest.mark.parametrize("spread", [0.01, 0.05, 0.5])
def test_stereo_marks_and_bonds_are_kept_whatever_the_weights(spread):
    mol = embedded(MARKED, 8)
    _, found = refined(mol, spread=spread)
    for places in found.numpy():
        other = Chem.Mol(mol)
        other.RemoveAllConformers()
        conformer = Chem.Conformer(len(places))
        conformer.SetPositions(np.ascontiguousarray(places))
        other.AddConformer(conformer)
        Chem.AssignStereochemistryFrom3D(other)
        assert Chem.MolToSmiles(Chem.RemoveHs(other)) == Chem.CanonSmiles(MARKED)
        for bond in mol.GetBonds():
            i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
            before = np.linalg.norm(np.subtract(*positions_of(mol)[:, [i, j]].swapaxes(0, 1)), axis=-1).mean()
            assert abs(np.linalg.norm(places[i] - places[j]) - before) < 0.15 * before


def test_hydrogens_that_are_no_nodes_ride_on_their_carbon(drug):
    x, found = refined(drug)
    nodes = set(ligand_arrays(drug).nodes.tolist())
    riders = [i for i in range(drug.GetNumAtoms()) if i not in nodes]
    assert len(riders) > 10
    for i in riders:
        host = drug.GetAtomWithIdx(i).GetNeighbors()[0].GetIdx()
        lengths = [(y[:, i] - y[:, host]).norm(dim=-1) for y in (x, found)]
        assert torch.allclose(*lengths, atol=1e-8)
        # On the side of the carbon where it was.
        others = [a.GetIdx() for a in drug.GetAtomWithIdx(host).GetNeighbors() if a.GetIdx() in nodes]
        for other in others:
            angles = [torch.cosine_similarity(y[:, i] - y[:, host], y[:, other] - y[:, host], -1) for y in (x, found)]
            assert (angles[0] - angles[1]).abs().max() < 0.35


@pytest.mark.parametrize("smiles", ["C", "CC", "O", "CC#CC"])
def test_the_smallest_molecules_are_refined(smiles):
    x, found = refined(embedded(smiles, 1))
    assert torch.isfinite(found).all()
    assert found.shape == x.shape
