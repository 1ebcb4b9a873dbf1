"""TRR files: a frame that is cut off is noticed, which the library that reads them does not tell."""

import mdtraj
import numpy as np
import pytest

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.io.trajectory_files import TrajectoryReader


@pytest.fixture
def path(tmp_path, topology, reference):
    mdtraj.Trajectory(reference[0][:6], topology, 2.0 * np.arange(6)).save(str(tmp_path / "a.trr"))
    return tmp_path / "a.trr"


@pytest.mark.parametrize("cut", [1, 50, 300, 340])
def test_a_file_that_is_cut_off_is_refused_or_salvaged(path, topology, reference, cut):
    size = path.stat().st_size // 6
    path.write_bytes(path.read_bytes()[:-cut])
    n = 6 - -(-cut // size)
    with pytest.raises(DataError, match=rf"truncated after {n} complete frames"):
        TrajectoryReader(path, topology)
    reader = TrajectoryReader(path, topology, salvage=True)
    assert reader.n_frames == n
    found = np.concatenate([chunk.positions for chunk in reader])
    np.testing.assert_allclose(found, reference[0][:n], atol=1e-6)


def test_a_box_of_zeros_is_none(path, topology, reference):
    none = np.zeros((6, 3))
    mdtraj.Trajectory(reference[0][:6], topology, 2.0 * np.arange(6), none, none).save(str(path))
    assert all(chunk.vectors is None for chunk in TrajectoryReader(path, topology))


def test_what_is_none_is_refused(path, topology):
    for content in (b"x" * 500, path.read_bytes()[:40], b"\0" * 200):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.trr"):
            TrajectoryReader(path, topology)
