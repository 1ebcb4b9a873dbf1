"""DCD files: the bytes that other programs expect, in one go or appended."""

import mdtraj
import numpy as np
import pytest
from openmm import app, unit

from openmm_cgvae.core.errors import OutputError
from openmm_cgvae.formats.dcd import DCDHeader
from openmm_cgvae.formats.dcdwriter import DCDWriter

RNG = np.random.default_rng(0)
POSITIONS = RNG.normal(size=(7, 5, 3)).astype(np.float32)
BOX = np.tile([2.0, 3.0, 4.0], (7, 1)), np.tile([70.0, 80.0, 100.0], (7, 1))


def md_topology():
    topology = mdtraj.Topology()
    residue = topology.add_residue("BEA", topology.add_chain())
    for _ in range(5):
        topology.add_atom("B", None, residue)
    return topology


@pytest.mark.parametrize("box", [(None, None), BOX], ids=["no box", "triclinic"])
def test_mdtraj_reads_what_is_written(tmp_path, box):
    writer = DCDWriter(tmp_path / "a.dcd", 5)
    writer.write(POSITIONS, 3.0 + 0.5 * np.arange(7), *box)
    writer.close()
    read = mdtraj.load(str(tmp_path / "a.dcd"), top=md_topology())
    np.testing.assert_allclose(read.xyz, POSITIONS, atol=1e-6)
    if box[0] is None:
        assert read.unitcell_lengths is None
    else:
        np.testing.assert_allclose(read.unitcell_lengths, BOX[0], rtol=1e-5)
        np.testing.assert_allclose(read.unitcell_angles, BOX[1], rtol=1e-5)
    np.testing.assert_allclose(
        DCDHeader.read(tmp_path / "a.dcd").times(np.arange(7)), 3.0 + 0.5 * np.arange(7), rtol=1e-6
    )


def test_frames_one_by_one_or_appended_make_the_same_file(tmp_path):
    times = 12.0 + 4.0 * np.arange(7)
    whole = DCDWriter(tmp_path / "whole.dcd", 5)
    whole.write(POSITIONS, times, *BOX)
    whole.close()
    for k in range(7):
        part = DCDWriter(tmp_path / "parts.dcd", 5, append=k > 0)
        part.write(POSITIONS[k : k + 1], times[k : k + 1], BOX[0][k : k + 1], BOX[1][k : k + 1])
        part.close()
    one, other = DCDHeader.read(tmp_path / "whole.dcd"), DCDHeader.read(tmp_path / "parts.dcd")
    assert one.n_frames == other.n_frames == 7
    body = (tmp_path / "whole.dcd").stat().st_size - 276
    assert (tmp_path / "whole.dcd").read_bytes()[-body:] == (tmp_path / "parts.dcd").read_bytes()[-body:]


def test_openmm_goes_on_with_the_file_and_it_with_openmms(tmp_path):
    topology = app.Topology()
    residue = topology.addResidue("BEA", topology.addChain())
    for _ in range(5):
        topology.addAtom("B", None, residue)
    ours = DCDWriter(tmp_path / "a.dcd", 5)
    ours.write(POSITIONS[:3], 2.0 * np.arange(1, 4))
    ours.close()
    with open(tmp_path / "a.dcd", "r+b") as file:
        openmms = app.DCDFile(file, topology, 2.0 * unit.picoseconds, 1, 1, append=True)
        openmms.writeModel(POSITIONS[3])
    ours = DCDWriter(tmp_path / "a.dcd", 5, append=True)
    ours.write(POSITIONS[4:], 2.0 * np.arange(5, 8))
    ours.close()
    np.testing.assert_allclose(mdtraj.load(str(tmp_path / "a.dcd"), top=md_topology()).xyz, POSITIONS, atol=1e-6)
    np.testing.assert_allclose(DCDHeader.read(tmp_path / "a.dcd").times(np.arange(7)), 2.0 * np.arange(1, 8), rtol=1e-6)


def test_every_call_leaves_a_complete_file(tmp_path):
    writer = DCDWriter(tmp_path / "a.dcd", 5)
    for k in range(1, 4):
        writer.write(POSITIONS[:2], np.arange(2.0))
        assert DCDHeader.read(tmp_path / "a.dcd").n_frames == 2 * k


def test_appending_to_something_else_is_refused(tmp_path):
    writer = DCDWriter(tmp_path / "a.dcd", 5)
    writer.write(POSITIONS, np.arange(7.0))
    writer.close()
    with pytest.raises(OutputError, match=r"6 particles.*has 5"):
        DCDWriter(tmp_path / "a.dcd", 6, append=True)
    (tmp_path / "b.dcd").write_bytes(b"no trajectory" * 30)
    with pytest.raises(OutputError, match="cannot append"):
        DCDWriter(tmp_path / "b.dcd", 5, append=True)
