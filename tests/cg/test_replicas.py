"""Several runs from different starts."""

import numpy as np
import pytest
from test_cg_system import make

from openmm_cgvae.cg.replicas import choose_starts, run_replicas
from openmm_cgvae.core.errors import SimulationError


@pytest.fixture(scope="module")
def model():
    return make(3)


def test_every_run_goes_on_from_its_own_start(model):
    mapping, potential = model
    starts = potential.starts_nm[:3]
    frames = run_replicas(mapping, potential, starts, 45, 10, seed=1)
    assert frames.shape == (3, 4, 3, 3)
    one_step = run_replicas(mapping, potential, starts, 1, 1, seed=1)
    # A step of some fs at thermal velocities, about 0.4 nm/ps.
    assert np.abs(one_step[:, 0] - starts).max() < 0.02
    np.testing.assert_array_equal(frames, run_replicas(mapping, potential, starts, 45, 10, seed=1))
    assert (frames != run_replicas(mapping, potential, starts, 45, 10, seed=2)).any()


def test_starts_are_different_frames_centred(model):
    frames = model[1].starts_nm
    starts = choose_starts(frames + 1.0, 8, seed=0)
    np.testing.assert_allclose(starts.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(np.sort(starts, axis=0), np.sort(frames - frames.mean(1, keepdims=True), axis=0))


def test_an_unstable_run_says_so(model):
    from dataclasses import replace

    wild = replace(model[1], time_step_ps=1.0)
    with pytest.raises(SimulationError, match="unstable"):
        run_replicas(model[0], wild, wild.starts_nm[:1], 100_000, 50_000, seed=1)
