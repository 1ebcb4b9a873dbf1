"""Alike end atoms lie on the side that their names tell, and beads stay where they are."""

from dataclasses import replace

import pytest
import torch
from conftest import TINY, untrained_model

from openmm_cgvae.geometry.labels import AlikePairs
from openmm_cgvae.molecule.graph import signed_volume
from openmm_cgvae.molecule.mapping import custom_mapping
from openmm_cgvae.preparation.dataset import prepare_dataset


@pytest.fixture(scope="module")
def frames(dataset):
    """Atoms in Angstrom, and their displacements from their beads, (20, 22, 3) each."""
    x = torch.as_tensor(dataset.positions[:20]) * 10
    beads = torch.as_tensor(dataset.spec.projection, dtype=x.dtype) @ x
    return x, x - beads[:, dataset.spec.assignment]


def exchanged(x, pairs):
    """Every pair (g, 2) of atoms in each other's place."""
    x = x.clone()
    x[:, pairs.flatten()] = x[:, pairs[:, ::-1].copy().flatten()]
    return x


def test_frames_of_md_stay_as_they_are_to_the_bit(dataset, frames):
    x, dx = frames
    assert len(dataset.spec.alike_pairs) == 3
    assert torch.equal(AlikePairs(dataset.spec)(dx, x), dx)


def test_exchanged_hydrogens_are_put_back(dataset, frames):
    x, dx = frames
    pairs = dataset.spec.alike_pairs[:, 3:]
    # Half of the pairs' frames: each pair is looked at on its own.
    wrong = dx.clone()
    wrong[::2], wrong[:, pairs[0]] = exchanged(dx, pairs)[::2], exchanged(dx, pairs)[:, pairs[0]]
    assert not torch.equal(wrong, dx)
    mended = AlikePairs(dataset.spec)(wrong, x - dx + wrong)
    torch.testing.assert_close(mended, dx)


def test_whatever_is_decoded_has_every_pair_on_its_side(dataset):
    model = untrained_model(dataset, TINY).double()
    X = torch.as_tensor(dataset.spec.projection) @ torch.as_tensor(dataset.positions[:20].astype(float) * 10)
    z = torch.randn((20, 3, TINY.latent), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows = dataset.spec.alike_pairs

    def sides(model):
        atoms = model.decode(X, z).detach()
        assert (model.project(atoms) - X).abs().max() < 1e-10
        atoms = atoms.numpy()
        return signed_volume(atoms, rows[:, :4]) - signed_volume(atoms, rows[:, [0, 1, 2, 4]])

    assert (sides(model) >= 0).all()
    model.alike_pairs = None
    assert (sides(model) < 0).any()


def test_the_paper_s_decoder_knows_no_sides(dataset):
    assert untrained_model(dataset, replace(TINY, handed=False)).alike_pairs is None


def test_pairs_whose_exchange_would_move_a_bead_are_left_alone(reference, topology):
    beads = [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 10, 11, 12, 13], [14, 15, 16, 17], [18, 19, 20, 21]]
    spec = prepare_dataset(*reference, custom_mapping(topology, beads)).spec
    # Of the acetyl's hydrogens the first two, 0 and 2, would be the pair.
    assert spec.alike_pairs[:, 0].tolist() == [10, 18]
