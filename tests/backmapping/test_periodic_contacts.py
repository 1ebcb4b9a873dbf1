"""Chains of any protein that touch across the faces of a periodic box."""

import numpy as np
import pytest
from proteinbeads import beads, helix
from proteinmodels import untrained_file

from openmm_cgvae import Model

LONG, SHORT = 30, 8
# Neighbours across the face of the box along which the chains lie, and nothing else of them within 2 nm.
BOXES = {
    "rectangular": np.diag([8.0, 8.5, 9.0]),
    "triclinic": np.array([[8.0, 0, 0], [2.5, 8.5, 0], [-1.5, 1.2, 9.0]]),
}
RESIDUES = ["LEU", "ARG", "PHE", "TRP", "LYS"] * 8


@pytest.fixture(scope="module")
def model():
    return Model(untrained_file())


def touching():
    """C-alphas of a helix and of a short one that goes on 0.35 nm behind it, shape (38, 3), nm."""
    ahead = helix(SHORT) + np.array([0.1, 0.05, 0.15 * (LONG - 1) + 0.35])
    return np.concatenate([helix(LONG), ahead])


def moved(positions, vector):
    """The same with the short chain moved."""
    return positions + np.r_[np.zeros((LONG, 3)), np.tile(vector, (SHORT, 1))]


@pytest.fixture(scope="module")
def backmapper(model):
    chains = [("A", "B")[k >= LONG] for k in range(LONG + SHORT)]
    record = beads(RESIDUES[: LONG + SHORT], touching(), chains=chains, molecules=[c == "B" for c in chains])
    return model.bind(record, precision="double", breaks="none")


def apart(atoms, backmapper, vector):
    """Least distance of heavy atoms of the long chain from those of the short one, moved by a vector, nm."""
    found = list(backmapper.topology.atoms())
    heavy = np.array([atom.element.symbol != "H" for atom in found])
    first = np.array([atom.residue.chain.id == "A" for atom in found])
    vectors = atoms[..., first & heavy, None, :] - atoms[..., None, ~first & heavy, :] - vector
    return np.linalg.norm(vectors, axis=-1).min()


@pytest.mark.parametrize("name", BOXES)
def test_chains_that_touch_across_a_face_are_as_those_that_touch_inside(backmapper, name):
    box, together = BOXES[name], touching()
    inside = backmapper.sample(together, 2, seed=3)[0]
    across = backmapper.sample(moved(together, -box[2]), 2, seed=3, box=box)[0]
    its_second = np.array([atom.residue.chain.id == "B" for atom in backmapper.topology.atoms()])
    np.testing.assert_allclose(across + its_second[:, None] * box[2], inside, atol=1e-9)
    # Without the box they collide, which the contacts of crystals forbid.
    blind = backmapper.sample(moved(together, -box[2]), 2, seed=3)[0]
    assert apart(blind, backmapper, box[2]) < 0.2 < apart(across, backmapper, box[2])


def test_a_box_that_nothing_reaches_over_changes_nothing(backmapper):
    wide = 30 * np.eye(3)
    np.testing.assert_allclose(
        backmapper.sample(touching(), 2, seed=1, box=wide), backmapper.sample(touching(), 2, seed=1), atol=1e-9
    )


def test_every_frame_has_its_own_box(backmapper):
    box, far = BOXES["triclinic"], moved(touching(), -BOXES["triclinic"][2])
    boxes = np.stack([box, 30 * np.eye(3)])
    together = backmapper.sample(np.stack([far, far]), seed=5, frames=[7, 7], box=boxes)
    alone = [backmapper.sample(far, seed=5, frames=[7], box=one) for one in boxes]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-9)
    assert abs(together[0] - together[1]).max() > 0.01
