import numpy as np
import pytest

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.metrics.distribution import (
    jensen_shannon,
    jensen_shannon_floor,
    jensen_shannon_with_floor,
    wasserstein,
)

THIRD = (-np.pi / 3, np.pi / 3)


def test_identical_is_zero_and_disjoint_is_ln_2():
    angles = np.linspace(-3, -0.1, 50)
    assert jensen_shannon(angles, angles) == 0
    np.testing.assert_allclose(jensen_shannon(angles, -angles), np.log(2))


def test_worked_by_hand():
    # p = (1/2, 1/2), q = (1, 0): half of ln(2/3)/2 + ln(2)/2, and half of ln(4/3).
    expected = (np.log(2 / 3) / 2 + np.log(2) / 2 + np.log(4 / 3)) / 2
    assert jensen_shannon([-1.0, 1.0], [-1.0, -2.0, -1.5], bins=2) == pytest.approx(expected)
    assert jensen_shannon([-1.0, -2.0, -1.5], [-1.0, 1.0], bins=2) == pytest.approx(expected)


def test_angles_are_periodic():
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, 200)
    assert jensen_shannon(angles, angles + 4 * np.pi) == pytest.approx(0)
    assert jensen_shannon([np.pi], [-np.pi]) == 0
    assert np.isfinite(jensen_shannon([np.nextafter(-np.pi, -4)], [0.0]))


def test_threefold_symmetry_is_folded():
    angles = np.random.default_rng(0).normal(0, 0.1, 300)
    turned = angles + 2 * np.pi / 3 * np.arange(300)
    assert jensen_shannon(angles, turned, bins=20, range=THIRD) == pytest.approx(0, abs=1e-2)
    assert jensen_shannon(angles, turned) > 0.3


def test_two_dimensions_see_what_the_margins_do_not():
    corner = np.array([[-1.0, -1.0], [1.0, 1.0]])
    other = np.array([[-1.0, 1.0], [1.0, -1.0]])
    assert jensen_shannon(corner, corner) == 0
    np.testing.assert_allclose(jensen_shannon(corner, other), np.log(2))
    assert jensen_shannon(corner[:, 0], other[:, 0]) == 0


@pytest.mark.parametrize("samples", [[], [np.nan], 1.0, np.zeros((2, 2, 2)), np.zeros((2, 2))])
def test_samples_that_cannot_be_compared_are_refused(samples):
    with pytest.raises(DataError):
        jensen_shannon([0.0], samples)


def test_floor_keeps_runs_whole():
    # Each of two runs sits in its own well: halves by run are disjoint, halves by frame nearly equal.
    reference = np.repeat([-1.0, 1.0], 500)
    runs = np.repeat([0, 1], 500)
    np.testing.assert_allclose(jensen_shannon_floor(reference, runs), np.log(2))
    assert jensen_shannon_floor(reference) < 0.01


def test_full_halves_use_every_sample_once():
    reference, runs = np.random.default_rng(0).normal(size=200), np.repeat([4, 9], 100)
    expected = jensen_shannon(reference[:100], reference[100:])
    assert jensen_shannon_floor(reference, runs) == pytest.approx(expected, rel=1e-12)


def test_floor_falls_with_the_count_and_repeats_with_the_seed():
    reference = np.random.default_rng(0).normal(0, 1, 20000)
    few, many = (jensen_shannon_floor(reference, count=count, seed=3) for count in (100, 10000))
    assert few > 10 * many > 0
    assert jensen_shannon_floor(reference, count=100, seed=3) == few
    assert jensen_shannon_floor(reference, count=100, seed=4) != few


def test_floor_refuses_what_it_cannot_halve():
    with pytest.raises(DataError, match="1 run given"):
        jensen_shannon_floor([0.0, 1.0], [7, 7])
    with pytest.raises(DataError, match="ask for fewer"):
        jensen_shannon_floor(np.zeros(10), count=6)
    with pytest.raises(DataError, match="run ids"):
        jensen_shannon_floor(np.zeros(10), np.zeros(9))


def test_a_perfect_sampler_meets_the_floor_and_a_poor_one_does_not():
    rng = np.random.default_rng(0)
    reference, perfect, poor = rng.normal(0, 0.5, 8000), rng.normal(0, 0.5, 4000), rng.normal(0.3, 0.5, 4000)
    divergence, floor = jensen_shannon_with_floor(perfect, reference)
    assert divergence == pytest.approx(floor, rel=0.3)
    divergence, same_floor = jensen_shannon_with_floor(poor, reference)
    assert divergence > 5 * floor
    assert same_floor == floor


def test_both_are_thinned_to_the_same_count():
    reference = np.random.default_rng(0).uniform(-np.pi, np.pi, 10000)
    divergence, floor = jensen_shannon_with_floor(reference[:100], reference)
    assert floor == jensen_shannon_floor(reference, count=100)
    assert divergence == pytest.approx(floor, rel=0.3)


def test_runs_of_unequal_length():
    runs = np.repeat([0, 1, 2], [5, 50, 500])
    reference = np.random.default_rng(0).normal(size=555)
    assert 0 < jensen_shannon_floor(reference, runs) < np.log(2)
    with pytest.raises(DataError, match="the reference has 5"):
        jensen_shannon_floor(reference, runs, count=6)


def test_wasserstein_is_the_shift_of_every_column():
    a = np.random.default_rng(0).normal(size=(100, 2))
    np.testing.assert_allclose(wasserstein(a, a + np.array([0.5, 0.0])), [0.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(wasserstein([0.0, 1.0], [0.0]), [0.5])
    with pytest.raises(DataError):
        wasserstein(a, a[:, :1])
