import numpy as np
import pytest
from openmm import unit
from scipy.stats import kstest

from openmm_cgvae.core import noise
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.noise import checked_correlation_time, correlated_noise, gaussian_noise

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


# ------------------------------------------------------------------------------------------- correlated


@pytest.fixture
def unit_responses(monkeypatch):
    """Noise whose "sample" j is 1 in the j-th of the frames drawn: `correlated_noise` then is its own linear map."""
    monkeypatch.setattr(noise, "gaussian_noise", lambda seed, frames, samples, size: np.eye(len(frames))[:, None])


@pytest.mark.parametrize("correlation", [0.05, 0.4, 1.0, 7.3, 1e4])
@pytest.mark.parametrize("frames", [np.arange(40), np.array([0, 3, 17, 1000, 1001, 5000])])
def test_covariance_of_frames_is_exactly_that_of_an_ar1_process(unit_responses, frames, correlation):
    weights = correlated_noise(0, frames, [0], 1, correlation)[:, 0]
    expected = np.exp(-abs(frames[:, None] - frames) / correlation)
    np.testing.assert_allclose(weights @ weights.T, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("correlation", [0.0, 0.02])
def test_without_correlation_the_noise_is_what_it_was(correlation):
    np.testing.assert_array_equal(
        correlated_noise(3, [7, 2, 2], SAMPLES, 7, correlation), gaussian_noise(3, [7, 2, 2], SAMPLES, 7)
    )


@pytest.mark.parametrize("correlation", [0.3, 5.0, 1e5, 1e12])
def test_correlated_noise_does_not_depend_on_how_the_work_is_split(correlation):
    frames = np.arange(1000, 1100)
    whole = correlated_noise(3, frames, SAMPLES, 7, correlation)
    for cuts in ([1, 2], [37], [64, 65, 90]):
        parts = [correlated_noise(3, part, SAMPLES, 7, correlation) for part in np.split(frames, cuts)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(correlated_noise(3, frames[::-7], [4, 1], 7, correlation), whole[::-7][:, [4, 1]])


def test_each_correlated_frame_is_unit_gaussian_and_correlated_as_said():
    n, correlation = 20_000, 3.0
    draws = correlated_noise(5, np.arange(6), np.arange(n), 1, correlation)[..., 0]
    assert min(kstest(frame, "norm").pvalue for frame in draws) > 0.01
    np.testing.assert_allclose(draws.var(1), 1, atol=4 * np.sqrt(2 / n))
    expected = np.exp(-abs(np.subtract.outer(np.arange(6), np.arange(6))) / correlation)
    np.testing.assert_allclose(np.corrcoef(draws), expected, atol=4 / np.sqrt(n))


def test_samples_and_numbers_of_a_frame_stay_independent():
    draws = correlated_noise(5, np.arange(0, 20_000 * 40, 40), [0, 1], 3, 4.0).reshape(-1, 6)
    assert np.abs(np.corrcoef(draws.T) - np.eye(6)).max() < 4 / np.sqrt(20_000)


@pytest.mark.parametrize("correlation", [-1.0, np.nan, np.inf, 2e12])
def test_correlation_out_of_range_is_refused(correlation):
    with pytest.raises(SettingsError, match="correlation time of"):
        correlated_noise(0, FRAMES, SAMPLES, 3, correlation)


def test_correlation_times_come_in_ps_or_with_a_unit():
    assert checked_correlation_time(None) == 0.0
    assert checked_correlation_time(2) == 2.0
    assert checked_correlation_time(3 * unit.nanoseconds) == pytest.approx(3000.0)
    for wrong in (-1.0, np.nan, np.inf, "long"):
        with pytest.raises(SettingsError, match="0 or more"):
            checked_correlation_time(wrong)
