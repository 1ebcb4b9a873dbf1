"""A damaged file is read as far as it goes or refused in our own words, whatever was done to it."""

import mdtraj
import numpy as np
import pytest

from openmm_cgvae.core.errors import CGVAEError
from openmm_cgvae.io.trajectory_files import TrajectoryReader, TrajectoryWriter

CASES = 40
WORDS = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"]


def whole_file(path, topology, beads):
    box = np.full((5, 3), 4.0), np.full((5, 3), 90.0)
    if path.suffix == ".gro":
        mdtraj.Trajectory(beads, mdtraj.Topology.from_openmm(topology), np.arange(5.0), *box).save(str(path))
    else:
        with TrajectoryWriter(path, topology) as writer:
            writer.write(beads, np.arange(1, 6.0), *box)
    return path.read_bytes()


def damaged(content, rng):
    """Cut off, with some bytes changed, with a word changed, or with a piece missing."""
    content = bytearray(content)
    kind, at = rng.integers(4), int(rng.integers(1, len(content)))
    if kind == 0:
        return content[:at]
    if kind == 1:
        for place in rng.integers(len(content), size=rng.integers(1, 6)):
            content[place] = rng.integers(256)
        return content
    if kind == 2:
        content[at : at + 4] = WORDS[rng.integers(4)]
        return content
    return content[:at] + content[at + int(rng.integers(1, 50)) :]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".dcd", ".xtc", ".pdb", ".cif", ".gro"])
def test_damage_ends_in_frames_or_in_our_own_error(tmp_path, mapping, reference, suffix):
    topology, rng = mapping.cg_topology(), np.random.default_rng(len(suffix))
    path = tmp_path / f"a{suffix}"
    content, refused = whole_file(path, topology, mapping.project(reference[0][:5])), 0
    for _ in range(CASES):
        path.write_bytes(bytes(damaged(content, rng)))
        for salvage in (False, True):
            try:
                chunks = list(TrajectoryReader(path, topology, salvage=salvage))
            except CGVAEError as error:
                assert "\n" not in str(error)
                refused += not salvage
            else:
                assert sum(len(chunk.frames) for chunk in chunks) >= 1
                assert all(chunk.positions.shape[1:] == (3, 3) for chunk in chunks)
    assert refused > CASES // 4
