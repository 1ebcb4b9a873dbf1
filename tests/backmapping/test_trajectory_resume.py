"""A run that is interrupted goes on, and ends with the file, byte for byte, of one that was not."""

import resource

import numpy as np
import pytest

from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.backmapping.frames import FrameBackmapper
from openmm_cgvae.backmapping.trajectory import backmap_trajectory, project_trajectory
from openmm_cgvae.core.errors import DataError, OutputError, SettingsError
from openmm_cgvae.io.trajectory_files import TrajectoryReader, TrajectoryWriter
from openmm_cgvae.molecule.mapping import CGMapping

FRAMES = 60
CHUNK = 12


@pytest.fixture
def cg(tmp_path, reference, mapping):
    """Real beads in a box, of which frames 20 and 21 are spoiled."""
    beads = mapping.project(reference[0])[:FRAMES].astype(np.float32)
    beads[20], beads[21] = np.nan, 1e4 * np.arange(9).reshape(3, 3)
    with TrajectoryWriter(tmp_path / "cg.dcd", mapping.cg_topology()) as writer:
        box = np.full((FRAMES, 3), 3.0), np.full((FRAMES, 3), 90.0)
        writer.write(beads, 2.0 * np.arange(FRAMES), *box)
    return tmp_path / "cg.dcd"


def backmap(cg, backmapper, output, **options):
    options = {"seed": 3, "chunk_size": CHUNK, "on_bad_frame": "skip", "progress": False, **options}
    return backmap_trajectory(cg, backmapper, output, **options)


@pytest.fixture
def interrupt(monkeypatch):
    """``interrupt(k)``: the k-th chunk from now on is not made, as Ctrl-C comes first."""
    original = FrameBackmapper.__call__

    def after(n):
        left = iter([None] * n)

        def call(*arguments, **options):
            if next(left, call) is call:
                raise KeyboardInterrupt
            return original(*arguments, **options)

        monkeypatch.setattr(FrameBackmapper, "__call__", call)

    yield after
    monkeypatch.undo()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


OPTIONS = {
    "plain": {},
    "samples": {"n_samples": 2, "chunk_size": 2 * CHUNK},
    "correlated": {"correlation_time": 9.0, "stride": 2, "wrap": True},
}


@pytest.mark.parametrize("suffix", [".dcd", ".xtc", ".pdb"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_an_interrupted_run_goes_on_to_the_same_bytes_and_summary(cg, backmapper, tmp_path, interrupt, suffix, options):
    whole, output = tmp_path / f"whole{suffix}", tmp_path / f"aa{suffix}"
    expected = backmap(cg, backmapper, whole, **options)
    for done in (1, 0, 1):
        interrupt(done)
        with pytest.raises(KeyboardInterrupt):
            backmap(cg, backmapper, output, resume=True, **options)
        assert names(tmp_path) == sorted(["cg.dcd", whole.name, f"{output.name}.unfinished"])
    interrupt(1000)
    summary = backmap(cg, backmapper, output, resume=True, **options)
    assert output.read_bytes() == whole.read_bytes()
    assert (summary.n_frames, summary.skipped) == (expected.n_frames, expected.skipped)
    assert names(tmp_path) == sorted(["cg.dcd", whole.name, output.name])


def test_energies_and_failures_of_minimised_parts_come_back(cg, backmapper, tmp_path, interrupt):
    minimizer = Minimizer(backmapper.mapping, maxIterations=3)
    expected = backmap(cg, backmapper, tmp_path / "whole.dcd", minimizer=minimizer)
    interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        backmap(cg, backmapper, tmp_path / "aa.dcd", minimizer=minimizer)
    interrupt(1000)
    summary = backmap(cg, backmapper, tmp_path / "aa.dcd", minimizer=minimizer, resume=True)
    assert (tmp_path / "aa.dcd").read_bytes() == (tmp_path / "whole.dcd").read_bytes()
    assert summary.n_failed == expected.n_failed
    for name in ("energies_before", "energies_after"):
        np.testing.assert_array_equal(*(np.concatenate(getattr(s, name)) for s in (summary, expected)))


@pytest.fixture
def interrupted(cg, backmapper, tmp_path, interrupt):
    interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        backmap(cg, backmapper, tmp_path / "aa.dcd")
    interrupt(1000)
    return tmp_path / "aa.dcd"


def test_what_is_there_becomes_a_valid_file_when_asked(cg, backmapper, interrupted, tmp_path):
    summary = backmap(cg, backmapper, interrupted, partial=True)
    assert summary.n_frames == 2 * CHUNK - 2
    assert sorted(summary.skipped) == [20, 21]
    (chunk,) = TrajectoryReader(interrupted, backmapper.topology)
    assert len(chunk.positions) == 2 * CHUNK - 2
    assert names(tmp_path) == ["aa.dcd", "cg.dcd"]
    with pytest.raises(DataError, match=r"no part of .* is there"):
        backmap(cg, backmapper, tmp_path / "other.dcd", partial=True)


@pytest.mark.parametrize(("options", "message"), [
    ({"seed": 4}, "seed=4 given to go on with a run of seed=3"),
    ({"n_samples": 2}, "n_samples=2 given .* n_samples=1"),
    ({"stride": 2}, "stride=2"),
    ({"chunk_size": 20}, "chunk_size=20"),
    ({"correlation_time": 5}, "correlation_time=5.0 given .* correlation_time=0.0"),
    ({"wrap": True}, "wrap=True"),
    ({"frame_interval": 1.0}, "frame_interval=1.0"),
])  # fmt: skip
def test_other_settings_are_refused_by_name(cg, backmapper, interrupted, options, message):
    with pytest.raises(SettingsError, match=message):
        backmap(cg, backmapper, interrupted, resume=True, **options)


def test_other_inputs_are_refused_by_name(cg, backmapper, model_path, interrupted):
    content = cg.read_bytes()
    cg.write_bytes(content[:-8] + bytes([content[-8] ^ 1]) + content[-7:])
    with pytest.raises(SettingsError, match=r"trajectory=.* given to go on"):
        backmap(cg, backmapper, interrupted, resume=True)
    cg.write_bytes(content)
    with pytest.raises(SettingsError, match=r"model=.* given to go on"):
        backmap(cg, Backmapper.load(model_path, precision="double"), interrupted, resume=True)
    with pytest.raises(SettingsError, match="minimizer"):
        backmap(cg, backmapper, interrupted, resume=True, minimizer=Minimizer(backmapper.mapping))
    backmap(cg, backmapper, interrupted, resume=True)


def test_without_a_seed_the_run_goes_on_with_its_own(cg, backmapper, interrupted):
    assert backmap(cg, backmapper, interrupted, resume=True, seed=None).seed == 3


def test_an_interrupted_run_is_not_begun_anew_unasked(cg, backmapper, interrupted):
    with pytest.raises(OutputError, match="interrupted"):
        backmap(cg, backmapper, interrupted)
    assert backmap(cg, backmapper, interrupted, overwrite=True).n_frames == FRAMES - 2


def test_a_full_disk_costs_nothing_that_was_done(cg, backmapper, tmp_path):
    backmap(cg, backmapper, tmp_path / "whole.dcd")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Room for two parts.
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"output \S*aa.dcd cannot be written"):
            backmap(cg, backmapper, tmp_path / "aa.dcd")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == ["aa.dcd.unfinished", "cg.dcd", "whole.dcd"]
    backmap(cg, backmapper, tmp_path / "aa.dcd", resume=True)
    assert (tmp_path / "aa.dcd").read_bytes() == (tmp_path / "whole.dcd").read_bytes()


def test_a_projection_goes_on_too(cg, backmapper, tmp_path, monkeypatch):
    backmap(cg, backmapper, tmp_path / "aa.dcd")
    # Three chunks of frames.
    arguments = [tmp_path / "aa.dcd"] * 40, backmapper.topology, backmapper.mapping
    assert project_trajectory(*arguments, tmp_path / "whole.xtc", write_topology=True) == 40 * (FRAMES - 2)
    project, calls = CGMapping.project, iter([True, False])

    def once(*given):
        if not next(calls, False):
            raise KeyboardInterrupt
        return project(*given)

    monkeypatch.setattr(CGMapping, "project", once)
    with pytest.raises(KeyboardInterrupt):
        project_trajectory(*arguments, tmp_path / "cg.xtc", write_topology=True)
    monkeypatch.undo()
    with pytest.raises(SettingsError, match="stride=2"):
        project_trajectory(*arguments, tmp_path / "cg.xtc", stride=2, resume=True)
    assert project_trajectory(*arguments, tmp_path / "cg.xtc", write_topology=True, resume=True) == 40 * (FRAMES - 2)
    for suffix in ("xtc", "pdb"):
        assert (tmp_path / f"cg.{suffix}").read_bytes() == (tmp_path / f"whole.{suffix}").read_bytes()


@pytest.mark.parametrize("options", [{}, {"chunk_size": 2, "frames": slice(0, 3)}, {"chunk_size": 100}])
def test_bytes_do_not_depend_on_the_number_of_threads(cg, backmapper, tmp_path, set_torch_threads, options):
    for n in (1, 2, 3):
        set_torch_threads(n)
        backmap(cg, backmapper, tmp_path / f"{n}.dcd", **options)
    assert len({(tmp_path / f"{n}.dcd").read_bytes() for n in (1, 2, 3)}) == 1
