"""The message passing on the bond graph: symmetry, self-consistency, and what it starts as."""

from dataclasses import replace

import pytest
import torch
from conftest import TINY, rotation, untrained_model

from openmm_cgvae.models.export import script_model
from openmm_cgvae.models.refinement import neighbour_table

REFINED = replace(TINY, refinement_layers=2, refinement_width=16, refinement_vectors=4)


def awake(model, seed=0):
    """Give the last weights of every layer, which start at zero, some other value."""
    torch.manual_seed(seed)
    layers = list(model.refinement.layers)
    for layer in layers + [layer.contacts for layer in layers if layer.contacts is not None]:
        torch.nn.init.normal_(layer.leave.weight, std=0.1)
        if layer.leave.bias is not None:
            torch.nn.init.normal_(layer.leave.bias, std=0.3)
    return model


@pytest.fixture(params=[0, 2])
def model(dataset, request):
    return awake(untrained_model(dataset, replace(REFINED, refinement_contacts=request.param))).double()


@pytest.fixture
def case(dataset):
    """Beads in Angstrom, about their centre, and latents."""
    X = torch.as_tensor(dataset.spec.projection) @ torch.as_tensor(dataset.positions[:10], dtype=torch.float64) * 10
    z = torch.randn(10, 3, REFINED.latent, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return X - X.mean(1, keepdim=True), z


def test_the_table_lists_every_near_atom_of_every_atom_once(dataset, graph):
    table, mask = neighbour_table(dataset.spec)
    for i in range(graph.n_atoms):
        near = table[i][mask[i] > 0].tolist()
        assert sorted(near) == [j for j in range(graph.n_atoms) if 0 < graph.bond_distances[i, j] <= 3]


def test_an_untrained_refinement_changes_nothing(dataset, case):
    model = untrained_model(dataset, replace(REFINED, refinement_contacts=1)).double()
    X, z = case
    V = model.decoder.vectors(X, z)
    dx = model.decoder.select(V)
    dx = dx - model.project(dx)[:, model.assignment]
    refined = model.refinement(dx, X, z, V)
    assert (refined - dx).abs().max() < 1e-12
    assert torch.equal(model.displace(X, z), model.alike_pairs(refined, X[:, model.assignment] + refined))


def test_refined_atoms_turn_with_their_beads_and_keep_them(model, case):
    X, z = case
    turn = torch.as_tensor(rotation(5))
    dx = model.displace(X, z)
    with torch.no_grad():
        raw = model.decoder(X, z)
        raw = raw - model.project(raw)[:, model.assignment]
    assert (dx - raw).abs().max() > 1e-2
    assert model.project(dx).abs().max() < 1e-10
    assert (model.displace(X @ turn.T, z) - dx @ turn.T).abs().max() < 1e-10


@pytest.mark.parametrize("handed", [True, False])
def test_only_a_handed_refinement_breaks_the_mirror_symmetry(dataset, case, handed):
    model = awake(untrained_model(dataset, replace(REFINED, handed=handed))).double()
    X, z = case
    mirror = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    difference = (model.displace(X * mirror, z) - model.displace(X, z) * mirror).abs().max()
    assert (difference > 1e-3) if handed else (difference < 1e-10)


def test_the_scripted_model_refines_as_the_eager_one(model, case):
    X, z = case
    module = script_model(model)
    with torch.no_grad():
        assert torch.equal(module.model.displace(X, z), model.displace(X, z))
