"""Superposition of groups of points."""

import torch

from openmm_cgvae.geometry.superposition import fitted, superpositions


def rotation(seed):
    q = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)).double())[0]
    return q * torch.linalg.det(q)


def points(n, seed=0):
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(seed)).double()


def test_groups_that_were_turned_and_moved_are_laid_back():
    x, groups = points(12), torch.tensor([0] * 5 + [1] * 7)
    turned = torch.cat([x[:5] @ rotation(1) + 3.0, x[5:] @ rotation(2) - 1.0])
    assert torch.allclose(fitted(turned, x, groups, 2), x, atol=1e-12)
    rotations, origins, destinations = superpositions(x, turned, torch.ones(12), groups, 2)
    assert torch.allclose(rotations, torch.stack([rotation(1), rotation(2)]), atol=1e-9)
    assert torch.allclose(origins[0], x[:5].mean(0)) and torch.allclose(destinations[1], turned[5:].mean(0))


def test_mirror_images_are_not_laid_onto_each_other():
    x = points(6)
    mirrored = x * torch.tensor([-1.0, 1.0, 1.0])
    rotations, _, _ = superpositions(x, mirrored, torch.ones(6), torch.zeros(6, dtype=torch.int64), 1)
    assert torch.allclose(torch.linalg.det(rotations), torch.ones(1).double())


def test_heavy_points_decide():
    x = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]).double()
    turned = x @ rotation(4)
    spoiled = turned.clone()
    spoiled[3] += 5.0
    weights = torch.tensor([1.0, 1.0, 1.0, 1e-9])
    rotations, _, _ = superpositions(x, spoiled, weights, torch.zeros(4, dtype=torch.int64), 1)
    assert torch.allclose(rotations[0], rotation(4), atol=1e-6)


def test_a_line_turns_as_little_as_possible_and_no_points_not_at_all():
    line = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]).double()
    upright = torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 2, 0]]).double()
    rotations, _, _ = superpositions(line, upright, torch.ones(3), torch.zeros(3, dtype=torch.int64), 2)
    # x to y about z, and z stays.
    expected = torch.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]).double()
    assert torch.allclose(rotations[0], expected, atol=1e-6)
    assert torch.allclose(rotations[1], torch.eye(3).double())
