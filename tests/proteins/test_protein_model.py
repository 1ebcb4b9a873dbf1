"""Atoms of any protein from its beads, whatever the weights."""

import copy

import numpy as np
import pytest
import torch
from conftest import rotation
from proteinchains import all_types
from proteinmodels import chain_tensors, trace, untrained_file, untrained_model

from openmm_cgvae.backmapping.protein import molecule_tensors, protein_mapping
from openmm_cgvae.binding.protein import bind_protein
from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS
from openmm_cgvae.preparation.structures import beads_of
from openmm_cgvae.proteins.chains import Chain
from openmm_cgvae.proteins.rebuild import rebuild_protein

N = 36


def crystal(n=N):
    """The first residues of a real chain."""
    return tuple(part[:n] for part in all_types())


def bound(n=N):
    return bind_protein(*beads_of(Chain("", *crystal(n))), mapping="ca")


@pytest.fixture(scope="module")
def protein():
    return bound()


@pytest.fixture(scope="module")
def model(protein):
    """A model of the chain in double precision."""
    return taken(untrained_model(), protein).double()


def taken(model, protein):
    made = copy.deepcopy(model)
    made.take(molecule_tensors(protein, made, protein_mapping(protein)))
    return made


@pytest.fixture(scope="module")
def beads():
    """Three frames, the second and third with fluctuations."""
    draw = np.random.default_rng(0).normal(size=(3, N, 3)) * np.array([0, 0.01, 0.01])[:, None, None]
    return torch.as_tensor(trace(crystal()) + draw)


def noise(model, n_frames, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n_frames, N, model.latent, generator=draw, dtype=torch.float64)


@torch.no_grad()
def test_samples_turn_and_move_with_their_beads(model, beads):
    turn, shift = torch.as_tensor(rotation()), torch.tensor([0.3, -4.0, 0.7])
    given = noise(model, 3)
    expected = model(beads, given) @ turn.T + shift
    torch.testing.assert_close(model(beads @ turn.T + shift, given), expected, atol=1e-9, rtol=0)


@torch.no_grad()
def test_a_mirrored_trace_has_l_amino_acids_too(model, beads, protein):
    mirrored = beads * torch.tensor([1.0, 1.0, -1.0])
    given = noise(model, 3)
    for points in (beads, mirrored):
        atoms = model(points, given)
        slots = torch.full((N, 14), -1)
        slots[protein.heavy_residue, protein.heavy_slot] = torch.as_tensor(protein.heavy_atoms)
        rows = slots[slots[:, 4] >= 0]
        n, ca, c, cb = (atoms[:, rows[:, k]] for k in (0, 1, 2, 4))
        volume = torch.linalg.det(torch.stack([n - ca, c - ca, cb - ca], -2))
        assert len(rows) == (protein.residue_types != AMINO_ACIDS.index("G")).sum()
        assert (volume > 0).all()
    assert (model(mirrored, given) * torch.tensor([1.0, 1.0, -1.0]) - model(beads, given)).abs().max() > 0.1


@torch.no_grad()
def test_beads_stay_where_they_are(model, beads, protein):
    atoms = model(beads, noise(model, 3))
    np.testing.assert_allclose(protein.project(atoms.numpy()), beads, atol=1e-9)


@torch.no_grad()
def test_sampling_in_batches_is_sampling_one_by_one(model, beads):
    given = noise(model, 3)
    together = model(beads, given)
    for k in range(3):
        torch.testing.assert_close(model(beads[k : k + 1], given[k : k + 1])[0], together[k], atol=1e-9, rtol=0)


@torch.no_grad()
def test_noise_changes_the_atoms_and_the_likeliest_has_none(model, beads):
    assert (model(beads, noise(model, 3)) - model(beads, noise(model, 3, seed=1))).abs().max() > 0.1
    cold = copy.deepcopy(model)
    cold.temperature = 0.0
    first, second = (cold(beads[:1], noise(model, 1, seed)) for seed in (0, 1))
    assert torch.equal(first, second)


@torch.no_grad()
def test_scripted_and_rebuilt_modules_give_the_same(beads, protein):
    file = untrained_file()
    given = noise(file.module, 3).float()
    made = [taken(module, protein)(beads.float(), given)
            for module in (file.module, rebuild_protein(file.metadata["model"], file.module.state_dict()))]  # fmt: skip
    torch.testing.assert_close(*made, atol=1e-6, rtol=0)
    assert torch.equal(made[0], taken(file.module, protein)(beads.float(), given))


@torch.no_grad()
def test_weights_do_not_hold_a_protein(model):
    """A model file has one size, and is of every protein."""
    names = set(untrained_model().state_dict())
    assert set(model.state_dict()) == names
    assert not {name for name in names if "types" in name and "network" not in name}


@torch.no_grad()
def test_a_module_may_take_one_protein_after_another(protein, beads):
    other = bound(20)
    module = taken(untrained_model(), other)
    assert module(beads[:1, :20].float(), torch.zeros(1, 20, module.latent)).shape[1] == other.n_atoms
    module.take(molecule_tensors(protein, module, protein_mapping(protein)))
    fresh = taken(untrained_model(), protein)
    given = noise(module, 3).float()
    torch.testing.assert_close(module(beads.float(), given), fresh(beads.float(), given), atol=0, rtol=0)


@torch.no_grad()
def test_crystal_is_encoded_and_decoded(model, protein):
    atoms, mask, *_ = chain_tensors(crystal(), torch.float64)
    x = torch.zeros(1, protein.n_atoms, 3, dtype=torch.float64)
    x[0, protein.heavy_atoms] = atoms[protein.heavy_residue, protein.heavy_slot] / 10
    assert mask.sum() == len(protein.heavy_atoms)
    rebuilt = model.reconstruct(x)
    off = (rebuilt - x)[0, protein.heavy_atoms].square().sum(-1).mean().sqrt()
    assert off < 0.04
    np.testing.assert_allclose(protein.project(rebuilt.numpy()), protein.project(x.numpy()), atol=1e-9)
