"""XTC files are written as mdtraj and OpenMM read them, and appended to."""

import mdtraj
import numpy as np
import pytest
from openmm import app

from openmm_cgvae.core.errors import OutputError
from openmm_cgvae.io.xtc import XTCFrames, XTCWriter

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


def test_files_of_other_particles_or_cut_short_are_not_appended_to(tmp_path):
    path = tmp_path / "a.xtc"
    writer = XTCWriter(path, 40)
    writer.write(np.random.default_rng(0).normal(size=(3, 40, 3)), np.arange(3.0))
    writer.close()
    with pytest.raises(OutputError, match=r"41 particles.*has 40"):
        XTCWriter(path, 41, append=True)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(OutputError, match="truncated"):
        XTCWriter(path, 40, append=True)
