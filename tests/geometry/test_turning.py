"""Turning about bonds, the energy of what turns, and the fit to beads."""

import numpy as np
import pytest
import torch
from ligandmodels import DRUG, embedded, positions_of
from rdkit import Chem

from openmm_cgvae.ensembles.binding import ligand_tensors, token_colours
from openmm_cgvae.ensembles.forcefield import energies_kj
from openmm_cgvae.geometry.beadfit import BeadFit, best_rotation, rotation_of
from openmm_cgvae.geometry.turning import turned_by_all
from openmm_cgvae.ligands.features import ligand_arrays
from openmm_cgvae.ligands.sampler import LigandSampler
from openmm_cgvae.ligands.torsionnet import LigandNetwork


@pytest.fixture(scope="module")
def drug():
    return embedded(DRUG)


@pytest.fixture(scope="module")
def arrays(drug):
    return ligand_arrays(drug)


def turned(drug, arrays, angles):
    x = torch.as_tensor(positions_of(drug))
    return turned_by_all(x, torch.as_tensor(arrays.token_bonds), torch.as_tensor(arrays.moved), angles)


def test_every_torsion_turns_by_its_angle_and_nothing_else_changes(drug, arrays):
    angles = torch.linspace(-3, 3, 2 * arrays.n_tokens, dtype=torch.float64).reshape(-1, 2)
    found = turned(drug, arrays, angles).numpy()
    before, after = arrays.angles(positions_of(drug)), arrays.angles(found)
    expected = before + np.concatenate([angles.numpy(), np.zeros((1, 2))])[arrays.token]
    assert np.abs(np.exp(1j * after) - np.exp(1j * expected)).max() < 1e-6
    # Distances up to two bonds stay: bond lengths and angles, and with these handedness.
    near = np.argwhere(Chem.GetDistanceMatrix(drug) <= 2)
    for x, y in zip(positions_of(drug), found, strict=True):
        lengths = (np.linalg.norm(p[near[:, 0]] - p[near[:, 1]], axis=1) for p in (x, y))
        assert np.abs(np.subtract(*lengths)).max() < 1e-6
    assert (arrays.handed(found) == arrays.handed(positions_of(drug))).all()


def test_energies_of_turned_conformers_are_those_of_mmff(drug, arrays):
    sampler = LigandSampler(LigandNetwork())
    sampler.take(ligand_tensors(drug, arrays))
    # A few degrees, so that nothing runs into anything.
    angles = 0.1 * torch.randn(arrays.n_tokens, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = turned(drug, arrays, angles)
    torsions = torch.as_tensor(arrays.angles(positions_of(drug))[arrays.first]) + angles
    found = sampler.energy(x.float(), torsions.float(), torch.arange(2)).numpy()
    made = Chem.Mol(drug)
    for conformer, places in zip(made.GetConformers(), x.numpy(), strict=True):
        conformer.SetPositions(places)
    expected = energies_kj(made)
    assert found[1] - found[0] == pytest.approx(expected[1] - expected[0], abs=0.05)


def test_a_bond_shares_no_atom_with_another_of_its_colour(arrays):
    colours = token_colours(arrays.token_bonds)
    for colour in range(colours.max() + 1):
        atoms = arrays.token_bonds[colours == colour].ravel().tolist()
        assert len(set(atoms)) == len(atoms)


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_the_best_rotation_brings_points_onto_turned_ones(count):
    generator = torch.Generator().manual_seed(count)
    points = torch.randn(5, count, 3, generator=generator, dtype=torch.float64)
    points = points - points.mean(1, keepdim=True)
    rotation = rotation_of(torch.randn(5, 4, generator=generator, dtype=torch.float64))
    targets = torch.matmul(points, rotation.transpose(1, 2))
    found = best_rotation(points, targets)
    assert torch.allclose(torch.linalg.det(found), torch.ones(5, dtype=torch.float64))
    assert torch.allclose(torch.matmul(points, found.transpose(1, 2)), targets, atol=1e-6)
    if count == 1:
        # One point has no orientation: the least rotation is none.
        assert torch.allclose(found, torch.eye(3, dtype=torch.float64).expand(5, 3, 3))


def test_conformers_are_fitted_to_the_beads_of_others(drug, arrays):
    matrix = np.zeros((4, drug.GetNumAtoms()))
    rows = np.array_split(np.random.default_rng(0).permutation(drug.GetNumAtoms()), 4)
    for row, atoms in zip(matrix, rows, strict=True):
        row[atoms] = 1 / len(atoms)
    fit = BeadFit(steps=20)
    fit.take({"matrix": torch.as_tensor(matrix)})
    angles = 0.5 * torch.randn(arrays.n_tokens, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    bonds, moved = torch.as_tensor(arrays.token_bonds), torch.as_tensor(arrays.moved)
    beads = torch.matmul(fit.matrix, turned(drug, arrays, angles)) + 7.0
    x, _ = fit(torch.as_tensor(positions_of(drug)), torch.zeros_like(angles), beads, bonds, moved)
    assert (torch.matmul(fit.matrix, x) - beads).norm(dim=-1).max() < 0.05


def test_a_step_goes_to_the_minimum_of_misfit_and_energy_where_both_are_parabolas(drug, arrays):
    """One bead holds no torsion: the energy alone moves them, by -slope / (stiffness + ridge)."""
    fit = BeadFit()
    fit.take({"matrix": torch.full((1, drug.GetNumAtoms()), 1 / drug.GetNumAtoms(), dtype=torch.float64)})
    bonds, moved = torch.as_tensor(arrays.token_bonds), torch.as_tensor(arrays.moved)
    x = torch.as_tensor(positions_of(drug))
    beads = torch.matmul(fit.matrix, x)
    torsions = torch.zeros(arrays.n_tokens, len(x), dtype=torch.float64)
    stiffness = 1e4 * torch.ones_like(torsions)
    _, after = fit.step(x, torsions, beads, bonds, moved, -0.01 * stiffness, stiffness, 0.1)
    assert torch.allclose(after, torch.full_like(after, 0.01), atol=1e-4)
    _, after = fit.step(x, torsions, beads, bonds, moved, -1.0 * stiffness, stiffness, 0.1)
    assert torch.allclose(after, torch.full_like(after, 0.1))
