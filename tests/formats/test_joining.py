"""Files that are appended to have one clock: times of one run, no gaps, no doubled frames, no other box."""

import logging
import struct

import numpy as np
import pytest
from openmm import app

from openmm_cgvae.core.errors import OutputError
from openmm_cgvae.io.trajectory_files import TrajectoryReader, TrajectoryWriter

FRAMES = np.random.default_rng(0).uniform(0, 2, (30, 3, 3))
BOX = np.full((30, 3), 4.0), np.full((30, 3), 90.0)

pytestmark = pytest.mark.parametrize("suffix", [".dcd", ".xtc"])


@pytest.fixture
def beads(mapping):
    return mapping.cg_topology()


def write(path, topology, times, append=False, box=False, first=None):
    """Frames by their times: the k-th multiple of 0.5 ps has the positions of FRAMES[k]."""
    k = np.round(np.asarray(times) / 0.5).astype(int) % 30
    with TrajectoryWriter(path, topology, append) as writer:
        cells = [part[k] for part in BOX] if box else (None, None)
        for part in [slice(None)] if first is None else [slice(0, first), slice(first, None)]:
            writer.write(FRAMES[k][part], np.asarray(times)[part], *[c if c is None else c[part] for c in cells])


def read(path, topology, **options):
    chunks = list(TrajectoryReader(path, topology, **options))
    return np.concatenate([c.positions for c in chunks]), np.concatenate([c.times for c in chunks])


def check(path, topology, times):
    positions, found = read(path, topology)
    np.testing.assert_allclose(found, times, rtol=1e-6)
    np.testing.assert_allclose(positions, FRAMES[np.round(times / 0.5).astype(int) % 30], atol=1e-3)


def test_a_run_in_three_parts_has_the_times_of_one(tmp_path, beads, suffix):
    path = tmp_path / f"a{suffix}"
    for k in range(3):
        write(path, beads, 0.5 * np.arange(1 + 5 * k, 6 + 5 * k), append=k > 0, first=2)
    check(path, beads, 0.5 * np.arange(1, 16))


def test_frames_past_the_checkpoint_are_cut_off_as_the_log_says(tmp_path, beads, suffix, caplog):
    path = tmp_path / f"a{suffix}"
    write(path, beads, 0.5 * np.arange(1, 13))
    with caplog.at_level(logging.WARNING):
        write(path, beads, 0.5 * np.arange(9, 16), append=True)
    assert "4 frames at the end of" in caplog.text
    check(path, beads, 0.5 * np.arange(1, 16))


def test_a_part_of_a_frame_that_a_killed_run_left_is_cut_off(tmp_path, beads, suffix, caplog):
    path = tmp_path / f"a{suffix}"
    write(path, beads, 0.5 * np.arange(1, 7))
    path.write_bytes(path.read_bytes()[:-5])
    write(path, beads, 0.5 * np.arange(6, 11), append=True)
    assert "incomplete frame" in caplog.text
    check(path, beads, 0.5 * np.arange(1, 11))


@pytest.mark.parametrize(
    ("times", "box", "message"),
    [
        (0.5 * np.arange(12, 16), False, r"end at 5 ps.*next is at 6 ps where 5.5 ps is expected"),
        (5.5 + 1.0 * np.arange(4), False, "frames 1 ps apart.*0.5 ps apart"),
        (0.5 * np.arange(1, 4), False, r"begins at 0.5 ps, and the run at 0.5 ps"),
        (0.5 * np.arange(11, 14), True, "a periodic box.*no periodic box"),
    ],
    ids=["a gap", "another interval", "from the beginning", "a box"],
)
def test_what_does_not_go_on_is_refused_and_the_file_left_as_it_was(tmp_path, beads, suffix, times, box, message):
    path = tmp_path / f"a{suffix}"
    write(path, beads, 0.5 * np.arange(1, 11))
    before = path.read_bytes()
    with pytest.raises(OutputError, match=message):
        write(path, beads, times, append=True, box=box)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("start", "interval"), [(6e8 * 0.01, 2.5), (2**31 * 0.01 + 1, 10.0), (3.3e7, 0.37)])
def test_runs_of_any_age_are_written_with_their_times(tmp_path, beads, suffix, start, interval):
    path = tmp_path / f"a{suffix}"
    times = start + interval * np.arange(20)
    with TrajectoryWriter(path, beads) as writer:
        for k in range(20):
            writer.write(FRAMES[k : k + 1], times[k : k + 1])
    found = read(path, beads)[1]
    # Seven digits are what either format has.
    np.testing.assert_allclose(found, times, rtol=1.5e-7)


def test_what_a_format_has_no_room_for_is_said_and_raises_nothing(tmp_path, beads, suffix, caplog):
    times = 1e8 + 1e-3 * np.arange(6)
    with TrajectoryWriter(tmp_path / f"a{suffix}", beads) as writer:
        writer.write(FRAMES[:2], times[:2])
        writer.write(FRAMES[2:6], times[2:])
    assert "room" in caplog.text or "7 digits" in caplog.text
    assert len(read(tmp_path / f"a{suffix}", beads)[0]) == 6


def test_unknown_times_stay_unknown_or_are_said_to_be_counted(tmp_path, beads, suffix, caplog):
    path = tmp_path / f"a{suffix}"
    with TrajectoryWriter(path, beads) as writer:
        writer.write(FRAMES[:3], None)
        writer.write(FRAMES[3:5], None)
    reader = TrajectoryReader(path, beads)
    if suffix == ".dcd":
        assert not reader.has_times
        assert next(iter(reader)).times is None
    else:
        assert "not known" in caplog.text
        np.testing.assert_allclose(next(iter(reader)).times, np.arange(5))
    np.testing.assert_allclose(read(path, beads, frame_interval=2.0)[1], 2.0 * np.arange(5))


def test_uneven_times_are_said_to_be_lost_in_a_dcd_file(tmp_path, beads, suffix, caplog):
    times = np.array([0.0, 1.0, 2.0, 7.0])
    with TrajectoryWriter(tmp_path / f"a{suffix}", beads) as writer:
        writer.write(FRAMES[:4], times)
    assert ("not evenly spaced" in caplog.text) == (suffix == ".dcd")


def test_a_step_count_beyond_32_bits_is_written(tmp_path, beads, suffix):
    with TrajectoryWriter(tmp_path / f"a{suffix}", beads) as writer:
        writer._file._count = 2**31 - 1 if suffix == ".xtc" else 0
        writer.write(FRAMES[:3], 2.0**31 * np.arange(1, 4))
    if suffix == ".dcd":
        header = (tmp_path / "a.dcd").read_bytes()
        assert struct.unpack("<4i", header[8:24])[0] == 3
    np.testing.assert_allclose(read(tmp_path / f"a{suffix}", beads)[1], 2.0**31 * np.arange(1, 4), rtol=1e-6)


def test_frames_of_a_long_run_are_counted_not_compared_by_rounded_times(tmp_path, suffix):
    """A million frames, of which times in single precision no longer tell neighbours apart to a few hundredths."""
    topology = app.Topology()
    topology.addAtom("B", None, topology.addResidue("B", topology.addChain()))
    path, spacing, n = tmp_path / f"a{suffix}", 0.7, 600_000
    with TrajectoryWriter(path, topology) as writer:
        for first in range(0, n, 100_000):
            numbers = np.arange(first, min(first + 100_000, n))
            writer.write(numbers[:, None, None] % 997 * np.full((1, 1, 3), 0.001), spacing * (numbers + 1.0))
    size = path.stat().st_size
    for goes_on, frames in ((n - 5, n), (n, n + 5), (n + 6, None)):
        with TrajectoryWriter(path, topology, append=True) as writer:
            times = spacing * (goes_on + np.arange(5) + 1.0)
            if frames is None:
                with pytest.raises(OutputError, match="not ahead of it"):
                    writer.join(times[:2], False)
            else:
                writer.write((goes_on + np.arange(5))[:, None, None] % 997 * np.full((1, 1, 3), 0.001), times)
        if frames is not None:
            assert TrajectoryReader(path, topology).n_frames == frames
    assert path.stat().st_size > size
