"""Tables are of types: a molecule whose atoms and beads are listed otherwise gets the same structures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import TINY

from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.geometry.bounds import BoundsProjection
from openmm_cgvae.geometry.types import moments_by_type
from openmm_cgvae.models import CGVAE
from openmm_cgvae.models.energy import CGEnergy

WHOLE = replace(
    TINY, prior="local-flow", flow_width=32, refinement_layers=2, refinement_contacts=1, refinement_width=16,
    refinement_vectors=4, projection_sweeps=20,
)  # fmt: skip


def relabelled(spec, seed=0):
    """The molecule with its atoms and beads in another order, typed by their own; and these orders."""
    generator = np.random.default_rng(seed)
    atoms, beads = generator.permutation(spec.n_atoms), generator.permutation(spec.n_beads)
    # New number of every old one.
    atom, bead = np.argsort(atoms), np.argsort(beads)
    typed = replace(
        spec,
        place_types=atoms, bead_types=beads,
        atom_types=spec.atom_types[atoms], contact_kinds=spec.contact_kinds[atoms],
        assignment=bead[spec.assignment[atoms]], channels=spec.channels[atoms],
        projection=spec.projection[beads][:, atoms],
        atom_frames=atom[spec.atom_frames[atoms]],
        bead_frames=bead[spec.bead_frames[beads]] if len(spec.bead_frames) else spec.bead_frames,
        bead_axes=bead[spec.bead_axes[beads]],
        near_pairs=np.sort(atom[spec.near_pairs], axis=1), rigid_pairs=np.sort(atom[spec.rigid_pairs], axis=1),
        alike_pairs=atom[spec.alike_pairs],
    )  # fmt: skip
    order = np.lexsort(typed.near_pairs.T[::-1])
    typed = replace(typed, near_pairs=typed.near_pairs[order], near_hops=typed.near_hops[order])
    own, other = BoundsProjection(spec, 0), BoundsProjection(typed, 0)
    types = {
        "bound_types": rows_of(atoms[other.pairs.numpy()], own.pairs.numpy()),
        "shape_types": rows_of(atoms[other.shapes.numpy()], own.shapes.numpy()),
    }
    return replace(typed, **types), atoms, beads


def rows_of(found, rows):
    """Number of the row of the same atoms, for each of those found."""
    known = {tuple(sorted(row)) + tuple(row[:1] * (len(row) > 2)): k for k, row in enumerate(rows.tolist())}
    return np.array([known[tuple(sorted(row)) + tuple(row[:1] * (len(row) > 2))] for row in found.tolist()])


@pytest.fixture
def model(five_bead_dataset):
    torch.manual_seed(1)
    model = CGVAE(five_bead_dataset.spec, WHOLE).double().eval()
    x = 10 * torch.as_tensor(five_bead_dataset.positions[:100], dtype=torch.float64)
    x = x - x.mean(1, keepdim=True)
    model.bounds.calibrate(x)
    model.encoder.calibrate(x, model.project(x))
    model.prior.calibrate(model.project(x))
    with torch.no_grad():
        for parameter in model.refinement.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        model.encoder.place_filter.normal_(0, 0.1)
    return model, x[:6]


def test_another_order_of_atoms_and_beads_gives_the_same_structures(model, five_bead_dataset):
    model, x = model
    typed, atoms, beads = relabelled(five_bead_dataset.spec)
    X, noise = model.project(x), torch.randn(6, 5, WHOLE.latent, dtype=torch.float64)
    before = model.sample(X, noise)
    bounded = X[:, model.assignment] + model.bound(X, before - X[:, model.assignment])
    latents = model.encode(x, X)
    model.bind(typed)
    torch.testing.assert_close(model.project(x[:, atoms]), X[:, beads])
    after = model.sample(X[:, beads], noise[:, beads])
    torch.testing.assert_close(after, before[:, atoms], atol=1e-9, rtol=0)
    lifted = X[:, beads][:, model.assignment]
    torch.testing.assert_close(lifted + model.bound(X[:, beads], after - lifted), bounded[:, atoms], atol=1e-6, rtol=0)
    for own, other in zip(latents, model.encode(x[:, atoms], X[:, beads]), strict=True):
        torch.testing.assert_close(other, own[:, beads], atol=1e-9, rtol=0)


def test_the_bounds_of_a_type_hold_what_was_seen_of_all_its_members(dataset):
    n = len(BoundsProjection(dataset.spec, 0).pairs)
    bounds = BoundsProjection(replace(dataset.spec, bound_types=np.arange(n) % 2), 0).double()
    each = BoundsProjection(dataset.spec, 0).double()
    x = 10 * torch.as_tensor(dataset.positions[:50], dtype=torch.float64)
    for module in (bounds, each):
        module.calibrate(x)
    for kind in (0, 1):
        assert bounds.lower[kind] == each.lower[kind::2].min()
        assert bounds.upper[kind] == each.upper[kind::2].max()


def test_beads_of_a_type_share_their_energy(five_bead_dataset):
    torch.manual_seed(0)
    spec = replace(five_bead_dataset.spec, bead_types=np.array([0, 1, 0, 1, 1]), bead_frames=np.zeros((0, 3), int))
    energy = CGEnergy(spec, WHOLE).double()
    torch.nn.init.normal_(energy.readout[2].weight)
    X = 4 * torch.randn(3, 5, 3, dtype=torch.float64)
    assert len(energy.embedding) == 2
    torch.testing.assert_close(energy(X[:, [2, 1, 0, 4, 3]]), energy(X))
    assert (energy(X[:, [1, 0, 2, 3, 4]]) - energy(X)).abs().min() > 1e-6


def test_moments_of_a_type_are_those_of_all_its_members():
    values, types = torch.randn(50, 4, 2, dtype=torch.float64), torch.tensor([0, 2, 0, 1])
    mean, variance = moments_by_type(values, types, 4)
    # Variance about the members' common mean.
    both = values[:, [0, 2]].flatten(0, 1)
    torch.testing.assert_close(mean[0], both.mean(0))
    torch.testing.assert_close(variance[0], both.var(0))
    torch.testing.assert_close(variance[2], values[:, 1].var(0))
    assert not mean[3].any() and not variance[3].any()


def test_a_prior_of_all_beads_together_refuses_another_molecule(dataset, five_bead_dataset):
    model = CGVAE(dataset.spec, replace(WHOLE, prior="flow"))
    with pytest.raises(SettingsError, match="5 beads given to a prior of all 3 beads"):
        model.bind(five_bead_dataset.spec)
