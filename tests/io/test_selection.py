"""Frames chosen by number and by time, out of one file or several, of every kind of file."""

import mdtraj
import numpy as np
import pytest

from openmm_cgvae.core.errors import DataError, SettingsError
from openmm_cgvae.io.selection import FrameSelection, parse_frames, parse_times
from openmm_cgvae.io.trajectory_files import TrajectoryReader, TrajectoryWriter

COUNT = 30
SUFFIXES = [".dcd", ".xtc", ".nc", ".h5", ".trr", ".gro"]


@pytest.fixture(scope="module")
def beads(reference, mapping):
    return mapping.project(reference[0][:COUNT])


def write(path, mapping, beads, first=0):
    times = 5.0 + 2.0 * np.arange(first, first + len(beads))
    if path.suffix in (".trr", ".gro"):
        mdtraj.Trajectory(beads, mdtraj.Topology.from_openmm(mapping.cg_topology()), times).save(str(path))
    else:
        with TrajectoryWriter(path, mapping.cg_topology()) as writer:
            writer.write(beads, times)
    return path


def frames_of(path, mapping, **options):
    reader = TrajectoryReader(path, mapping.cg_topology(), chunk_size=4, **options)
    chunks = list(reader)
    found = np.concatenate([chunk.frames for chunk in chunks])
    assert reader.n_frames in (None, len(found))
    return found, np.concatenate([chunk.positions for chunk in chunks])


@pytest.fixture(scope="module", params=[pytest.param(suffix, id=suffix) for suffix in SUFFIXES])
def files(request, tmp_path_factory, mapping, beads):
    """One file, and the same frames in three."""
    if request.param == ".h5":
        pytest.importorskip("tables")
    folder = tmp_path_factory.mktemp("files")
    parts = [slice(0, 7), slice(7, 18), slice(18, COUNT)]
    several = [write(folder / f"{k}{request.param}", mapping, beads[part], part.start) for k, part in enumerate(parts)]
    return write(folder / f"whole{request.param}", mapping, beads), several


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, range(COUNT)),
        ({"stride": 7}, range(0, COUNT, 7)),
        ({"frames": slice(3, 25, 6)}, range(3, 25, 6)),
        ({"frames": slice(8, None)}, range(8, COUNT)),
        ({"frames": slice(20, 1000)}, range(20, COUNT)),
        ({"frames": (5, 12), "stride": 3}, range(5, 12, 3)),
        # 5 + 2 k ps.
        ({"times": (11, 21)}, range(3, 9)),
        ({"times": (40.5, None)}, range(18, COUNT)),
        ({"times": (None, 30), "frames": slice(10, 20)}, range(10, 13)),
        ({"times": (30, 50), "stride": 5}, range(15, 23, 5)),
        ({"times": (1.0, 2.0), "frame_interval": 0.1}, range(10, 21)),
    ],
)
def test_the_frames_asked_for_are_read_with_their_own_numbers(files, mapping, beads, several, options, expected):
    found, positions = frames_of(files[several], mapping, **options)
    assert found.tolist() == list(expected)
    np.testing.assert_allclose(positions, beads[found], atol=2e-3)


def test_frames_are_counted_from_the_end_where_their_number_is_known(files, mapping):
    assert frames_of(files[1], mapping, frames=slice(-4, None))[0].tolist() == [26, 27, 28, 29]
    assert frames_of(files[0], mapping, frames=slice(None, -25))[0].tolist() == [0, 1, 2, 3, 4]


def test_a_selection_of_nothing_says_what_there_is(files, mapping):
    with pytest.raises(DataError, match=r"which holds 30, is among those asked for \(frames 30:40\)"):
        frames_of(files[0], mapping, frames=slice(30, 40))
    with pytest.raises(DataError, match=r"asked for \(times 1000:\)"):
        frames_of(files[1], mapping, times=(1000, None))


def test_times_are_asked_of_files_that_tell_them(tmp_path, mapping, beads):
    mdtraj.Trajectory(beads, mdtraj.Topology.from_openmm(mapping.cg_topology())).save(str(tmp_path / "a.xyz"))
    with pytest.raises(DataError, match="frame-interval"):
        frames_of(tmp_path / "a.xyz", mapping, times=(1, 2))
    found = frames_of(tmp_path / "a.xyz", mapping, times=(1, 2), frame_interval=0.5)[0]
    assert found.tolist() == [2, 3, 4]
    with pytest.raises(DataError, match="counted from the end"):
        frames_of(tmp_path / "a.xyz", mapping, frames=slice(-3, None))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"frames": 7}, "frames=7 given"),
        ({"frames": slice(0, 10, 0)}, "step of 1 or more"),
        ({"frames": slice(0, 10, -1)}, "step of 1 or more"),
        ({"frames": (0, 1.5)}, r"frames=\(0, 1.5\)"),
        ({"frames": slice(0, 10, 2), "stride": 2}, "give one of them"),
        ({"stride": 1.5}, "stride=1.5"),
        ({"times": (5, 1)}, "first and a last"),
        ({"times": 3.0}, "first and a last"),
        ({"times": (float("nan"), 1)}, "first and a last"),
    ],
)
def test_what_is_no_selection_is_refused(options, match):
    with pytest.raises(SettingsError, match=match):
        FrameSelection.of(**options)


def test_selections_are_read_from_the_command_line():
    assert parse_frames("100:2000:10") == slice(100, 2000, 10)
    assert parse_frames(":-5") == slice(None, -5)
    assert parse_times("10:50") == (10.0, 50.0)
    assert parse_times("1e3:") == (1000.0, None)
    assert parse_frames(None) is parse_times(None) is None
    for text in ("7", "a:b", "1:2:3:4"):
        with pytest.raises(SettingsError, match="--frames"):
            parse_frames(text)
    for text in ("7", "a:b", "1:2:3"):
        with pytest.raises(SettingsError, match="--times"):
            parse_times(text)
