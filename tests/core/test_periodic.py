"""Molecules in triclinic boxes: whole, inside, and never larger than the box."""

import numpy as np
import openmm
import pytest
from openmm import app, unit

from openmm_cgvae.core.errors import DataError, PositionsError
from openmm_cgvae.core.periodic import (
    as_box_vectors,
    box_widths,
    boxes_of_frames,
    check_fits,
    make_whole,
    molecule_labels,
    reduced_vectors,
    spanning_tree,
    vectors_of_cells,
    wrap,
)

CUBE = np.diag([3.0, 3.0, 3.0])
SKEWED = np.array([[3.0, 0, 0], [1.4, 3.2, 0], [-1.2, 1.5, 2.9]])
# Legal in a trajectory file, refused by OpenMM until it is reduced.
UNREDUCED = np.array([[3.0, 0, 0], [2.5, 3.2, 0], [4.2, 2.9, 2.9]])
BOXES = [CUBE, SKEWED, UNREDUCED]
CHAIN = [(0, 1), (1, 2), (2, 3)]


def chains(n_frames=50, seed=0):
    """Zigzag chains of four particles, frames (f, 4, 3), anywhere within 20 nm."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(n_frames, 4, 3))
    steps *= 0.4 / np.linalg.norm(steps, axis=-1, keepdims=True)
    return np.cumsum(steps, axis=1) + rng.uniform(-20, 20, (n_frames, 1, 3))


@pytest.mark.parametrize("box", BOXES)
def test_molecules_wrapped_particle_by_particle_become_whole(box):
    given = chains()
    split = given + np.random.default_rng(1).integers(-3, 4, (*given.shape[:2], 3)) @ box
    whole = make_whole(split, as_box_vectors(box, len(split)), spanning_tree(4, CHAIN))
    np.testing.assert_allclose(whole - whole[:, :1], given - given[:, :1], atol=1e-12)
    np.testing.assert_array_equal(whole[:, 0], split[:, 0])


def test_what_is_whole_is_left_to_the_bit():
    given = chains().astype(np.float32)
    whole = make_whole(given, as_box_vectors(SKEWED, len(given)), spanning_tree(4, CHAIN))
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole, given)


def test_a_spanning_tree_reaches_rings_branches_and_loose_parts():
    tree = spanning_tree(7, [(3, 2), (2, 0), (0, 3), (2, 5), (6, 4)])
    assert sorted(tree[:, 1]) == [1, 2, 3, 4, 5, 6]
    seen = {0}
    for parent, child in tree.tolist():
        assert parent in seen
        seen.add(child)
    assert spanning_tree(1, []).shape == (0, 2)


@pytest.mark.parametrize("box", [CUBE, SKEWED])
def test_molecules_are_wrapped_as_openmm_wraps_them(box):
    positions = np.concatenate([chains(1, seed=k)[0] for k in range(6)])
    bonds = [(i + 4 * k, j + 4 * k) for k in range(6) for i, j in CHAIN]
    own = wrap(positions[None], box[None], molecule_labels(24, bonds))[0]
    np.testing.assert_allclose(own, wrapped_by_openmm(positions, bonds, box), atol=1e-5)


def wrapped_by_openmm(positions, bonds, box):
    system = openmm.System()
    for _ in positions:
        system.addParticle(1.0)
    force = openmm.HarmonicBondForce()
    force.setUsesPeriodicBoundaryConditions(True)
    for i, j in bonds:
        force.addBond(i, j, 0.4, 1.0)
    system.addForce(force)
    system.setDefaultPeriodicBoxVectors(*box)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions)
    return context.getState(positions=True, enforcePeriodicBox=True).getPositions(asNumpy=True)._value


def test_molecules_whose_atoms_alternate_are_wrapped_apart():
    positions = np.array([[[0.1, 0, 0], [4.1, 0, 0], [0.2, 0, 0], [4.3, 0, 0]]], dtype=np.float32)
    wrapped = wrap(positions, CUBE[None], molecule_labels(4, [(0, 2), (3, 1)]))
    np.testing.assert_allclose(wrapped[0, :, 0], [0.1, 1.1, 0.2, 1.3], atol=1e-6)
    assert wrapped.dtype == np.float32


def test_reduced_vectors_are_those_of_openmm():
    vectors = [openmm.Vec3(*row) for row in UNREDUCED]
    expected = app.internal.unitcell.reducePeriodicBoxVectors(vectors).value_in_unit(unit.nanometer)
    np.testing.assert_allclose(reduced_vectors(UNREDUCED), np.array(expected), atol=1e-12)
    np.testing.assert_array_equal(reduced_vectors(np.stack([SKEWED, CUBE])), [SKEWED, CUBE])


def test_widths_are_volume_over_face():
    volume = np.linalg.det(SKEWED)
    faces = [np.linalg.norm(np.cross(SKEWED[i], SKEWED[j])) for i, j in ((1, 2), (2, 0), (0, 1))]
    np.testing.assert_allclose(box_widths(SKEWED), volume / np.array(faces))


def test_a_molecule_that_reaches_its_own_image_is_refused():
    rod = np.array([[[0.0, 0, 0], [0, 0, 0.9], [0, 0, 1.8], [0, 0, 2.7]]])
    check_fits(rod, SKEWED[None], "rod")
    with pytest.raises(PositionsError, match=r"box smaller than the molecule: rod measures 3 nm along box vector c"):
        check_fits(rod / 0.9, SKEWED[None], "rod")
    # A rod along y reaches the next face sooner than it is as long as that box vector is high.
    with pytest.raises(PositionsError, match="box vector b"):
        check_fits(rod[..., [1, 2, 0]] / 0.8, SKEWED[None], "rod")


def test_a_box_smaller_than_the_known_size_is_refused_however_the_molecule_is_folded():
    with pytest.raises(PositionsError, match=r"measures 3\.5 nm"):
        check_fits(np.zeros((1, 4, 3)), CUBE[None], "rod", size_nm=3.5)


@pytest.mark.parametrize(
    "box", [np.zeros((3, 3)), -CUBE, SKEWED.T, np.full((3, 3), np.nan)], ids=["zero", "left", "upper", "nan"]
)
def test_what_is_no_box_is_refused(box):
    with pytest.raises(PositionsError, match="lower triangular"):
        as_box_vectors(box, 1)


def test_boxes_are_one_for_all_or_one_a_frame_with_units_or_without():
    assert as_box_vectors(CUBE, 4).shape == (4, 3, 3)
    np.testing.assert_allclose(as_box_vectors(10 * CUBE * unit.angstrom, 1)[0], CUBE)
    with pytest.raises(PositionsError, match=r"box of shape \(2, 3, 3\) given"):
        as_box_vectors(np.stack([CUBE, CUBE]), 3)


# Edges and angles of lattices on the edge of what OpenMM takes as reduced, where rounding decides.
CELLS = {
    "hexagonal": ([5.0, 5.0, 7.0], [90.0, 90.0, 120.0]),
    "hexagonal, acute": ([5.0, 5.0, 7.0], [90.0, 90.0, 60.0]),
    "truncated octahedron": ([5.0, 5.0, 5.0], [70.52877936550931, 109.47122063449069, 70.52877936550931]),
    "truncated octahedron, amber": ([5.0, 5.0, 5.0], [109.4712190] * 3),
    "dodecahedron": ([5.0, 5.0, 5.0], [60.0, 60.0, 90.0]),
    "dodecahedron, xy hexagon": ([5.0, 5.0, 5.0], [60.0, 60.0, 60.0]),
    "not reduced": ([3.0, 5.0, 6.0], [50.0, 55.0, 45.0]),
}
ROUNDINGS = {
    "double": lambda vectors: vectors,
    "single (XTC)": lambda vectors: vectors.astype(np.float32).astype(float),
    "five digits (GRO)": lambda vectors: np.round(vectors, 5),
}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("scale", [1.0, 1.0033, 0.7919])
def test_openmm_takes_every_box_of_a_file_and_it_is_the_same_lattice(cell, rounding, scale):
    lengths, angles = CELLS[cell]
    given = ROUNDINGS[rounding](vectors_of_cells(scale * np.array([lengths]), np.array([angles])))
    found = boxes_of_frames(given, "a file")
    openmm.System().setDefaultPeriodicBoxVectors(*found[0])
    app.Topology().setPeriodicBoxVectors(found[0] * unit.nanometers)
    # Each is a sum of whole vectors of the other.
    whole = found[0] @ np.linalg.inv(given[0])
    np.testing.assert_allclose(whole, np.round(whole), atol=3e-6)
    assert abs(np.linalg.det(np.round(whole))) == pytest.approx(1)


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell not in ("not reduced", "truncated octahedron, amber")])
def test_angles_and_lengths_of_two_digits_as_in_pdb_files_give_a_box_openmm_takes(cell):
    lengths, angles = CELLS[cell]
    for scale in np.linspace(0.8, 1.2, 7):
        given = vectors_of_cells(np.round([scale * np.array(lengths)], 4), np.round([angles], 2))
        found = boxes_of_frames(given, "a file")
        openmm.System().setDefaultPeriodicBoxVectors(*found[0])
        assert np.linalg.det(found[0]) == pytest.approx(np.linalg.det(given[0]), rel=1e-5)


def test_frames_of_a_box_that_rounding_moves_stay_alike():
    exact = vectors_of_cells([[5.0, 5.0, 7.0]], [[90.0, 90.0, 120.0]])
    given = np.repeat(exact, 50, axis=0) * (1 + 2e-7 * np.random.default_rng(0).uniform(-1, 1, (50, 3, 3)))
    np.testing.assert_allclose(boxes_of_frames(given, "a file"), np.repeat(exact, 50, axis=0), atol=1e-5)


@pytest.mark.parametrize("size", [0.0, 0.1, 0.05])
def test_a_box_of_nothing_or_of_an_angstrom_is_none(size):
    assert boxes_of_frames(np.tile(size * np.eye(3), (4, 1, 1)), "a file") is None
    assert boxes_of_frames(vectors_of_cells(np.full((4, 3), size), np.full((4, 3), 0.0)), "a file") is None


def test_half_a_box_is_refused():
    with pytest.raises(DataError, match=r"a file cannot be used"):
        boxes_of_frames(np.diag([3.0, 3.0, 0.0])[None], "a file")
    with pytest.raises(DataError, match="frames without"):
        boxes_of_frames(np.stack([np.zeros((3, 3)), 3 * np.eye(3)]), "a file")


def test_boxes_that_callers_give_are_reduced_too():
    hexagon = np.array([[5.0, 0, 0], [-2.5000001, 4.3301270, 0], [0, 0, 5.0]])
    openmm.System().setDefaultPeriodicBoxVectors(*as_box_vectors(hexagon, 3)[2])
