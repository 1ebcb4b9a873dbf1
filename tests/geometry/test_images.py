import itertools

import numpy as np
import pytest
import torch

from openmm_cgvae.geometry.images import image_pairs, lattice_vectors

BOXES = {
    "cube": [[3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]],
    "triclinic": [[3.0, 0, 0], [1.2, 2.8, 0], [-1.1, 0.9, 3.3]],
    # Narrower than the cutoff.
    "slab": [[0.7, 0, 0], [0.1, 4.0, 0], [0, 0, 5.0]],
}


def by_trying(points, cutoff, box, reach=9):
    """Pairs and lattice numbers as `image_pairs` has them, of one frame, by trying all images."""
    found = set()
    for numbers in itertools.product(range(-reach, reach + 1), repeat=3):
        apart = points[None] + np.array(numbers) @ box - points[:, None]
        near = np.linalg.norm(apart, axis=-1) < cutoff
        found |= {(i, j, *numbers) for i, j in np.argwhere(near).tolist() if i != j}
    return found


@pytest.mark.parametrize("name", BOXES)
def test_all_images_within_the_cutoff_are_found(name):
    box = torch.tensor([BOXES[name], (np.array(BOXES[name]) * 1.1).tolist()], dtype=torch.float64)
    # Outside the box too.
    points = torch.rand(2, 12, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 5 - 2
    pairs = image_pairs(points, 0.9, box)
    for frame in range(2):
        own = pairs[pairs[:, 0] == frame, 1:].tolist()
        assert len(own) == len(set(map(tuple, own))) > 0
        assert set(map(tuple, own)) == by_trying(points[frame].numpy(), 0.9, box[frame].numpy())
    frame, i, j = pairs[:, :3].T
    vectors = points[frame, j] + lattice_vectors(pairs, box) - points[frame, i]
    assert (vectors.norm(dim=1) < 0.9).all()
    assert (torch.diff(frame * 12 + i) >= 0).all()


def test_no_points_have_no_pairs():
    assert image_pairs(torch.zeros(2, 0, 3), 1.0, torch.eye(3).expand(2, 3, 3)).shape == (0, 6)


def test_memory_grows_with_the_points_not_with_their_pairs():
    # A box of 100 in which 20,000 points lie: all pairs would be 400 million.
    points = torch.rand(1, 20_000, 3, generator=torch.Generator().manual_seed(0)) * 100
    pairs = image_pairs(points, 2.0, 100 * torch.eye(3)[None])
    # Density times volume of the sphere, for each point.
    assert len(pairs) == pytest.approx(20_000 * 0.02 * 4 / 3 * np.pi * 8, rel=0.05)
