"""What can be written can be read, and what is read is the same, whatever the format, the name or the packing."""

import gzip
import shutil
import tempfile

import mdtraj
import numpy as np
import pytest
import torch
from dialects import write_dcd

from openmm_cgvae.backmapping.trajectory import backmap_trajectory, project_trajectory
from openmm_cgvae.core.errors import DataError, TopologyMismatchError
from openmm_cgvae.formats.structures import load_box, load_topology
from openmm_cgvae.formats.xtcwriter import XTCWriter
from openmm_cgvae.io.tensors import load_tensors, save_tensors
from openmm_cgvae.io.trajectory_files import WRITABLE, TrajectoryReader, TrajectoryWriter, write_topology_beside

BY_MDTRAJ = (".dcd", ".xtc", ".trr", ".nc", ".pdb", ".gro", ".xyz", ".lammpstrj")
TIMED = (".xtc", ".trr", ".nc", ".gro")
LENGTHS, ANGLES = np.full((4, 3), 3.0), np.full((4, 3), 90.0)


@pytest.fixture(scope="module")
def beads(reference, mapping):
    return mapping.project(reference[0][:4])


def write(path, mapping, beads):
    with TrajectoryWriter(path, mapping.cg_topology()) as writer:
        writer.write(beads, 2.0 * np.arange(1, 5), LENGTHS, ANGLES)


def check(path, mapping, beads, atol=1e-3):
    chunks = list(TrajectoryReader(path, mapping.cg_topology(), chunk_size=3))
    np.testing.assert_allclose(np.concatenate([c.positions for c in chunks]), beads, atol=atol)
    for chunk in chunks:
        if chunk.vectors is not None:
            np.testing.assert_allclose(chunk.lengths, 3.0, atol=1e-3)
    return chunks


@pytest.mark.parametrize("capitals", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", WRITABLE)
def test_what_is_written_is_read_in_capitals_too_and_packed(tmp_path, mapping, beads, suffix, packed, capitals):
    path = tmp_path / f"cg{suffix.upper() if capitals else suffix}"
    write(path, mapping, beads)
    if packed:
        with open(path, "rb") as source, gzip.open(f"{path}.gz", "wb") as target:
            shutil.copyfileobj(source, target)
        path = path.with_name(f"{path.name}.gz")
    chunks = check(path, mapping, beads)
    assert len(chunks) == 2
    assert all(chunk.vectors is not None for chunk in chunks)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", BY_MDTRAJ)
def test_what_mdtraj_writes_is_read_with_its_times(tmp_path, mapping, beads, suffix):
    topology = mdtraj.Topology.from_openmm(mapping.cg_topology())
    cell = {"unitcell_lengths": LENGTHS, "unitcell_angles": ANGLES}
    path = tmp_path / f"cg{suffix}"
    mdtraj.Trajectory(beads, topology, time=2.0 * np.arange(1, 5), **cell).save(str(path))
    chunks = check(path, mapping, beads, 2e-3)
    if suffix in TIMED:
        np.testing.assert_allclose(np.concatenate([c.times for c in chunks]), 2.0 * np.arange(1, 5))
    else:
        assert all(c.times is None for c in chunks)
    every = list(TrajectoryReader(path, mapping.cg_topology(), stride=2))
    np.testing.assert_allclose(every[0].positions, beads[::2], atol=2e-3)
    assert every[0].frames.tolist() == [0, 2]


@pytest.mark.parametrize("readable", [*WRITABLE, ".gro", ".PDB", ".pdb.gz", ".cif.gz"])
@pytest.mark.parametrize("writable", WRITABLE)
def test_every_format_is_backmapped_into_every_other(tmp_path, backmapper, mapping, beads, readable, writable):
    plain = tmp_path / f"cg{readable.removesuffix('.gz')}"
    if readable == ".gro":
        topology = mdtraj.Topology.from_openmm(mapping.cg_topology())
        mdtraj.Trajectory(beads, topology, np.arange(4.0), LENGTHS, ANGLES).save(str(plain))
    else:
        write(plain, mapping, beads)
    if readable.endswith(".gz"):
        with gzip.open(f"{plain}.gz", "wb") as target:
            target.write(plain.read_bytes())
    output = tmp_path / f"aa{writable}"
    summary = backmap_trajectory(tmp_path / f"cg{readable}", backmapper, output, seed=1, progress=False)
    write_topology_beside(output, backmapper.topology)
    assert summary.n_frames == 4
    back = tmp_path / f"back{writable}"
    assert project_trajectory(output, backmapper.topology, mapping, back, progress=False) == 4
    check(back, mapping, beads, 3e-3)
    assert load_topology(tmp_path / "aa.pdb").n_atoms == 22


@pytest.mark.parametrize("suffix", [*WRITABLE, ".trr", ".nc"])
def test_names_beyond_ascii_reach_no_library_that_cannot_have_them(tmp_path, backmapper, mapping, beads, suffix):
    folder = tmp_path / "Versuche für Ωμέγα"
    folder.mkdir()
    path = folder / f"ü{suffix}"
    if suffix in WRITABLE:
        write(path, mapping, beads)
    else:
        topology = mdtraj.Topology.from_openmm(mapping.cg_topology())
        plain = tmp_path / f"plain{suffix}"
        mdtraj.Trajectory(beads, topology, np.arange(4.0), LENGTHS, ANGLES).save(str(plain))
        plain.rename(path)
    check(path, mapping, beads)
    output = folder / f"ä{suffix if suffix in WRITABLE else '.xtc'}"
    backmap_trajectory(path, backmapper, output, seed=1, progress=False)
    write_topology_beside(output, backmapper.topology)
    assert load_topology(folder / "ä.pdb").n_atoms == 22
    assert sum(len(c.frames) for c in TrajectoryReader(output, backmapper.topology)) == 4


@pytest.mark.parametrize("suffix", [".pdb", ".cif", ".gro", ".CIF", ".pdb.gz", ".cif.gz"])
def test_every_file_of_names_is_a_topology_with_its_box(tmp_path, mapping, beads, suffix):
    plain = tmp_path / f"top{suffix.removesuffix('.gz')}"
    if suffix == ".gro":
        topology = mdtraj.Topology.from_openmm(mapping.cg_topology())
        mdtraj.Trajectory(beads[:1], topology, np.zeros(1), LENGTHS[:1], ANGLES[:1]).save(str(plain))
    else:
        write(plain, mapping, beads)
    path = tmp_path / f"top{suffix}"
    if suffix.endswith(".gz"):
        with gzip.open(path, "wb") as target:
            target.write(plain.read_bytes())
    found = load_topology(path)
    assert [atom.name for atom in found.atoms] == list(mapping.names)
    assert {atom.element.symbol for atom in found.atoms} == {"VS"}
    np.testing.assert_allclose(load_box(path), 3 * np.eye(3), atol=1e-6)


RIGHT = "  90.00  90.00  90.00"


@pytest.mark.parametrize(
    "cell",
    [
        "0.000    0.000    0.000" + RIGHT,
        "1.000    1.000    1.000" + RIGHT,
        "0.000    0.000    0.000   0.00   0.00   0.00",
    ],
)
def test_a_cell_of_zeros_or_ones_is_no_box(tmp_path, backmapper, mapping, beads, cell):
    write(tmp_path / "a.pdb", mapping, beads)
    lines = (tmp_path / "a.pdb").read_text().splitlines()
    lines = [f"CRYST1    {cell} P 1           1" if line.startswith("CRYST1") else line for line in lines]
    (tmp_path / "a.pdb").write_text("\n".join(lines) + "\n")
    assert load_box(tmp_path / "a.pdb") is None
    assert all(chunk.vectors is None for chunk in check(tmp_path / "a.pdb", mapping, beads))
    backmap_trajectory(tmp_path / "a.pdb", backmapper, tmp_path / "aa.pdb", seed=1, progress=False)
    assert "CRYST1" not in (tmp_path / "aa.pdb").read_text()


def test_a_dummy_cell_in_mmcif_is_no_box(tmp_path, mapping, beads):
    write(tmp_path / "a.cif", mapping, beads)
    text = (tmp_path / "a.cif").read_text()
    for size in ("1.0000", "0.0000"):
        (tmp_path / "b.cif").write_text(text.replace("30.0000", size))
        assert size in (tmp_path / "b.cif").read_text()
        assert load_box(tmp_path / "b.cif") is None
        check(tmp_path / "b.cif", mapping, beads)


@pytest.mark.parametrize("suffix", [".dcd", ".xtc"])
def test_a_zero_box_in_a_trajectory_is_no_box(tmp_path, mapping, beads, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".dcd":
        write_dcd(path, beads, cells=np.zeros((4, 6)))
    else:
        writer = XTCWriter(path, 3)
        writer.write(beads, np.arange(4.0), np.zeros((4, 3, 3)))
        writer.close()
    assert all(chunk.vectors is None for chunk in check(tmp_path / f"a{suffix}", mapping, beads))


# Edges and angles, and what part of a b c the volume is.
CELLS = {
    "hexagonal": ([4.0, 4.0, 5.0], [90.0, 90.0, 120.0], 0.8660254),
    "truncated octahedron": ([4.0, 4.0, 4.0], [70.528779, 109.471221, 70.528779], 0.7698004),
    "dodecahedron": ([4.0, 4.0, 4.0], [60.0, 60.0, 90.0], 0.7071068),
}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("suffix", WRITABLE)
def test_boxes_of_every_shape_go_through_and_structures_are_those_without(
    tmp_path, backmapper, mapping, beads, cell, suffix
):
    lengths, angles = (np.tile(part, (4, 1)) for part in CELLS[cell][:2])
    cg, output = tmp_path / f"cg{suffix}", tmp_path / f"aa{suffix}"
    with TrajectoryWriter(cg, mapping.cg_topology()) as writer:
        writer.write(beads, np.arange(4.0), lengths, angles)
    backmap_trajectory(cg, backmapper, output, seed=1, wrap=True, progress=False)
    write_topology_beside(output, backmapper.topology)
    found = next(iter(TrajectoryReader(output, backmapper.topology)))
    assert np.linalg.det(found.vectors[0]) == pytest.approx(np.prod(lengths[0]) * CELLS[cell][2], rel=1e-3)
    same = backmapper.sample(beads, seed=1)[:, 0]
    moved = found.positions - same
    # Each structure as a whole, by whole vectors of the box.
    np.testing.assert_allclose(moved, np.tile(moved[:, :1], (1, 22, 1)), atol=3e-3)
    steps = moved[:, 0] @ np.linalg.inv(found.vectors.astype(float)[0])
    np.testing.assert_allclose(steps, np.round(steps), atol=3e-3)


def test_a_folder_for_temporary_files_need_not_be_ascii(tmp_path, mapping, beads, monkeypatch):
    folder = tmp_path / "zwischenlager für alles"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    for suffix in (".xtc", ".cif"):
        write(folder / f"ü{suffix}", mapping, beads)
        check(folder / f"ü{suffix}", mapping, beads)


def test_a_packed_file_that_is_none_is_refused(tmp_path, mapping):
    for name in ("a.pdb.gz", "a.dcd.gz", "a.cif.gz"):
        (tmp_path / name).write_bytes(b"not packed at all, whatever the name says")
        with pytest.raises(DataError, match="cannot be unpacked"):
            TrajectoryReader(tmp_path / name, mapping.cg_topology())


@pytest.mark.parametrize("suffix", [".pdb", ".cif"])
def test_names_are_compared_as_far_as_the_format_holds_them(tmp_path, five_beads, reference, suffix):
    beads = five_beads.project(reference[0][:2])
    assert max(map(len, five_beads.names)) <= 5
    path = tmp_path / f"cg5{suffix}"
    with TrajectoryWriter(path, five_beads.cg_topology()) as writer:
        writer.write(beads, np.arange(2.0))
    np.testing.assert_allclose(next(iter(TrajectoryReader(path, five_beads.cg_topology()))).positions, beads, atol=1e-3)
    text = path.read_text()
    other = five_beads.names[1][:2]
    path.write_text(text.replace(f" {other}", " ZZ"))
    with pytest.raises(TopologyMismatchError, match="ZZ"):
        TrajectoryReader(path, five_beads.cg_topology())


def test_tensors_are_written_alike_however_they_lie_in_memory(tmp_path):
    text = "".join(["e", "ps"])
    numbers = torch.arange(6.0).reshape(2, 3)
    states = (
        {"eps": numbers, "none": torch.empty(0, 3), "names": ["eps", "eps"], "pair": (0.9, 0.99)},
        {text: numbers.T.contiguous().T, "none": torch.empty(3, 0).T, "names": [text, "eps"], "pair": (0.9, 0.99)},
    )
    for number, state in enumerate(states):
        save_tensors(tmp_path / f"{number}.pt", state)
    first, second = ((tmp_path / f"{number}.pt").read_bytes() for number in range(2))
    assert first == second
    save_tensors(tmp_path / "again.pt", load_tensors(tmp_path / "0.pt", "state", "this", DataError))
    assert (tmp_path / "again.pt").read_bytes() == first
