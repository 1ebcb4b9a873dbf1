"""A run has one clock, however often it is resumed, and however old it is."""

import numpy as np
import openmm
import pytest
from openmm import app

from openmm_cgvae.core.errors import OutputError
from openmm_cgvae.io.trajectory_files import TrajectoryReader
from openmm_cgvae.simulation.reporters import TrajectoryReporter

DT = 0.004


@pytest.fixture
def simulation():
    topology, system = app.Topology(), openmm.System()
    chain = topology.addChain()
    for _ in range(3):
        topology.addAtom("B", None, topology.addResidue("B", chain))
        system.addParticle(10.0)
    run = app.Simulation(topology, system, openmm.VerletIntegrator(DT), openmm.Platform.getPlatformByName("Reference"))
    run.context.setPositions(np.arange(9.0).reshape(3, 3))
    run.context.setVelocities(np.full((3, 3), 0.1))
    return run


def times(path, simulation):
    return np.concatenate([chunk.times for chunk in TrajectoryReader(path, simulation.topology)])


def run(simulation, path, steps, interval=5, append=False):
    with TrajectoryReporter(path, interval, append) as reporter:
        simulation.reporters = [reporter]
        simulation.step(steps)
    simulation.reporters = []


@pytest.mark.parametrize("suffix", [".dcd", ".xtc"])
def test_parts_of_a_run_have_the_times_of_the_whole(simulation, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    for k in range(3):
        run(simulation, path, 25, append=k > 0)
    np.testing.assert_allclose(times(path, simulation), 5 * DT * np.arange(1, 16), rtol=1e-6)


@pytest.mark.parametrize("suffix", [".dcd", ".xtc"])
def test_a_run_set_back_to_a_checkpoint_writes_its_later_frames_again(simulation, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    run(simulation, path, 25)
    state = simulation.context.createCheckpoint()
    run(simulation, path, 20, append=True)
    simulation.context.loadCheckpoint(state)
    run(simulation, path, 10, append=True)
    np.testing.assert_allclose(times(path, simulation), 5 * DT * np.arange(1, 8), rtol=1e-6)


@pytest.mark.parametrize("suffix", [".dcd", ".xtc"])
@pytest.mark.parametrize("step", [600_000_000, 2**31 - 3, 5 * 10**9])
def test_a_run_of_any_age_is_written(simulation, tmp_path, suffix, step):
    simulation.currentStep = step
    run(simulation, tmp_path / f"a{suffix}", 30)
    expected = DT * 5 * (step // 5 + np.arange(1, 7))
    np.testing.assert_allclose(times(tmp_path / f"a{suffix}", simulation), expected, rtol=2e-7)


def test_a_run_that_does_not_go_on_is_refused(simulation, tmp_path):
    run(simulation, tmp_path / "a.dcd", 25)
    simulation.step(10)
    before = (tmp_path / "a.dcd").read_bytes()
    with pytest.raises(OutputError, match="the next is at"):
        run(simulation, tmp_path / "a.dcd", 5, append=True)
    with pytest.raises(OutputError, match="ps apart"):
        run(simulation, tmp_path / "a.dcd", 7, interval=7, append=True)
    assert (tmp_path / "a.dcd").read_bytes() == before
