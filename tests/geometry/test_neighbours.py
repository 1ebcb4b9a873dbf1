"""The neighbour list: the same pairs and numbers as all pairs, at a cost linear in their number."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import TINY

from openmm_cgvae.geometry.neighbours import neighbour_table
from openmm_cgvae.models import ModelConfig
from openmm_cgvae.models.decoder import Decoder
from openmm_cgvae.models.layers import BeadConvolution, RadialBasis

CUTOFF = 8.0


def cloud(frames, n, width=30.0, seed=0):
    """Points in a cube, in Angstrom."""
    generator = torch.Generator().manual_seed(seed)
    return width * torch.rand(frames, n, 3, generator=generator, dtype=torch.float64) - 7.0


def pairs_of(table):
    """Set of (point, neighbour) rows."""
    rows = torch.arange(table.shape[0] * table.shape[1]).repeat_interleave(table.shape[2])
    pairs = set(zip(rows.tolist(), table.flatten().tolist(), strict=True))
    return {(i, j) for i, j in pairs if i != j}


@pytest.mark.parametrize("width", [1.0, 30.0, 1000.0], ids=["one-cell", "crowded", "alone"])
def test_table_holds_exactly_the_pairs_within_the_cutoff(width):
    X = cloud(3, 60, width)
    near = (torch.cdist(X, X) < CUTOFF) & ~torch.eye(60, dtype=torch.bool)
    frame, i, j = near.nonzero().unbind(1)
    expected = set(zip((60 * frame + i).tolist(), (60 * frame + j).tolist(), strict=True))
    table = neighbour_table(X, CUTOFF)
    assert pairs_of(table) == expected
    assert table.shape[2] == max(1, int(near.sum(2).max()))


def test_table_by_hand_along_a_line():
    X = torch.tensor([[[0.0, 0, 0], [7.9, 0, 0], [-8.1, 0, 0], [7.9, 0, 8.0]]])
    assert neighbour_table(X, CUTOFF).tolist() == [[[1], [0], [2], [3]]]


@pytest.mark.parametrize("frames", [1, 3])
def test_convolution_is_that_of_all_pairs(frames):
    torch.manual_seed(0)
    X, layer = cloud(frames, 40), BeadConvolution(6, 4).double()
    h = torch.randn(frames, 40, 6, dtype=torch.float64)
    results = []
    for dense_points in (40, 0):
        rbf, _, neighbours = RadialBasis(4, CUTOFF, dense_points).graph(X, X.dtype)
        results.append(layer(h, rbf, neighbours))
    torch.testing.assert_close(*results, rtol=0, atol=1e-12)


def decoders(spec, config):
    """A scripted decoder over all pairs, and one with a neighbour list."""
    torch.manual_seed(0)
    dense = Decoder(spec, config)
    listed = Decoder(spec, config)
    listed.load_state_dict(dense.state_dict())
    dense.radial.dense_points, listed.radial.dense_points = spec.n_beads, 0
    return torch.jit.script(dense), torch.jit.script(listed)


@pytest.mark.parametrize(("precision", "tolerance_nm"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("cutoff", [6.0, 12.0], ids=["some-pairs", "all-pairs"])
def test_decoder_gives_the_same_atoms_either_way(five_bead_dataset, cutoff, precision, tolerance_nm):
    spec = five_bead_dataset.spec
    config = replace(TINY, decoder_layers=5, bead_cutoff_angstrom=cutoff)
    X = torch.as_tensor(10 * spec.projection @ five_bead_dataset.positions[::20]).to(precision)
    z = torch.randn(len(X), 5, config.latent, generator=torch.Generator().manual_seed(1)).to(precision)
    dense, listed = (decoder.to(precision) for decoder in decoders(spec, config))
    with torch.inference_mode():
        atoms, own = dense(X, z), listed(X, z)
    assert atoms.abs().mean() > 0.01
    assert (atoms - own).abs().max() <= 10 * tolerance_nm


def test_gradients_are_those_of_all_pairs(five_bead_dataset):
    spec = five_bead_dataset.spec
    X = torch.as_tensor(10 * spec.projection @ five_bead_dataset.positions[:4])
    z = torch.randn(4, 5, TINY.latent, dtype=torch.float64)
    gradients = []
    for decoder in decoders(spec, TINY):
        given = X.clone().requires_grad_()
        decoder = decoder.double()
        decoder(given, z).square().sum().backward()
        gradients.append([given.grad, decoder.bead_embedding.grad])
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


def test_memory_is_linear_in_the_number_of_points():
    """No tensor of all pairs: 20,000 points at constant density would need 3 GB for their distances alone."""
    X = cloud(1, 20_000, width=270.0)
    rbf, unit, neighbours = RadialBasis(2, CUTOFF).graph(X, torch.float32)
    expected = 20_000 * 4 / 3 * np.pi * CUTOFF**3 / 270.0**3
    assert expected < neighbours.shape[2] < 5 * expected + 10
    assert rbf.shape == (*neighbours.shape, 3) and unit.shape == (*neighbours.shape, 3)


def test_a_model_of_many_beads_chooses_the_list():
    config = ModelConfig()
    radial = RadialBasis(config.radial, CUTOFF)
    assert radial.graph(cloud(1, radial.dense_points), torch.float64)[2] is None
    assert radial.graph(cloud(1, radial.dense_points + 1), torch.float64)[2] is not None
