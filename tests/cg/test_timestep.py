"""The time step follows the stiffest vibration that is met."""

import numpy as np
import pytest

from openmm_cgvae.cg.potential import TabulatedTerms
from openmm_cgvae.cg.timestep import stable_time_step


def spring(k, beads=((0, 1),), centre=0.5, width=0.1):
    """Harmonic distances as tables, with walls as stiff."""
    x = np.linspace(centre - width, centre + width, 101)
    energies = np.tile(k / 2 * (x - centre) ** 2, (1, 1))
    tables = np.zeros(len(beads), dtype=int)
    return TabulatedTerms(np.array(beads), tables, x[:1], x[-1:], np.array([k]), energies)


def frames(*distances):
    beads = np.zeros((len(distances), 2, 3))
    beads[:, 1, 0] = distances
    return beads


def test_two_beads_on_a_spring_have_a_known_period():
    k, masses = 2.0e4, np.array([4.0, 12.0])
    period = 2 * np.pi / np.sqrt(k / (masses.prod() / masses.sum()))
    # Rounded to 0.01 fs.
    assert stable_time_step([spring(k)], masses, frames(0.5, 0.52)) == pytest.approx(period / 20, abs=1e-5)
    # In the wall as well.
    assert stable_time_step([spring(k)], masses, frames(0.9, 0.9)) == pytest.approx(period / 20, abs=1e-5)


def test_a_linear_chain_vibrates_in_its_normal_modes():
    """Three equal masses and springs in a line: omega^2 = 3 k / m (asymmetric stretch)."""
    line = np.arange(3)[:, None] * np.array([0.5, 0, 0])
    found = stable_time_step([spring(1e4, ((0, 1), (1, 2)))], [10.0] * 3, np.stack([line, line]))
    assert found == pytest.approx(2 * np.pi / np.sqrt(3e4 / 10) / 20, abs=1e-5)


def test_the_stiffest_frame_decides():
    x = np.linspace(0.4, 0.6, 101)
    energies = 1e8 * np.clip(x - 0.5, 0, None)[None] ** 4
    terms = TabulatedTerms(np.array([[0, 1]]), np.zeros(1, int), x[:1], x[-1:], np.array([100.0]), energies)
    soft, both = (stable_time_step([terms], [1.0, 1.0], frames(*d)) for d in ((0.45, 0.46), (0.45, 0.58)))
    assert both < soft


def test_it_stays_between_1_and_20_fs():
    assert stable_time_step([spring(1.0)], [1e4] * 2, frames(0.5, 0.5)) == 0.02
    assert stable_time_step([spring(1e8)], [1.0] * 2, frames(0.5, 0.5)) == 0.001
    assert stable_time_step([], [1.0] * 2, frames(0.5, 0.5)) == 0.02
