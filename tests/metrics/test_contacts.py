"""Clashes between molecules, against a plain search over all images."""

from itertools import pairwise, product

import numpy as np
import pytest
from openmm import app, unit

from openmm_cgvae.core.errors import PositionsError
from openmm_cgvae.metrics import intermolecular_clashes
from openmm_cgvae.metrics.contacts import close_pairs

CUBE = np.diag([2.0, 2.0, 2.0])
SKEWED = np.array([[2.0, 0, 0], [0.9, 2.2, 0], [-0.8, 1.0, 1.9]])
UNREDUCED = np.array([[2.0, 0, 0], [1.9, 2.2, 0], [3.2, 2.0, 1.9]])


def molecules(*symbols):
    """A topology of diatomic molecules, "CH" for C-H, and single atoms; "X" is an atom without element."""
    topology = app.Topology()
    for name in symbols:
        residue = topology.addResidue(name, topology.addChain())
        atoms = [topology.addAtom(s, None if s == "X" else app.Element.getBySymbol(s), residue) for s in name]
        for pair in pairwise(atoms):
            topology.addBond(*pair)
    return topology


@pytest.mark.parametrize("box", [CUBE, SKEWED, UNREDUCED])
def test_pairs_and_distances_are_those_of_a_search_over_all_images(box):
    points = np.random.default_rng(0).uniform(-5, 5, (60, 3))
    images = np.array(list(product(range(-4, 5), repeat=3))) @ box
    inside = points - np.floor(points @ np.linalg.inv(box)) @ box
    separations = inside[:, None, None] - inside[None, :, None] + images
    nearest = np.linalg.norm(separations, axis=-1).min(-1)
    expected = {(i, j) for i, j in np.argwhere(np.triu(nearest < 0.5, 1)).tolist()}
    i, j, distances = close_pairs(points, 0.5, box)
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == expected
    assert len(i) == len(expected) > 20
    np.testing.assert_allclose(distances, nearest[i, j], atol=1e-12)


@pytest.mark.parametrize(
    ("pair", "distance", "clashes"),
    [
        # 1.3 times the sum of RDKit's covalent radii: C 0.076, H 0.031, O 0.066 nm.
        (("C", "C"), 0.197, 1),
        (("C", "C"), 0.199, 0),
        (("C", "H"), 0.138, 1),
        (("C", "H"), 0.140, 0),
        (("H", "H"), 0.080, 1),
        (("H", "H"), 0.082, 0),
        (("C", "X"), 0.01, 0),
    ],
)
def test_atoms_clash_where_a_bond_would_be_seen(pair, distance, clashes):
    positions = np.array([[0, 0, 0], [0, 0, distance]])
    assert intermolecular_clashes(positions, molecules(*pair)).tolist() == [clashes]


def test_bonded_atoms_do_not_clash_but_do_with_the_next_molecule():
    positions = np.array([[[0, 0, 0], [0.109, 0, 0], [0.2, 0, 0], [0.31, 0, 0]]])
    # C-H...C-H: H and C are 0.091 nm apart, H and H 0.2, C and C 0.2 (just outside 0.1976).
    assert intermolecular_clashes(positions, molecules("CH", "CH")).tolist() == [1]


@pytest.mark.parametrize("box", [CUBE, SKEWED, UNREDUCED])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_molecules_clash_across_every_face(box, axis):
    first = 0.05 * box.sum(0)
    second = first + 0.1 - box[axis]
    positions = np.stack([first, second])
    topology = molecules("C", "O")
    assert intermolecular_clashes(positions, topology).tolist() == [0]
    assert intermolecular_clashes(positions, topology, box * unit.nanometer).tolist() == [1]


def test_every_frame_is_counted_in_its_own_box():
    positions = np.array([[0, 0, 0], [0, 0, 1.9]])
    boxes = np.stack([CUBE, 2 * CUBE])
    assert intermolecular_clashes(np.stack([positions] * 2), molecules("C", "C"), boxes).tolist() == [1, 0]


def test_a_box_narrower_than_a_contact_is_refused():
    with pytest.raises(PositionsError, match=r"box 0\.1 nm wide given"):
        intermolecular_clashes(np.zeros((2, 3)), molecules("C", "C"), 0.05 * CUBE)
