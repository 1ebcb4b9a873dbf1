"""Runs that are killed at random are, to the byte, those that were not; the benchmarks do it for longer."""

import pytest
from conftest import benchmark


@pytest.mark.slow
def test_a_run_restarted_five_times_is_the_run_of_one_piece(tmp_path):
    kills, differing = benchmark("soak").soak(tmp_path, 10_000, 50, 500, restarts=5, samples=2, seed=1)
    assert kills == 5
    assert not differing


@pytest.mark.slow
def test_simulate_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    from openmm_cgvae.simulation import checkpoint

    kill = benchmark("kill")
    monkeypatch.setattr(checkpoint, "CHECKPOINT_STEPS", kill.CHECKPOINT_STEPS)
    # More trials where kills come too late, as after a first run on a machine that was busier then.
    same, trials, kills, problems = kill.survive("simulate", 30, most=3)
    assert (same, problems) == (trials, [])
    assert kills >= 3
