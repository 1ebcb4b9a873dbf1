"""Symmetry, self-consistency and locality of the model, at random weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import TINY, rotation, untrained_model

from openmm_cgvae.models.export import script_model
from openmm_cgvae.molecule.mapping import custom_mapping, residue_mapping
from openmm_cgvae.preparation.dataset import prepare_dataset

DTYPES = {"single": torch.float32, "double": torch.float64}
MIRROR = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
# Handedness needs three layers: edges give vectors, these pseudovectors, and these vectors off the plane of three
# beads. Random weights make each step small, so more layers are taken.
DEEP = replace(TINY, decoder_layers=5)
GAUSSIAN = replace(DEEP, prior="gaussian", latent=None)


@pytest.fixture(params=["dataset", "five_bead_dataset"], ids=["3-beads", "5-beads"])
def data(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=[DEEP, GAUSSIAN], ids=["flow", "gaussian"])
def config(request):
    return request.param


def frames_of(data, count=8):
    """Atoms and beads in Angstrom, centred, float64."""
    x = torch.as_tensor(data.positions[:: len(data.positions) // count][:count], dtype=torch.float64) * 10
    x = x - x.mean(1, keepdim=True)
    return x, torch.as_tensor(data.spec.projection) @ x


def noise_for(data, config, count=8):
    generator = torch.Generator().manual_seed(1)
    shape = (count, data.spec.n_beads, config.latent or config.features)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def exported(data, config, dtype):
    return script_model(untrained_model(data, config)).to(dtype)


@pytest.mark.parametrize(("precision", "tolerance_nm"), [("single", 1e-5), ("double", 1e-10)])
def test_samples_turn_and_move_with_their_beads(data, config, precision, tolerance_nm):
    dtype = DTYPES[precision]
    module = exported(data, config, dtype)
    beads, noise = (frames_of(data)[1] / 10).to(dtype), noise_for(data, config).to(dtype)
    turn = torch.as_tensor(rotation(3), dtype=dtype)
    shift = torch.tensor([1.0, -2.0, 0.5], dtype=dtype)
    with torch.inference_mode():
        atoms = module(beads, noise)
        moved = module(beads @ turn.T + shift, noise)
    # A collapsed model would be equivariant too.
    assert (atoms - beads[:, data.spec.assignment]).norm(dim=-1).mean() > 1e-3
    assert (moved - (atoms @ turn.T + shift)).abs().max() <= tolerance_nm


@pytest.mark.parametrize("precision", DTYPES)
def test_reconstructions_turn_and_move_with_their_atoms(data, precision):
    dtype, tolerance_nm = DTYPES[precision], {"single": 1e-5, "double": 1e-10}[precision]
    module = exported(data, DEEP, dtype)
    atoms = (frames_of(data)[0] / 10).to(dtype)
    turn = torch.as_tensor(rotation(4), dtype=dtype)
    with torch.inference_mode():
        rebuilt = module.reconstruct(atoms)
        moved = module.reconstruct(atoms @ turn.T + 3.0)
    assert (moved - (rebuilt @ turn.T + 3.0)).abs().max() <= tolerance_nm


def residue_alpha_like(topology):
    """Beads that sit on one carbon each, as alpha carbons do; all other atoms have weight 0."""
    beads = [[atom.index for atom in residue.atoms] for residue in topology.residues]
    weights = np.zeros(topology.n_atoms)
    weights[[1, 8, 18]] = 1
    return custom_mapping(topology, beads, weights)


MAPPINGS = {
    "geometric": residue_mapping,
    "mass": lambda topology: residue_mapping(topology, "mass"),
    "alpha-carbon": residue_alpha_like,
}


@pytest.mark.parametrize("origin_nm", [0.0, 50.0])
@pytest.mark.parametrize("name", MAPPINGS)
def test_samples_project_back_to_their_beads(name, origin_nm, topology, reference):
    mapping = MAPPINGS[name](topology)
    data = prepare_dataset(*reference, mapping, temperature=None)
    module = exported(data, DEEP, torch.float32)
    beads = (mapping.project(data.positions[:8]) + origin_nm).astype(np.float32)
    with torch.inference_mode():
        atoms = module(torch.as_tensor(beads), noise_for(data, DEEP).float()).numpy()
    assert np.abs(mapping.matrix @ atoms.astype(float) - beads).max() <= 1e-5


def test_displacements_leave_the_beads_where_they_are(data):
    model = untrained_model(data, DEEP).double()
    _, X = frames_of(data)
    with torch.inference_mode():
        dx = model.displace(X, noise_for(data, DEEP))
    assert dx.abs().max() > 1e-2
    assert model.project(dx).abs().max() < 1e-14


def test_beads_in_double_are_met_in_double_by_weights_in_single(data):
    module = script_model(untrained_model(data, DEEP))
    beads = frames_of(data)[1] / 10 + 50
    with torch.inference_mode():
        atoms = module(beads, noise_for(data, DEEP))
    assert atoms.dtype == torch.float64
    assert (torch.as_tensor(data.spec.projection) @ atoms - beads).abs().max() < 1e-13


def test_mirrored_beads_do_not_give_mirrored_atoms_when_handed(data):
    model = untrained_model(data, DEEP).double()
    _, X = frames_of(data)
    z = noise_for(data, DEEP)
    with torch.inference_mode():
        difference = model.decode(X * MIRROR, z) - model.decode(X, z) * MIRROR
    assert (difference.norm(dim=-1).mean(1) > 1e-6).all()


def test_mirrored_beads_give_mirrored_atoms_when_not_handed(data):
    model = untrained_model(data, replace(DEEP, handed=False)).double()
    _, X = frames_of(data)
    z = noise_for(data, DEEP)
    with torch.inference_mode():
        difference = model.decode(X * MIRROR, z) - model.decode(X, z) * MIRROR
    assert difference.abs().max() < 1e-9


def test_three_handed_beads_place_atoms_off_their_plane(dataset):
    model = untrained_model(dataset, DEEP).double()
    _, X = frames_of(dataset)
    with torch.inference_mode():
        dx = model.displace(X, noise_for(dataset, DEEP))
    normal = torch.linalg.cross(X[:, 1] - X[:, 0], X[:, 2] - X[:, 0])
    normal = normal / normal.norm(dim=-1, keepdim=True)
    assert ((dx * normal[:, None]).sum(-1).abs().mean(1) > 1e-6).all()


def test_encoder_tells_a_structure_from_its_mirror_image(data):
    model = untrained_model(data, DEEP).double()
    x, X = frames_of(data)
    with torch.inference_mode():
        mean, _ = model.encode(x, X)
        mirrored, _ = model.encode(x * MIRROR, X * MIRROR)
        turned, _ = model.encode(*(a @ torch.as_tensor(rotation(5)).T for a in (x, X)))
    assert (turned - mean).abs().max() < 1e-9
    assert ((mirrored - mean).abs().amax((1, 2)) > 1e-3).all()


def test_flow_prior_tells_five_beads_from_their_mirror_image_only(data):
    model = untrained_model(data, DEEP).double()
    _, X = frames_of(data)
    noise = noise_for(data, DEEP)
    with torch.inference_mode():
        difference = (model.prior(X * MIRROR, noise) - model.prior(X, noise)).abs().amax((1, 2))
    # Three beads always lie in a plane, and are their own mirror image.
    assert (difference > 1e-6).all() if data.spec.n_beads > 3 else (difference < 1e-9).all()


def decoded_with_bead_at(model, X, z, distance):
    """Displacements in Angstrom with the last bead put so far from its nearest neighbour, away from the others."""
    others = X[:, :-1]
    nearest = torch.linalg.norm(others - X[:, -1:], dim=-1).argmin(1)
    anchor = others[torch.arange(len(X)), nearest]
    direction = (X[:, -1] - others.mean(1)) / torch.linalg.norm(X[:, -1] - others.mean(1), dim=-1, keepdim=True)
    moved = torch.cat([others, (anchor + distance * direction).unsqueeze(1)], dim=1)
    return model.displace(moved, z)


def test_output_is_continuous_where_a_bead_crosses_the_cutoff(five_bead_dataset):
    model = untrained_model(five_bead_dataset, DEEP).double()
    _, X = frames_of(five_bead_dataset)
    z = noise_for(five_bead_dataset, DEEP)
    cutoff = DEEP.bead_cutoff_angstrom
    with torch.inference_mode():
        for step in (1e-2, 1e-3, 1e-4):
            before, after = (decoded_with_bead_at(model, X, z, cutoff + s) for s in (-step, step))
            # Not only the envelope but its slope is 0 at the cutoff.
            assert 0 < (after - before).abs().max() < 0.1 * step**2


def test_bead_beyond_the_cutoff_has_no_influence_on_the_others(five_bead_dataset):
    model = untrained_model(five_bead_dataset, DEEP).double()
    _, X = frames_of(five_bead_dataset)
    z = noise_for(five_bead_dataset, DEEP)
    others = torch.as_tensor(five_bead_dataset.spec.assignment) != 4
    far = [X.clone() for _ in range(3)]
    far[0][:, 4] += 100.0
    far[1][:, 4] -= 200.0
    with torch.inference_mode():
        near, one, two = (model.displace(beads, z)[:, others] for beads in (far[2], far[0], far[1]))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-12)
    assert (near - one).abs().max() > 1e-3
