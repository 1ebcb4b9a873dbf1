import numpy as np
import pytest
from conftest import rotation

from openmm_cgvae.core.errors import DataError, PositionsError
from openmm_cgvae.metrics.diversity import diversity_ratio, move_to_beads, nearest_frames

FRAMES, SAMPLES, SPREAD = 300, 6, 0.02


@pytest.fixture(scope="module")
def sampler(reference, mapping):
    """A p(x | X) that is known: a mean that follows X, and independent noise that leaves the beads where they are."""
    rng = np.random.default_rng(0)
    coefficients = rng.normal(0, 0.5, (2, mapping.n_atoms, 1))

    def draw(beads, spread, seed=0):
        rng = np.random.default_rng(seed)
        sides = (beads[:, 1:] - beads[:, :1])[:, :, None]
        detail = (coefficients * sides).sum(1) + spread * rng.normal(size=(len(beads), mapping.n_atoms, 3))
        return mapping.lift(beads) + detail - mapping.lift(mapping.project(detail))

    return draw


@pytest.fixture(scope="module")
def known(sampler, reference, mapping):
    """Frames of a perfect p(x | X), turned at random, and their beads."""
    rng = np.random.default_rng(1)
    shapes = mapping.project(reference[0][rng.integers(0, 200, FRAMES)].astype(float))
    shapes = shapes - shapes.mean(1, keepdims=True) + rng.normal(0, 0.05, shapes.shape)
    beads = np.stack([shape @ rotation(k) for k, shape in enumerate(shapes)]) + rng.normal(0, 5, (FRAMES, 1, 3))
    return sampler(beads, SPREAD, seed=2), beads


def draws(sampler, beads, spread, samples=SAMPLES):
    return np.stack([sampler(beads, spread, seed=10 + k) for k in range(samples)], axis=1)


@pytest.mark.parametrize(("relative", "tolerance"), [(1.0, 0.03), (0.5, 0.03), (0.0, 1e-6)])
def test_ratio_is_the_spread_that_was_put_in(sampler, known, mapping, graph, relative, tolerance):
    positions, beads = known
    found = diversity_ratio(draws(sampler, beads, relative * SPREAD), positions, mapping, graph)
    assert found["ratio_heavy"] == pytest.approx(relative, abs=tolerance)
    # Without the correction, neighbours this far away would hide how good the sampler is.
    if relative == 1:
        assert found["ratio"] == pytest.approx(1, abs=0.05)
        assert found["ratio_uncorrected"] < 0.95
        # Noise of n atoms, less that of their beads.
        assert found["spread_nm"] < SPREAD * np.sqrt(3)


def test_reference_neighbours_fed_as_samples_score_one(reference, mapping, graph):
    positions, runs = reference
    beads = mapping.project(positions.astype(float))
    nearest, _ = nearest_frames(beads, np.arange(200), runs, 6)
    fed = move_to_beads(positions[nearest], beads, mapping)
    found = diversity_ratio(fed, positions, mapping, graph, runs)
    # 25 frames a run are far apart; at 500 a run it is within 0.06.
    assert 0.7 < found["ratio"] < 1.3


def test_hydrogens_relabelled_are_no_diversity(sampler, known, mapping, graph):
    positions, beads = known
    samples = draws(sampler, beads, 0.0, samples=2)
    for group in graph.equivalent_hydrogens:
        samples[:, 1, group] = samples[:, 1, np.roll(group, 1)]
    assert diversity_ratio(samples, positions, mapping, graph)["ratio"] == pytest.approx(0, abs=1e-6)


def test_samples_that_know_the_reference_have_no_ratio(known, mapping, graph):
    positions, _ = known
    with pytest.raises(DataError, match="do not tell"):
        diversity_ratio(np.stack([positions, positions], axis=1), positions, mapping, graph)


def test_neighbours_are_of_other_runs_and_not_mirrored():
    rng = np.random.default_rng(0)
    shape = rng.normal(size=(4, 3))
    turned, mirrored = shape @ rotation(3) + 7, shape * [1, 1, -1]
    beads = np.stack([shape, shape, turned, mirrored])
    nearest, distances = nearest_frames(beads, [0], runs=[0, 0, 1, 1], neighbours=8)
    assert nearest.tolist() == [[2, 3]]
    assert distances[0, 0] == pytest.approx(0, abs=1e-7)
    assert distances[0, 1] > 0.1


def test_distance_is_that_of_the_best_superposition():
    # A line of three beads, 2 longer at each end: off by (2, 0, 2), once turned back.
    target = np.array([[-1.0, 0, 0], [0, 0.1, 0], [1, 0, 0]])
    longer = np.array([[0.0, -3, 0], [-0.1, 0, 0], [0, 3, 0]]) + 4
    _, distances = nearest_frames(np.stack([target, longer]), [0])
    assert distances[0, 0] == pytest.approx(np.sqrt(8 / 3))


def test_a_moved_copy_comes_back_and_all_beads_are_exact(reference, mapping):
    x = reference[0][:2].astype(float)
    beads = mapping.project(x)
    moved = move_to_beads((x @ rotation(1) + 3)[:, None], beads, mapping)
    np.testing.assert_allclose(moved[:, 0], x, atol=1e-12)
    other = move_to_beads(np.repeat(x[None], 2, axis=0), beads, mapping)
    np.testing.assert_allclose(mapping.project(other[0]), np.repeat(beads[:1], 2, axis=0), atol=1e-12)


def test_errors(known, mapping, graph):
    positions, _ = known
    with pytest.raises(PositionsError, match="expected"):
        diversity_ratio(positions[None], positions, mapping, graph)
    with pytest.raises(DataError, match="at least 2 have a spread"):
        diversity_ratio(positions[:, None], positions, mapping, graph)
    with pytest.raises(DataError, match="at least 2 runs"):
        diversity_ratio(np.stack([positions] * 2, axis=1), positions, mapping, graph, runs=np.zeros(FRAMES))
