"""Steps within a time: whichever is used up first tells how far a training is."""

import pytest

from openmm_cgvae.training import budget
from openmm_cgvae.training.budget import Budget


@pytest.fixture
def clock(monkeypatch):
    """A clock to set: ``clock[0] = seconds``."""
    now = [100.0]
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])
    return now


def test_steps_alone_count_without_a_limit(clock):
    steps = Budget(4)
    clock[0] += 1e6
    assert [steps.part(k) for k in (0, 1, 3, 4, 5)] == [0.0, 0.25, 0.75, 1.0, 1.0]
    assert steps.left == float("inf")


def test_the_time_counts_where_more_of_it_is_used_up(clock):
    steps = Budget(10, seconds=20.0)
    clock[0] += 5.0
    assert steps.part(1) == pytest.approx(0.25)
    assert steps.part(6) == pytest.approx(0.6)
    assert steps.left == pytest.approx(15.0)
    clock[0] += 30.0
    assert steps.part(1) == 1.0
    assert steps.left == pytest.approx(-15.0)


@pytest.mark.parametrize("nothing", [Budget(0), Budget(5, seconds=0.0)], ids=["steps", "time"])
def test_nothing_to_do_is_done(nothing):
    assert nothing.part(0) == 1.0
