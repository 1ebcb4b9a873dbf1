import numpy as np
import pytest
import torch
from openmm import Vec3, unit

from openmm_cgvae.core.errors import PositionsError
from openmm_cgvae.core.units import as_positions_nm, value_in_md_units

POSITIONS = np.arange(12.0).reshape(2, 2, 3)


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        (2.0 * unit.angstrom, 0.2),
        (3.0 * unit.femtosecond, 0.003),
        (1.0 * unit.kilocalorie_per_mole, 4.184),
        (300.0 * unit.kelvin, 300.0),
        (1.5, 1.5),
        ("text", "text"),
    ],
)
def test_quantities_become_md_units_and_all_else_passes(quantity, value):
    assert value_in_md_units(quantity) == pytest.approx(value) if value != "text" else quantity


@pytest.mark.parametrize(
    "given",
    [
        POSITIONS,
        POSITIONS.tolist(),
        POSITIONS.astype(int),
        torch.as_tensor(POSITIONS),
        10 * POSITIONS * unit.angstrom,
        [10 * frame * unit.angstrom for frame in POSITIONS],
    ],
    ids=["array", "list", "integers", "tensor", "quantity", "list-of-quantities"],
)
def test_every_form_of_positions_becomes_the_same_nm(given):
    result = as_positions_nm(given, 2)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, POSITIONS, atol=1e-14)


@pytest.mark.parametrize(
    "given",
    [
        POSITIONS[1],
        [Vec3(*row) for row in POSITIONS[1]] * unit.nanometer,
        [10 * Vec3(*row) * unit.angstrom for row in POSITIONS[1]],
    ],
    ids=["array", "quantity-of-vec3", "vec3-quantities"],
)
def test_one_frame_becomes_one_of_many(given):
    result = as_positions_nm(given, 2)
    assert result.shape == (1, 2, 3)
    np.testing.assert_allclose(result[0], POSITIONS[1], atol=1e-14)


def test_single_precision_stays_single():
    assert as_positions_nm(POSITIONS.astype(np.float32), 2).dtype == np.float32


def test_no_frames_are_no_frames():
    assert as_positions_nm(np.zeros((0, 2, 3)), 2).shape == (0, 2, 3)


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        (np.zeros((3, 3)), r"\(3, 3\)"),
        (np.zeros((5, 3, 3)), r"\(3, 3\)"),
        (np.zeros((2, 2)), r"\(2, 2\)"),
        (np.zeros(6), r"\(6,\)"),
        (np.zeros((1, 1, 2, 3)), r"\(1, 1, 2, 3\)"),
        ([], r"\(0,\)"),
    ],
)
def test_wrong_shapes_are_refused_with_what_was_expected(given, shape):
    with pytest.raises(PositionsError, match=rf"shape {shape} given, \(2, 3\) a frame expected.*2 beads"):
        as_positions_nm(given, 2, "beads")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_frame_that_is_not_finite_is_named(value):
    positions = np.zeros((5, 2, 3))
    positions[3, 1, 2] = value
    with pytest.raises(PositionsError, match="frame 3 hold NaN or infinity"):
        as_positions_nm(positions, 2)


def test_quantities_that_are_no_lengths_are_refused():
    with pytest.raises(PositionsError, match="kelvin"):
        as_positions_nm(POSITIONS * unit.kelvin, 2)


@pytest.mark.parametrize("given", [[[1, 2, 3], [1, 2]], "positions", None, [["a", "b", "c"]] * 2, 7])
def test_what_is_no_positions_at_all_is_refused(given):
    with pytest.raises(PositionsError):
        as_positions_nm(given, 2)
