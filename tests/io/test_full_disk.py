"""A full disk is an error that names the file, whatever the format, and what was written before stays whole."""

import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from openmm_cgvae.core.errors import OutputError
from openmm_cgvae.io.trajectory_files import WRITABLE, TrajectoryReader, TrajectoryWriter

FRAMES = 60


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """A disk of 256 kB."""
    folder = tmp_path_factory.mktemp("small")
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"a small disk cannot be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def disk(small_disk):
    yield small_disk
    for path in small_disk.iterdir():
        path.unlink()


@pytest.fixture(scope="module")
def many(reference, topology):
    """Frames that take several times the room, packed or not."""
    frames = np.tile(reference[0], (15, 1, 1))[: FRAMES * 50].reshape(FRAMES, 50, 22, 3)
    return frames + np.random.default_rng(1).normal(scale=0.01, size=frames.shape).astype(np.float32)


def fill(path, topology, many):
    """Write until an error; the number of frames that were written without one."""
    writer, n_frames = TrajectoryWriter(path, topology), 0
    with pytest.raises(OutputError, match=path.name) as caught, writer:
        for k, part in enumerate(many):
            writer.write(part, 50.0 * k + np.arange(50.0))
            n_frames += len(part)
    assert "\n" not in str(caught.value)
    return n_frames


@pytest.mark.parametrize("suffix", WRITABLE)
def test_a_full_disk_is_said_and_what_was_written_is_whole(disk, topology, many, suffix):
    if suffix == ".h5":
        pytest.importorskip("tables")
    path = disk / f"out{suffix}"
    n_frames = fill(path, topology, many)
    assert 0 < n_frames < FRAMES * 50
    if suffix == ".h5":
        # Such a file is not readable before it is closed.
        return
    found = sum(len(chunk.frames) for chunk in TrajectoryReader(path, topology, salvage=True))
    # Text is written frame by frame.
    assert 0 <= found - n_frames < (50 if suffix in (".pdb", ".cif") else 1)


def test_an_hdf5_file_with_holes_is_not_taken_for_whole(tmp_path, topology, many):
    tables = pytest.importorskip("tables")
    path = tmp_path / "out.h5"
    with (
        pytest.raises(OutputError, match=r"out\.h5 does not hold what was written"),
        TrajectoryWriter(path, topology) as out,
    ):
        out.write(many[0], np.arange(50.0))
        out.flush()
        # What a disk does that takes some blocks and not others.
        tables.file._open_files.close_all()
        content = bytearray(path.read_bytes())
        content[-2000:-1000] = bytes(1000)
        path.write_bytes(content)


def test_no_room_where_frames_are_compressed_is_said_too(disk, tmp_path, topology, many, monkeypatch):
    (disk / "others").write_bytes(bytes(250 * 1024))
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    with pytest.raises(OutputError, match=r"out\.xtc.*TMPDIR"), TrajectoryWriter(tmp_path / "out.xtc", topology) as out:
        out.write(many[0], np.arange(50.0))
    assert not (tmp_path / "out.xtc").stat().st_size


def test_a_file_that_is_appended_to_keeps_its_frames(disk, topology, many):
    for suffix in (".dcd", ".xtc", ".nc"):
        path = disk / f"out{suffix}"
        with TrajectoryWriter(path, topology) as writer:
            writer.write(many[0], np.arange(50.0))
        (disk / "others").write_bytes(bytes(256 * 1024 - path.stat().st_size - 8 * 1024))
        with pytest.raises(OutputError, match="disk is full"), TrajectoryWriter(path, topology, append=True) as writer:
            writer.write(many[0], 50 + np.arange(50.0))
            writer.write(many[1], 100 + np.arange(50.0))
        assert sum(len(chunk.frames) for chunk in TrajectoryReader(path, topology)) == 50
        for other in disk.iterdir():
            other.unlink()


@pytest.mark.skipif(os.name != "posix", reason="limits of file sizes are POSIX's")
@pytest.mark.parametrize("suffix", [".xtc", ".nc"])
def test_a_limit_of_file_sizes_is_said_as_well(tmp_path, suffix):
    code = f"""
import resource, numpy as np, mdtraj
from openmm_cgvae.io.trajectory_files import TrajectoryWriter
topology = mdtraj.Topology()
residue = topology.add_residue("X", topology.add_chain())
for k in range(50): topology.add_atom("C", mdtraj.element.carbon, residue)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
with TrajectoryWriter("out{suffix}", topology) as writer:
    for k in range(200): writer.write(np.random.rand(1, 50, 3), np.array([float(k)]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert f"OutputError: output out{suffix} cannot be written: the file is too large" in done.stderr
