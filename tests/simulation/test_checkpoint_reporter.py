"""A run that is killed at any moment goes on without missing or doubled frames."""

import multiprocessing
import random
import signal
import time

import numpy as np
import pytest
from openmm import app

import openmm_cgvae
from openmm_cgvae import Backmapper, BackmapReporter, CheckpointReporter
from openmm_cgvae.cg.system import create_cg_simulation
from openmm_cgvae.core.errors import OutputError, PositionsError, SettingsError
from openmm_cgvae.io.trajectory_files import TrajectoryReader
from openmm_cgvae.simulation.reporters import TrajectoryReporter

INTERVAL = 5


class Progress:
    """Tells another process of the steps of this one."""

    def __init__(self, reached):
        self.reached = reached

    def describeNextReport(self, simulation):
        return (1, False, False, False, False, None)

    def report(self, simulation, state):
        self.reached.value = simulation.currentStep


def program(reached, model, folder, steps, suffix):
    """Run to a number of steps, or go on to it."""
    backmapper = Backmapper.load(model)
    simulation = simulation_of(backmapper)
    resumed = (folder / "run.chk").exists()
    if resumed:
        simulation.loadCheckpoint(str(folder / "run.chk"))
    how = {"append": resumed, "overwrite": True, "seed": 3, "nSamples": 2}
    with (
        BackmapReporter(folder / f"aa{suffix}", INTERVAL, backmapper, **how) as atoms,
        TrajectoryReporter(folder / f"cg{suffix}", INTERVAL, append=resumed) as beads,
    ):
        simulation.reporters += [atoms, beads, CheckpointReporter(folder / "run.chk", 100), Progress(reached)]
        simulation.step(steps - simulation.currentStep)


def simulation_of(backmapper):
    return create_cg_simulation(backmapper.mapping, backmapper.cg_potential(), seed=3)


def finished(started):
    process, _ = started
    process.join()
    assert process.exitcode == 0


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".dcd", ".xtc"])
def test_a_run_killed_several_times_is_the_run_that_was_not(model_path, tmp_path, suffix):
    draw, steps = random.Random(1), 2000
    folders = [tmp_path / name for name in ("whole", "parts")]
    # A process that has imported everything already, so that it is killed at work.
    forked = multiprocessing.get_context("fork")

    def started(folder):
        reached = forked.Value("q", 0, lock=False)
        process = forked.Process(target=program, args=(reached, model_path, folder, steps, suffix))
        process.start()
        return process, reached

    for folder in folders:
        folder.mkdir()
    finished(started(folders[0]))
    for k in range(4):
        process, reached = started(folders[1])
        # Kills are timed by steps: a clock would count on a speed that stays.
        moment = (k + draw.random()) * steps / 6
        while reached.value < moment and process.is_alive():
            time.sleep(0.001)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    finished(started(folders[1]))
    for name in (f"aa{suffix}", f"cg{suffix}"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_no_checkpoint_is_ahead_of_the_files(backmapper, tmp_path):
    """Each time that one is saved, all frames up to its step are in the files."""
    simulation, counts = simulation_of(backmapper), []
    atoms = BackmapReporter(tmp_path / "aa.dcd", INTERVAL, backmapper, seed=1)
    beads = TrajectoryReporter(tmp_path / "cg.dcd", INTERVAL)

    class Counting(CheckpointReporter):
        def _content(self, context):
            for name, topology in (("aa.dcd", backmapper.topology), ("cg.dcd", backmapper.cg_topology())):
                counts.append((simulation.currentStep, TrajectoryReader(tmp_path / name, topology).n_frames))
            return super()._content(context)

    with atoms, beads:
        simulation.reporters += [atoms, beads, Counting(tmp_path / "run.chk", 30)]
        simulation.step(150)
    assert counts == [(step, step // INTERVAL) for step in range(30, 151, 30) for _ in range(2)]
    other = simulation_of(backmapper)
    other.loadCheckpoint(str(tmp_path / "run.chk"))
    assert other.currentStep == 150


def test_a_state_can_be_saved_in_place_of_a_checkpoint(backmapper, tmp_path):
    simulation = simulation_of(backmapper)
    simulation.reporters.append(CheckpointReporter(tmp_path / "state.xml", 10, writeState=True))
    simulation.step(25)
    other = simulation_of(backmapper)
    other.loadState(str(tmp_path / "state.xml"))
    assert other.currentStep == 20


def test_a_reporter_that_would_be_behind_is_refused_before_the_run(backmapper, tmp_path):
    simulation = simulation_of(backmapper)
    atoms = BackmapReporter(tmp_path / "aa.dcd", INTERVAL, backmapper)
    simulation.reporters += [CheckpointReporter(tmp_path / "run.chk", 30), atoms]
    with pytest.raises(SettingsError, match=r"BackmapReporter appended after a CheckpointReporter.*append .* last"):
        simulation.step(100)
    assert simulation.currentStep == 0
    with pytest.raises(SettingsError, match=r"reportInterval=0\.5"):
        CheckpointReporter(tmp_path / "run.chk", 0.5)
    with pytest.raises(OutputError, match="does not exist"):
        CheckpointReporter(tmp_path / "no" / "run.chk", 5)


def test_a_frame_that_went_wrong_keeps_the_last_checkpoint(backmapper, tmp_path):
    simulation = simulation_of(backmapper)
    with pytest.raises(PositionsError), BackmapReporter(tmp_path / "aa.dcd", INTERVAL, backmapper) as atoms:
        simulation.reporters += [atoms, CheckpointReporter(tmp_path / "run.chk", 20)]
        simulation.step(20)
        before = (tmp_path / "run.chk").read_bytes()
        simulation.context.setPositions(np.arange(9.0).reshape(3, 3) * 1e4)
        simulation.step(20)
    assert (tmp_path / "run.chk").read_bytes() == before


@pytest.mark.parametrize("suffix", [".dcd", ".xtc"])
def test_a_gap_is_an_error_and_later_frames_are_cut_as_the_log_says(backmapper, tmp_path, suffix, caplog):
    path, simulation = tmp_path / f"aa{suffix}", simulation_of(backmapper)

    def run(steps, append):
        with BackmapReporter(path, INTERVAL, backmapper, append, seed=1, nSamples=2) as atoms:
            simulation.reporters = [atoms]
            simulation.step(steps)
        simulation.reporters = []

    run(50, False)
    early = simulation.context.createCheckpoint()
    run(20, True)
    whole = path.read_bytes()
    simulation.context.loadCheckpoint(early)
    run(20, True)
    assert "8 frames at the end of" in caplog.text
    assert path.read_bytes() == whole
    simulation.step(30)
    with pytest.raises(OutputError, match="go on from a checkpoint that is not ahead of it"):
        run(20, True)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("suffix", [".dcd", ".xtc"])
@pytest.mark.parametrize("left", [0, 100, 280])
def test_a_file_without_a_frame_is_begun_anew(backmapper, tmp_path, suffix, left):
    """As a process leaves it that is killed while it writes the first one."""
    path, simulation = tmp_path / f"aa{suffix}", simulation_of(backmapper)
    simulation.step(3)
    begin = simulation.context.createCheckpoint()
    for append in (False, True):
        simulation.context.loadCheckpoint(begin)
        with BackmapReporter(path, INTERVAL, backmapper, append, seed=1) as atoms:
            simulation.reporters = [atoms]
            simulation.step(20)
        content = path.read_bytes()
        if not append:
            whole = content
            path.write_bytes(content[:left])
    assert content == whole


def test_the_frame_after_a_checkpoint_before_the_first_frame_is_written_again(backmapper, tmp_path):
    path, simulation = tmp_path / "aa.dcd", simulation_of(backmapper)
    simulation.step(3)
    begin = simulation.context.createCheckpoint()
    for append, steps in ((False, 3), (True, 20)):
        simulation.context.loadCheckpoint(begin)
        with BackmapReporter(path, INTERVAL, backmapper, append, seed=1) as atoms:
            simulation.reporters = [atoms]
            simulation.step(steps)
        simulation.reporters = []
    assert TrajectoryReader(path, backmapper.topology).n_frames == 4
    simulation.context.setStepCount(0)
    with pytest.raises(OutputError, match="it begins at"), BackmapReporter(path, INTERVAL, backmapper, True) as atoms:
        # From the beginning: all that there is would go.
        simulation.reporters = [atoms]
        simulation.step(20)


def test_openmms_own_checkpoint_reporter_reads_and_writes_the_same_format(backmapper, tmp_path):
    simulation = simulation_of(backmapper)
    simulation.reporters += [
        app.CheckpointReporter(str(tmp_path / "openmm.chk"), 10), CheckpointReporter(tmp_path / "own.chk", 10)
    ]  # fmt: skip
    simulation.step(10)
    assert (tmp_path / "openmm.chk").read_bytes() == (tmp_path / "own.chk").read_bytes()
    assert openmm_cgvae.CheckpointReporter is CheckpointReporter
