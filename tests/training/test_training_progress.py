"""A bar of a training counts what the time allows."""

import math

import pytest

from openmm_cgvae.training import progress
from openmm_cgvae.training.progress import allowed_units, progress_bar


@pytest.mark.parametrize(
    ("done", "elapsed", "seconds", "expected"),
    [
        (2, 20.0, math.inf, 100),
        # At 10 s each, 6 in a minute; never fewer than are done, nor more than are wanted.
        (2, 20.0, 60.0, 6),
        (7, 70.0, 60.0, 7),
        (2, 0.1, 60.0, 100),
        (1, 0.0, 60.0, 100),
    ],
)
def test_units_that_the_time_allows(done, elapsed, seconds, expected):
    assert allowed_units(done, elapsed, 100, seconds) == expected


def test_the_bar_ends_where_the_time_does_and_knows_what_was_there_before(monkeypatch):
    clock, bars, make = [0.0], [], progress.core_bar
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(progress, "core_bar", lambda **how: bars.append(make(**how)) or bars[0])
    with progress_bar(100, True, "epoch", initial=30, seconds=60.0) as tick:
        for _ in range(2):
            clock[0] += 12.0
            tick(train="1")
        assert (bars[0].n, bars[0].total) == (32, 35)


def test_none_is_shown_where_none_is_wanted():
    with progress_bar(3, False, "epoch") as tick:
        assert tick is None
