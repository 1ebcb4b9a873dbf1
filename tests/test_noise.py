import numpy as np
import pytest
from scipy.stats import kstest

from openmm_cgvae.noise import gaussian_noise

FRAMES, SAMPLES = np.arange(12), np.arange(5)


def test_noise_does_not_depend_on_how_the_frames_are_split():
    whole = gaussian_noise(3, FRAMES, SAMPLES, 7)
    parts = [gaussian_noise(3, part, SAMPLES, 7) for part in (FRAMES[:1], FRAMES[1:8], FRAMES[8:])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_noise_does_not_depend_on_how_the_samples_are_split():
    whole = gaussian_noise(3, FRAMES, SAMPLES, 7)
    parts = [gaussian_noise(3, FRAMES, part, 7) for part in (SAMPLES[:2], SAMPLES[2:])]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize("chosen", [[5], [9, 2, 3, 3, 0], [0, 2, 4, 6], [11, 10, 9]])
def test_frames_may_come_in_any_order_with_gaps(chosen):
    whole = gaussian_noise(3, FRAMES, SAMPLES, 7)
    np.testing.assert_array_equal(gaussian_noise(3, chosen, [4, 1], 7), whole[chosen][:, [4, 1]])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 13])
def test_any_size_gives_neighbours_that_share_no_number(size):
    noise = gaussian_noise(0, FRAMES, SAMPLES, size)
    assert noise.shape == (12, 5, size)
    assert len(np.unique(noise)) == noise.size


@pytest.mark.parametrize(("seed", "other"), [(0, 1), (2**63, 2**63 + 1), (2**64 - 1, 2**64 - 2), (1, 2**32 + 1)])
def test_neighbouring_seeds_share_no_number(seed, other):
    one, two = (gaussian_noise(s, FRAMES, SAMPLES, 8) for s in (seed, other))
    assert not np.intersect1d(one, two).size


def test_frames_beyond_32_bits_have_noise_of_their_own():
    far = gaussian_noise(0, [2**40, 2**40 + 1], [0], 6)
    near = gaussian_noise(0, [0, 1], [0], 6)
    assert not np.intersect1d(far, near).size
    np.testing.assert_array_equal(far[1:], gaussian_noise(0, [2**40 + 1], [0], 6))


def test_no_frames_give_no_noise():
    assert gaussian_noise(0, [], SAMPLES, 6).shape == (0, 5, 6)


def test_numbers_are_unit_gaussian():
    draws = gaussian_noise(7, np.arange(1000), np.arange(10), 10).ravel()
    # Three standard errors at 10^5 draws: 1/sqrt(n) for the mean, sqrt(2/n) for the variance.
    assert abs(draws.mean()) < 3 / np.sqrt(1e5)
    assert abs(draws.var() - 1) < 3 * np.sqrt(2 / 1e5)
    assert kstest(draws, "norm").pvalue > 0.01


def test_numbers_of_a_frame_are_uncorrelated_with_each_other_and_the_next_frame():
    noise = gaussian_noise(11, np.arange(20_001), [0], 6)[:, 0]
    both = np.concatenate([noise[:-1], noise[1:]], axis=1)
    correlation = np.corrcoef(both.T) - np.eye(12)
    assert np.abs(correlation).max() < 5 / np.sqrt(20_000)
    assert np.abs(np.corrcoef((both**2).T) - np.eye(12)).max() < 5 / np.sqrt(20_000)
