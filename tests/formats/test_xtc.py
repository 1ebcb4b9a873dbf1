"""XTC files are written as mdtraj and OpenMM read them, and appended to."""

import mdtraj
import numpy as np
import pytest
from openmm import app

from openmm_cgvae.core.errors import DataError, OutputError
from openmm_cgvae.formats.xtc import XTCFrames
from openmm_cgvae.formats.xtcwriter import XTCWriter

VECTORS = np.array([[3.0, 0, 0], [1.4, 3.2, 0], [-1.2, 1.5, 2.9]])


@pytest.mark.parametrize("n_atoms", [3, 40])
def test_frames_that_are_appended_follow_those_there(tmp_path, n_atoms):
    path, generator = tmp_path / "a.xtc", np.random.default_rng(n_atoms)
    frames = generator.normal(size=(7, n_atoms, 3))
    times, boxes = 0.5 * np.arange(7.0), np.repeat(VECTORS[None], 7, axis=0)
    for part in (slice(0, 2), slice(2, 3), slice(3, 7)):
        writer = XTCWriter(path, n_atoms, append=part.start > 0)
        writer.write(frames[part], times[part], boxes[part])
        # Complete before it is closed.
        assert XTCFrames.read(path).n_atoms == n_atoms
        writer.close()
    with mdtraj.formats.XTCTrajectoryFile(str(path)) as file:
        xyz, time, step, box = file.read()
    np.testing.assert_allclose(xyz, frames, atol=6e-4)
    np.testing.assert_allclose(time, times)
    np.testing.assert_array_equal(step, np.arange(7))
    np.testing.assert_allclose(box, boxes, atol=1e-6)


def test_frames_without_a_box_have_none(tmp_path):
    writer = XTCWriter(tmp_path / "a.xtc", 5)
    writer.write(np.zeros((2, 5, 3)), np.arange(2.0))
    writer.close()
    with mdtraj.formats.XTCTrajectoryFile(str(tmp_path / "a.xtc")) as file:
        assert file.read()[3] is None


def test_openmm_appends_to_what_was_written(tmp_path, topology):
    path = tmp_path / "a.xtc"
    writer = XTCWriter(path, 22)
    writer.write(np.random.default_rng(0).normal(size=(3, 22, 3)), np.arange(3.0))
    writer.close()
    app.XTCFile(str(path), topology.to_openmm(), 1.0, append=True).writeModel(np.ones((22, 3)))
    assert mdtraj.load(str(path), top=topology).n_frames == 4


def test_files_of_other_particles_are_not_appended_to(tmp_path):
    path = tmp_path / "a.xtc"
    writer = XTCWriter(path, 40)
    writer.write(np.random.default_rng(0).normal(size=(3, 40, 3)), np.arange(3.0))
    writer.close()
    with pytest.raises(OutputError, match=r"41 particles.*has 40"):
        XTCWriter(path, 41, append=True)


@pytest.mark.parametrize("n_atoms", [1, 3, 9, 10, 40])
def test_frames_are_those_mdtraj_reads_in_any_order(tmp_path, n_atoms):
    path, frames = tmp_path / "a.xtc", np.random.default_rng(n_atoms).normal(size=(7, n_atoms, 3))
    writer = XTCWriter(path, n_atoms)
    writer.write(frames, 3.0 + 0.5 * np.arange(7), np.repeat(VECTORS[None], 7, axis=0))
    writer.close()
    found = XTCFrames.read(path)
    assert (found.n_atoms, found.n_frames, found.n_left) == (n_atoms, 7, 0)
    np.testing.assert_allclose(found.times(np.arange(7)), 3.0 + 0.5 * np.arange(7))
    with mdtraj.formats.XTCTrajectoryFile(str(path)) as file:
        expected = file.read()[0]
    for numbers in (np.arange(7), np.array([1, 4]), np.array([6])):
        positions, vectors = found.frames(numbers)
        np.testing.assert_array_equal(positions, expected[numbers])
        np.testing.assert_allclose(vectors, np.repeat(VECTORS[None], len(numbers), axis=0), atol=1e-6)


@pytest.mark.parametrize("n_atoms", [3, 9, 40])
@pytest.mark.parametrize("n_cut", [1, 8, 30])
def test_the_complete_frames_of_a_file_that_is_cut_off_can_be_used(tmp_path, n_atoms, n_cut):
    path, frames = tmp_path / "a.xtc", np.random.default_rng(n_atoms).normal(size=(7, n_atoms, 3))
    writer = XTCWriter(path, n_atoms)
    writer.write(frames, 0.5 * np.arange(7))
    writer.close()
    path.write_bytes(path.read_bytes()[:-n_cut])
    with pytest.raises(DataError, match=r"truncated after 6 complete frames.*--salvage"):
        XTCFrames.read(path)
    found = XTCFrames.read(path, salvage=True)
    assert found.n_frames == 6 and found.n_left > 0
    np.testing.assert_allclose(found.frames(np.arange(6))[0], frames[:6], atol=6e-4)
    np.testing.assert_allclose(found.times(np.arange(6)), 0.5 * np.arange(6))


def test_what_comes_before_damage_can_be_used(tmp_path):
    path, frames = tmp_path / "a.xtc", np.random.default_rng(0).normal(size=(7, 3, 3))
    writer = XTCWriter(path, 3)
    writer.write(frames, np.arange(7.0))
    writer.close()
    content = bytearray(path.read_bytes())
    at = XTCFrames.read(path).offsets[4]
    content[at : at + 4] = b"\0\0\0\0"
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"damaged after 4 complete frames"):
        XTCFrames.read(path)
    assert XTCFrames.read(path, salvage=True).n_frames == 4
