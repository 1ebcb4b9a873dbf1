"""Histograms of a potential's coordinates, and the step from one to another."""

import numpy as np
import pytest
from test_potential import TEMPERATURE, chain_frames, pair_frames

from openmm_cgvae.cg.boltzmann import boltzmann_inversion
from openmm_cgvae.cg.histograms import histogram_features, relative_entropy_step


@pytest.fixture
def generator():
    return np.random.default_rng(5)


def two_states(generator, n, share):
    """Distances near 0.4 nm, the given share of them near 0.6 nm."""
    centre = np.where(generator.random(n) < share, 0.6, 0.4)
    return pair_frames(generator, generator.normal(centre, 0.02))


def test_a_frame_counts_once_a_term(generator):
    frames = chain_frames(generator, 50)
    potential = boltzmann_inversion(frames, [[k, k + 1] for k in range(4)], TEMPERATURE, [15] * 5, types=[0] * 5)
    features = histogram_features(potential, frames)
    assert features.shape == (50, 5, 25)
    # 4 bonds, 3 spanned, 3 apart (in the order of first pairs), 3 angles, 2 chiralities.
    np.testing.assert_allclose(features.sum(2), np.tile([4, 3, 3, 3, 2], (50, 1)), rtol=1e-5)
    # Frames beyond the tables count at the edges.
    assert np.isfinite(histogram_features(potential, 100 * frames)).all()


def test_no_step_without_a_difference(generator):
    frames = two_states(generator, 500, 0.5)
    potential = boltzmann_inversion(frames, [[0, 1]], TEMPERATURE, [10, 10])
    features = histogram_features(potential, frames)
    steps = relative_entropy_step(potential, features, features, generator)
    assert [step.shape for step in steps] == [(1, 100), (0, 100), (0, 100)]
    np.testing.assert_allclose(steps[0], 0, atol=1e-6)


def test_a_state_that_is_too_frequent_is_raised(generator):
    wanted, found = two_states(generator, 20_000, 0.5), two_states(generator, 20_000, 0.8)
    potential = boltzmann_inversion(wanted, [[0, 1]], TEMPERATURE, [10, 10])
    sides = [histogram_features(potential, frames) for frames in (found, wanted)]
    step = relative_entropy_step(potential, *sides, generator)[0][0]
    x = np.linspace(potential.distances.lower[0], potential.distances.upper[0], 100)
    raised = step[abs(x - 0.6).argmin()] - step[abs(x - 0.4).argmin()]
    # The whole way is ln(0.8/0.5) - ln(0.2/0.5) = 1.39; Newton's step from so far falls short of it.
    assert 0.5 < raised < 1.39


def test_terms_that_move_together_share_the_step(generator):
    """Nine distances that switch together must not add up to nine times the change of one."""
    n = 4000
    line = np.arange(4)[:, None] * np.array([0.4, 0.0, 0.0])

    def switching(share):
        scale = np.where(generator.random(n) < share, 1.5, 1.0)
        return scale[:, None, None] * line + generator.normal(0, 0.01, (n, 4, 3))

    wanted, found = switching(0.5), switching(0.6)
    potential = boltzmann_inversion(wanted, [[0, 1], [1, 2], [2, 3]], TEMPERATURE, [10] * 4)
    sides = [histogram_features(potential, frames) for frames in (found, wanted)]
    changes = relative_entropy_step(potential, *sides, generator)
    changed = potential.with_energies(changes)
    difference = changed.distances.energy(changed.distances.values(np.stack([1.5 * line, line])))
    # ln(0.6/0.4) = 0.41 kT in all six distances together, not 2.4.
    assert difference.sum(1)[0] - difference.sum(1)[1] == pytest.approx(np.log(0.6 / 0.4), abs=0.15)
