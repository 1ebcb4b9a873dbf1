"""Sums over segments, recentring and vector products against torch's own and dense forms."""

import numpy as np
import torch

from openmm_cgvae.geometry.vectors import Recentring, cross, segment_offsets, segment_sum


def test_segment_sum_by_hand():
    values = torch.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    rows, offsets = torch.tensor([0, 2, 1, 1]), segment_offsets(torch.tensor([0, 0, 2, 2]), 3)
    assert offsets.tolist() == [0, 2, 2, 4]
    assert segment_sum(values, rows, offsets).tolist() == [[5.0, 50.0], [0.0, 0.0], [4.0, 40.0]]
    factors = torch.tensor([1.0, -1.0, 0.5, 1.0])
    assert segment_sum(values, rows, offsets, factors).tolist() == [[-3.0, -30.0], [0.0, 0.0], [3.0, 30.0]]


def test_recentring_is_what_the_dense_projection_gives(dataset):
    recentred, matrix = Recentring(dataset.spec), torch.as_tensor(dataset.spec.projection)
    dx = torch.randn(22, 3, 5, generator=torch.Generator().manual_seed(0), dtype=matrix.dtype)
    expected = dx - torch.einsum("in,ncb->icb", matrix, dx)[torch.as_tensor(dataset.spec.assignment)]
    torch.testing.assert_close(recentred(dx), expected, rtol=0, atol=1e-12)


def test_cross_is_that_of_torch_along_any_dimension():
    a, b = torch.as_tensor(np.random.default_rng(0).normal(size=(2, 4, 3, 3, 5)))
    for dim in (1, 2):
        torch.testing.assert_close(cross(a, b, dim), torch.linalg.cross(a, b, dim=dim), rtol=0, atol=1e-14)
