"""Messages between atoms near in space: who hears whom, and how they fade."""

from dataclasses import replace

import pytest
import torch
from conftest import TINY

from openmm_cgvae.models.contacts import RANGE, ContactFinder, ContactLayer, Contacts

CONFIG = replace(TINY, refinement_width=16)


@pytest.fixture
def layer():
    torch.manual_seed(0)
    layer = ContactLayer(CONFIG).double()
    torch.nn.init.normal_(layer.leave.weight)
    return layer


def pair(distance, batch=1):
    """Two atoms on the x axis, and their contacts."""
    x = torch.zeros(batch, 2, 3, dtype=torch.float64)
    x[:, 1, 0] = distance
    atom = torch.arange(2 * batch)
    return x, Contacts(atom, atom + 1 - 2 * (atom % 2), atom, torch.arange(2 * batch + 1))


@pytest.mark.parametrize("dense_atoms", [500, 0], ids=["dense", "listed"])
def test_contacts_are_the_near_pairs_beyond_three_bonds(dense_atoms, dataset, graph):
    x = torch.as_tensor(dataset.positions[:5] * 10.0)
    finder = ContactFinder(dataset.spec)
    finder.dense_atoms = dense_atoms
    found = finder(x)
    distances = torch.cdist(x.double(), x.double())
    far = torch.as_tensor(graph.bond_distances) > 3
    frame, i, j = torch.nonzero((distances < RANGE) & far).unbind(1)
    assert len(frame) > 50
    assert torch.equal(found.atom, frame * graph.n_atoms + i)
    pairs = set(zip(found.atom.tolist(), found.neighbour.tolist(), strict=True))
    expected = zip((frame * graph.n_atoms + i).tolist(), (frame * graph.n_atoms + j).tolist(), strict=True)
    assert pairs == set(expected)
    heard = [(found.atom == a).sum() for a in range(5 * graph.n_atoms)]
    assert torch.equal(found.offsets.diff(), torch.stack(heard))


def test_displacements_are_along_the_pair_and_fade_to_nothing_at_the_range(layer):
    h = torch.randn(1, 2, 16, dtype=torch.float64)
    _, near = layer(h, *pair(2.0))
    assert near[..., 0].abs().min() > 1e-3
    assert near[..., 1:].abs().max() == 0
    sizes = [layer(h, *pair(RANGE - gap))[1].abs().max() for gap in (1e-1, 1e-3, 0.0)]
    assert 0 < sizes[1] < 1e-3 * sizes[0]
    assert sizes[2] == 0


def test_a_frame_moves_the_same_alone_and_among_others(layer):
    h = torch.randn(3, 2, 16, dtype=torch.float64)
    x, contacts = pair(2.0, batch=3)
    features, moves = layer(h, x, contacts)
    alone = layer(h[1:2], *pair(2.0))
    # Not to the bit: on some processors a matrix product rounds a row by how many there are.
    torch.testing.assert_close(moves[1:2], alone[1], rtol=0, atol=1e-15)
    torch.testing.assert_close(features[1:2], alone[0], rtol=0, atol=1e-14)


def test_atoms_without_contacts_stay(layer):
    none = torch.zeros(0, dtype=torch.int64)
    x, _ = pair(9.0)
    _, moves = layer(torch.randn(1, 2, 16, dtype=torch.float64), x, Contacts(none, none, none, none.new_zeros(3)))
    assert moves.abs().max() == 0
