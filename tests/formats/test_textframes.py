"""Frames of PDB, GRO and mmCIF files are those that mdtraj and OpenMM read, however the file is written."""

import gzip
import tracemalloc

import mdtraj
import numpy as np
import pytest

from openmm_cgvae.core.errors import CGVAEError, DataError
from openmm_cgvae.formats.structures import StructureFile
from openmm_cgvae.formats.textframes import find_text_frames
from openmm_cgvae.io.trajectory_files import TrajectoryReader, TrajectoryWriter

FRAMES = 6
EDGES = np.linspace(3.0, 3.5, FRAMES)


def write(path, topology, positions, boxed=True):
    box = (np.tile(EDGES[:, None], (1, 3)), np.full((FRAMES, 3), 90.0)) if boxed else (None, None)
    if path.suffix == ".gro":
        top = topology if isinstance(topology, mdtraj.Topology) else mdtraj.Topology.from_openmm(topology)
        mdtraj.Trajectory(positions, top, 3.0 * np.arange(FRAMES), *box).save(str(path))
    else:
        with TrajectoryWriter(path, topology) as writer:
            writer.write(positions, None, *box)
    return path


@pytest.fixture
def positions(reference):
    return reference[0][:FRAMES]


def one_frame(line, k, x):
    return f"ATOM  {k:5d}  X{k:<2d} RES A{k:4d}    " + "".join(f"{10 * value:8.3f}" for value in x) + "  1.00  0.00"


@pytest.mark.parametrize("suffix", [".pdb", ".gro", ".cif"])
@pytest.mark.parametrize("packed", [False, True])
def test_frames_are_read_where_they_lie_in_any_order(tmp_path, topology, positions, suffix, packed):
    path = write(tmp_path / f"a{suffix}", topology, positions)
    if packed:
        (tmp_path / f"b{suffix}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = tmp_path / f"b{suffix}.gz"
    found = StructureFile.read(path)
    assert found.text is not None
    assert (found.n_frames, found.n_atoms) == (FRAMES, 22)
    for numbers in ([0], [5], [1, 2], [0, 3, 5]):
        np.testing.assert_allclose(found.frames(np.array(numbers))[0], positions[numbers], atol=1e-3)
    # One box a file but of GRO, as formats have it.
    vectors = found.frames(np.arange(FRAMES))[1]
    np.testing.assert_allclose(vectors[:, 0, 0], EDGES if suffix == ".gro" else EDGES[0], atol=1e-5)
    if suffix == ".gro":
        np.testing.assert_allclose(found.times(np.arange(FRAMES)), 3.0 * np.arange(FRAMES))
    assert found.topology == StructureFile.read(path).topology


def test_models_that_end_as_other_programs_write_it(tmp_path, positions):
    """VMD writes END after each frame and no MODEL; GROMACS a box for each; some pad lines or end them with \\r."""
    atoms = [[one_frame("", k, x) for k, x in enumerate(frame[:3], 1)] for frame in positions]
    cells = [f"CRYST1{10 * e:9.3f}{10 * e:9.3f}{10 * e:9.3f}  90.00  90.00  90.00 P 1           1" for e in EDGES]
    files = {
        "vmd": [line for frame in atoms for line in [cells[0], *frame, "END"]],
        "gromacs": [line for frame, cell in zip(atoms, cells, strict=True)
                    for line in ["TITLE     t=   0.00000", cell, "MODEL        1", *frame, "TER", "ENDMDL"]],
        "padded": [line.ljust(80) for frame in atoms for line in ["MODEL        1", *frame, "ENDMDL"]] + ["END"],
        "dos": [line + "\r" for frame in atoms for line in ["MODEL        1", *frame, "ENDMDL"]] + ["END\r"],
        "bare": [line for frame in atoms for line in ["MODEL        1", *frame, "ENDMDL"]],
    }  # fmt: skip
    for name, lines in files.items():
        path = tmp_path / f"{name}.pdb"
        path.write_text("\n".join(lines) + "\n")
        found = StructureFile.read(path)
        assert found.n_frames == FRAMES, name
        np.testing.assert_allclose(found.frames(np.arange(FRAMES))[0], positions[:, :3], atol=1e-4, err_msg=name)
        vectors = found.frames(np.arange(FRAMES))[1]
        expected = {"vmd": EDGES[0], "gromacs": EDGES}.get(name, 0.0)
        np.testing.assert_allclose(vectors[:, 0, 0], expected, atol=1e-4, err_msg=name)


def test_alternate_places_are_left_to_the_library(tmp_path, positions):
    lines = [one_frame("", k, x) for k, x in enumerate(positions[0][:3], 1)]
    other = lines[1].replace(" RES", "BRES")
    other = other[:30] + lines[2][30:54] + other[54:]
    lines[1] = lines[1].replace(" RES", "ARES")
    models = [line for _ in range(2) for line in ["MODEL        1", *lines[:2], other, lines[2], "ENDMDL"]]
    (tmp_path / "a.pdb").write_text("\n".join(models) + "\n")
    found = StructureFile.read(tmp_path / "a.pdb")
    assert (found.text, found.n_frames, found.n_atoms) == (None, 2, 3)
    np.testing.assert_allclose(found.frames([0, 1])[0], positions[[0, 0], :3], atol=1e-4)


def test_frames_of_other_sizes_are_named(tmp_path, topology, positions):
    for suffix in (".pdb", ".cif"):
        path = write(tmp_path / f"a{suffix}", topology, positions, boxed=False)
        lines = path.read_text().splitlines(keepends=True)
        atoms = [k for k, line in enumerate(lines) if line.startswith(("ATOM", "HETATM"))]
        del lines[atoms[3 * 22 + 5]]
        path.write_text("".join(lines))
        reader = TrajectoryReader(path, topology)
        with pytest.raises(DataError, match=r"frame 3 of .* has 21 particles"):
            list(reader)


@pytest.mark.parametrize("suffix", [".pdb", ".gro", ".cif"])
def test_numbers_that_are_none_are_refused_with_their_frame(tmp_path, topology, positions, suffix):
    path = write(tmp_path / f"a{suffix}", topology, positions)
    begin, end = find_text_frames(path, suffix[1:]).places[4]
    content, x = bytearray(path.read_bytes()), positions[4, 0, 0]
    number = {".pdb": f"{10 * x:.3f}", ".gro": f"{x:.3f}", ".cif": f"{10 * x:.4f}"}[suffix]
    at = content.index(number.encode(), begin, end)
    content[at : at + 2] = b"xx"
    path.write_bytes(content)
    with pytest.raises(CGVAEError, match="frame 4"):
        list(TrajectoryReader(path, topology))


@pytest.mark.parametrize("suffix", [".pdb", ".gro", ".cif"])
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path, topology, positions, suffix):
    one = write(tmp_path / f"one{suffix}", topology, positions, boxed=False).read_bytes()
    peaks = []
    for times in (40, 400):
        path = tmp_path / f"many{suffix}"
        if suffix == ".cif":
            names = one.rindex(b"_atom_site.")
            begin = one.index(b"\n", names) + 1
            path.write_bytes(one[:begin] + (one[begin:].rstrip(b"#\n") + b"\n") * times)
        else:
            path.write_bytes(one.replace(b"END\n", b"") * times)
        list(TrajectoryReader(path, topology, chunk_size=10))
        tracemalloc.start()
        count = sum(len(chunk.frames) for chunk in TrajectoryReader(path, topology, chunk_size=10))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == times * FRAMES
    # 2,400 frames of 22 atoms take 0.6 MB as numbers, and 4 as text.
    assert peaks[1] - peaks[0] < 3e5
