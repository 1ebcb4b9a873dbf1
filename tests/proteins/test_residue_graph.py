"""Neighbours and frames of residues."""

import numpy as np
import torch
from conftest import rotation
from proteinchains import all_types

from openmm_cgvae.proteins.graph import _in_order, edge_features, nearest, node_features, residue_frames


def points(batch=1, n=150, seed=0):
    """A random walk of C-alphas in a box, in Angstrom."""
    draw = np.random.default_rng(seed)
    steps = draw.normal(size=(batch, n, 3))
    steps *= 3.8 / np.linalg.norm(steps, axis=-1, keepdims=True)
    return torch.as_tensor(np.cumsum(steps, 1) % 35.0)


def test_cell_lists_find_the_neighbours_of_the_table_of_all_distances():
    beads = points(batch=2)
    (dense, dense_rows), (listed, listed_rows) = (_in_order(beads, 9, 20.0, dense=most) for most in (1000, 0))
    torch.testing.assert_close(dense, listed, atol=1e-9, rtol=0)
    # Steps of a walk are alike: neighbours at one distance may change places.
    assert torch.equal(dense_rows.sort(1).values, listed_rows.sort(1).values)


def test_fewer_residues_than_neighbours_count_themselves_with_no_weight():
    rows, weight = nearest(points(n=4), 8)
    assert rows.shape == weight.shape == (4, 8)
    own = torch.arange(4).unsqueeze(1).expand(-1, 8)
    assert torch.equal(rows[weight == 0], own[weight == 0])
    assert (weight[:, 3:] == 0).all()
    assert torch.isfinite(weight).all()


def test_frames_of_a_batch_do_not_see_one_another():
    beads = points(batch=3, n=40)
    rows, weight = nearest(beads, 8)
    assert torch.equal(
        torch.div(rows, 40, rounding_mode="floor"), torch.arange(3).repeat_interleave(40)[:, None].expand(-1, 8)
    )
    alone, alone_weight = nearest(beads[1:2], 8)
    assert torch.equal(rows[40:80] - 40, alone)
    torch.testing.assert_close(weight[40:80], alone_weight)


def test_weights_are_continuous_where_neighbours_change_places():
    beads = points()
    step = 1e-5 * torch.as_tensor(np.random.default_rng(1).normal(size=beads.shape))

    def total(x):
        rows, weight = nearest(x, 8)
        held = torch.zeros(150, 150, dtype=x.dtype)
        return held.scatter_add(1, rows, weight)

    assert (total(beads + step) - total(beads)).abs().max() < 1e-3


def test_features_do_not_change_with_rotation_and_see_handedness():
    _, atoms, _, connected = all_types()
    beads, connected = torch.as_tensor(atoms[:, 1]), torch.as_tensor(connected)
    chain = torch.cumsum((~connected).long(), 0)
    rows, _ = nearest(beads.unsqueeze(0), 8)

    def features(x):
        frames = residue_frames(x, connected)
        return node_features(x, frames, connected), edge_features(x, frames, rows, chain)

    turn = torch.as_tensor(rotation(3))
    for own, moved in zip(features(beads), features(beads @ turn.T + 5.0), strict=True):
        torch.testing.assert_close(own, moved, atol=1e-9, rtol=0)
    mirrored = features(beads * torch.tensor([1.0, 1.0, -1.0]))
    assert (features(beads)[0] - mirrored[0]).abs().max() > 0.5
