"""Frames that cannot be backmapped are named by their number in the file, and cost no good frame."""

import numpy as np
import openmm
import pytest
from openmm import app

from openmm_cgvae.backmapping.trajectory import backmap_trajectory
from openmm_cgvae.core.errors import DataError, PositionsError, SettingsError
from openmm_cgvae.io.trajectory_files import TrajectoryReader, TrajectoryWriter
from openmm_cgvae.simulation.reporter import BackmapReporter
from openmm_cgvae.simulation.system import SystemBackmapper

FRAMES = 40


@pytest.fixture
def beads(reference, mapping):
    return mapping.project(reference[0][:FRAMES]).astype(np.float32)


def spoiled(beads, *bad):
    """Beads with NaN in the first bad frame, blown up in the next, and so on."""
    beads = beads.copy()
    for k, frame in enumerate(bad):
        beads[frame] = [np.nan, 1e4, -3e3][k % 3] * np.arange(9).reshape(3, 3)
    return beads


def write(path, mapping, beads, start=0):
    with TrajectoryWriter(path, mapping.cg_topology()) as writer:
        writer.write(beads, 2.0 * np.arange(start, start + len(beads)))
    return path


def read(path, backmapper):
    chunks = list(TrajectoryReader(path, backmapper.topology))
    return np.concatenate([c.positions for c in chunks]), np.concatenate([c.times for c in chunks])


@pytest.mark.parametrize("on_bad_frame", ["raise", "skip"])
def test_a_frame_that_is_refused_beside_others_alone_is_a_bad_frame(tmp_path, mapping, backmapper, beads, on_bad_frame):
    """The order of beads is judged by all frames of a call: alone such a frame is only warned of."""
    bad = beads[:6].copy()
    bad[2, 1, 2], bad[2, 2, 0] = 0.5, 0.0
    backmapper.sample(bad[2:3], seed=1)
    with pytest.raises(PositionsError, match="frame 2 are not those of the model in its order"):
        backmapper.sample(bad, seed=1)
    path, output = write(tmp_path / "cg.dcd", mapping, bad), tmp_path / "aa.dcd"
    if on_bad_frame == "raise":
        with pytest.raises(PositionsError, match=r"frame 2\b"):
            backmap_trajectory(path, backmapper, output, progress=False)
        return
    summary = backmap_trajectory(path, backmapper, output, on_bad_frame="skip", progress=False)
    assert (summary.n_frames, list(summary.skipped)) == (5, [2])


@pytest.mark.parametrize(("stride", "chunk_size"), [(1, 1000), (1, 7), (3, 5)])
@pytest.mark.parametrize("kind", [0, 1])
def test_a_bad_frame_is_named_by_its_number_in_the_file(tmp_path, mapping, backmapper, beads, stride, chunk_size, kind):
    bad = spoiled(beads, *([18] if kind == 0 else [18, 18]))
    path = write(tmp_path / "cg.dcd", mapping, bad)
    with pytest.raises(PositionsError, match=r"frame 18\b"):
        backmap_trajectory(path, backmapper, tmp_path / "aa.dcd", stride=stride, chunk_size=chunk_size, progress=False)
    assert not (tmp_path / "aa.dcd").exists()


@pytest.mark.parametrize("chunk_size", [1000, 7, 2])
@pytest.mark.parametrize("n_samples", [1, 2])
def test_bad_frames_are_left_out_and_listed_when_asked(tmp_path, mapping, backmapper, beads, chunk_size, n_samples):
    bad = [0, 5, 6, 17, 39]
    path = write(tmp_path / "cg.dcd", mapping, spoiled(beads, *bad))
    summary = backmap_trajectory(
        path, backmapper, tmp_path / "aa.xtc", n_samples, seed=3, chunk_size=chunk_size, on_bad_frame="skip",
        progress=False,
    )  # fmt: skip
    assert sorted(summary.skipped) == bad
    assert all(f"frame {number}" in reason for number, reason in summary.skipped.items())
    assert summary.n_frames == FRAMES - len(bad)
    good = np.setdiff1d(np.arange(FRAMES), bad)
    positions, times = read(tmp_path / "aa.xtc", backmapper)
    expected = backmapper.sample(beads[good], n_samples, seed=3, frames=good)
    np.testing.assert_allclose(positions.reshape(expected.shape), expected, atol=6e-4)
    np.testing.assert_allclose(times[::n_samples], 2.0 * good)


def test_a_file_without_a_good_frame_is_refused(tmp_path, mapping, backmapper, beads):
    path = write(tmp_path / "cg.dcd", mapping, beads * np.float32("nan"))
    with pytest.raises(DataError, match=r"no frame of .* could be backmapped; .*frame 0"):
        backmap_trajectory(path, backmapper, tmp_path / "aa.dcd", on_bad_frame="skip", progress=False)
    assert not (tmp_path / "aa.dcd").exists()
    with pytest.raises(SettingsError, match="'raise' or 'skip'"):
        backmap_trajectory(path, backmapper, tmp_path / "aa.dcd", on_bad_frame="ignore", progress=False)


def test_a_bad_frame_of_a_system_has_its_number_whichever_copy_it_is(backmapper, mapping, beads):
    modeller = app.Modeller(mapping.cg_topology(), np.zeros((3, 3)) * openmm.unit.nanometer)
    modeller.add(mapping.cg_topology(), np.zeros((3, 3)) * openmm.unit.nanometer)
    system = SystemBackmapper(modeller.topology, backmapper)
    both = np.concatenate([beads, spoiled(beads, 0, 11)], axis=1)[1:]
    with pytest.raises(PositionsError, match=r"of kind 'molecule': beads of frame 111\b"):
        system.sample(both, seed=1, frames=np.arange(101, 101 + FRAMES - 1))


class Player:
    """As much of a Simulation as a reporter asks for, whose frames are given."""

    def __init__(self, mapping, backmapper, steps=10):
        self.topology, self.currentStep, self.steps = mapping.cg_topology(), 0, steps
        self.system, self.integrator = openmm.System(), openmm.VerletIntegrator(0.2)
        for _ in range(backmapper.n_beads):
            self.system.addParticle(1.0)
        self.context = openmm.Context(self.system, self.integrator, openmm.Platform.getPlatformByName("Reference"))

    def play(self, reporter, frames):
        for frame in frames:
            self.currentStep += self.steps
            self.context.setPositions(np.nan_to_num(frame, nan=1e30).astype(float))
            reporter.report(self, self.context.getState(positions=True))


@pytest.mark.parametrize("suffix", [".dcd", ".xtc"])
def test_the_good_frames_of_a_run_that_explodes_are_written(tmp_path, mapping, backmapper, beads, suffix):
    path = tmp_path / f"aa{suffix}"
    reporter = BackmapReporter(path, 10, backmapper, seed=1)
    with pytest.raises(PositionsError, match=r"frame 31\b"):
        Player(mapping, backmapper).play(reporter, spoiled(beads, 30, 31, 32))
        reporter.close()
    reporter.close()
    positions, times = read(path, backmapper)
    np.testing.assert_allclose(times, 2.0 * np.arange(1, 31), rtol=1e-6)
    np.testing.assert_allclose(mapping.project(positions), beads[:30], atol=2e-3)
    assert reporter.n_frames == 30


def test_a_run_goes_on_without_bad_frames_when_asked(tmp_path, mapping, backmapper, beads, caplog):
    with BackmapReporter(tmp_path / "aa.xtc", 10, backmapper, seed=1, onBadFrame="skip") as reporter:
        Player(mapping, backmapper).play(reporter, spoiled(beads, 3, 20))
    assert sorted(reporter.skipped) == [4, 21]
    assert "frame 21 is left out" in caplog.text
    assert read(tmp_path / "aa.xtc", backmapper)[1].tolist() == [2.0 * k for k in range(1, 41) if k not in (4, 21)]


def test_a_run_whose_first_frame_is_bad_leaves_no_file(tmp_path, mapping, backmapper, beads):
    reporter = BackmapReporter(tmp_path / "aa.dcd", 10, backmapper)
    with pytest.raises(PositionsError, match="frame 1"):
        Player(mapping, backmapper).play(reporter, spoiled(beads, 0)[:1])
        reporter.close()
    assert list(tmp_path.iterdir()) == []
