"""Many minimisations at once: each goes where it would go alone."""

import numpy as np
import pytest

from openmm_cgvae.atomistic.lbfgs import MAX_STEP_NM, REFRESH, minimize_together

SPREAD = np.array([1.0, 3.0, 10.0, 30.0, 100.0, 0.3])


def wells(*stiffness):
    """Forces of systems of 2 atoms in anisotropic harmonic wells about the origin, a stiffness each."""
    constants = np.array(stiffness)[:, None] * SPREAD
    return lambda positions, numbers: -constants[numbers] * positions


def stiff(constant):
    """A preconditioner that takes every coordinate for as stiff."""
    return lambda positions, numbers: lambda forces, numbers: forces / constant


def start(systems):
    return 0.1 * np.random.default_rng(0).normal(size=(systems, 6))


def rms(forces):
    return np.sqrt((forces**2).mean())


def test_finds_the_minimum_of_each():
    found = minimize_together(wells(1e3, 1e5), start(2), 0.01, 100, stiff(1e5))
    assert np.abs(found).max() < 1e-4


def test_the_exact_stiffness_finds_it_in_one_step():
    positions = 0.1 * start(1)
    exact = stiff(1e3 * SPREAD)
    assert np.abs(minimize_together(wells(1e3), positions, 0.01, 1, exact)).max() < 1e-12
    assert np.abs(minimize_together(wells(1e3), positions, 0.01, 1, stiff(1e5))).max() > 1e-3


def test_the_companions_do_not_matter():
    positions = start(3)
    together = minimize_together(wells(1e2, 1e4, 1e6), positions, 1.0, 2 * REFRESH, stiff(1e6))
    for k, stiffness in enumerate((1e2, 1e4, 1e6)):
        alone = minimize_together(wells(stiffness), positions[k : k + 1], 1.0, 2 * REFRESH, stiff(1e6))
        assert (alone == together[k]).all()


def test_only_what_still_moves_is_evaluated_and_factorised():
    asked, factorised = [], []

    def forces(positions, numbers):
        asked.append(numbers.tolist())
        return wells(1e3, 1e3)(positions, numbers)

    def factorize(positions, numbers):
        factorised.append(numbers.tolist())
        return stiff(1e3 * SPREAD)(positions, numbers)

    positions = start(2)
    positions[0] = 0.0
    found = minimize_together(forces, positions, 0.01, 3, factorize)
    assert asked[0] == [0, 1] and asked[1:] and all(numbers == [1] for numbers in asked[1:])
    assert factorised == [[1]]
    assert (found[0] == 0.0).all()


def test_the_stiffness_is_taken_anew_where_the_systems_have_come_to():
    seen = []

    def factorize(positions, numbers):
        seen.append(positions.copy())
        return stiff(1e6)(positions, numbers)

    positions = start(1)
    minimize_together(wells(1e3), positions, 1e-9, REFRESH + 1, factorize)
    halfway = minimize_together(wells(1e3), positions, 1e-9, REFRESH, stiff(1e6))
    assert len(seen) == 2 and (seen[0] == positions).all() and (seen[1] == halfway).all()


def test_no_atom_moves_further_than_it_may_in_a_step():
    positions = start(1)
    moved = minimize_together(lambda x, _: np.full_like(x, 1e12), positions, 1.0, 1, stiff(1.0)) - positions
    assert np.linalg.norm(moved.reshape(2, 3), axis=1).max() == pytest.approx(MAX_STEP_NM)


def test_stops_where_the_forces_are_small():
    positions = start(1)
    size = rms(wells(1e3)(positions, [0]))
    assert (minimize_together(wells(1e3), positions, 1.01 * size, 50, stiff(1e5)) == positions).all()
    assert (minimize_together(wells(1e3), positions, 0.99 * size, 50, stiff(1e5)) != positions).any()


def test_goes_on_until_the_tolerance_is_reached_if_no_number_is_given():
    found = minimize_together(wells(1e3), start(1), 1e-6, 0, stiff(1e5))
    assert rms(wells(1e3)(found, [0])) <= 1e-6


def test_a_system_without_finite_forces_stays_and_spoils_no_other():
    def forces(positions, numbers):
        return np.where(numbers[:, None] == 0, np.nan, wells(1e3, 1e3)(positions, numbers))

    positions = start(2)
    found = minimize_together(forces, positions, 0.01, 100, stiff(1e5))
    assert (found[0] == positions[0]).all()
    assert np.abs(found[1]).max() < 1e-4
