"""DCD files of other programs: positions, boxes and times, or an honest refusal of times."""

import os
import threading

import mdtraj
import numpy as np
import pytest
from dialects import write_dcd

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.formats.dcd import AKMA_PS, DCDHeader

N_ATOMS = 5
POSITIONS = np.random.default_rng(0).uniform(-3, 3, (8, N_ATOMS, 3)).astype(np.float32)
DEGREES = np.tile([40.0, 95.0, 45.0, 85.0, 80.0, 50.0], (8, 1))
COSINES = np.where(np.isin(np.arange(6), [1, 3, 4]), np.cos(np.radians(DEGREES)), DEGREES)
DIALECTS = {
    "CHARMM": {},
    "box in degrees": {"cells": DEGREES},
    "box in cosines": {"cells": COSINES},
    "X-PLOR": {"xplor": True, "delta": 0.04888821},
    "fourth dimension": {"fourth": True},
    "fourth dimension and box": {"fourth": True, "cells": COSINES},
    "fixed atoms": {"fixed": [1, 3]},
    "fixed atoms and box": {"fixed": [0], "cells": DEGREES},
    "big-endian": {"order": ">"},
    "big-endian with box": {"order": ">", "cells": DEGREES},
    "long records": {"marker": "q"},
}


def expected_positions(options):
    found = POSITIONS.copy()
    fixed = list(options.get("fixed", ()))
    found[:, fixed] = found[:1, fixed]
    return found


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("numbers", [slice(None), slice(0, None, 3), slice(2, 7, 2)])
def test_every_dialect_is_read_where_frames_lie(tmp_path, name, numbers):
    path = write_dcd(tmp_path / "a.dcd", POSITIONS, **DIALECTS[name])
    header = DCDHeader.read(path)
    assert (header.n_atoms, header.n_frames) == (N_ATOMS, 8)
    positions, lengths, angles = header.frames(np.arange(8)[numbers])
    np.testing.assert_allclose(positions, expected_positions(DIALECTS[name])[numbers], atol=1e-6)
    if "cells" in DIALECTS[name]:
        np.testing.assert_allclose(lengths, np.tile([4.0, 4.5, 5.0], (len(positions), 1)))
        np.testing.assert_allclose(angles, np.tile([80.0, 85.0, 95.0], (len(positions), 1)))
    else:
        assert lengths is None


@pytest.mark.parametrize(
    "name", ["CHARMM", "X-PLOR", "box in cosines", "fixed atoms", "fourth dimension", "big-endian"]
)
def test_positions_are_those_that_mdtraj_reads(tmp_path, name):
    path = write_dcd(tmp_path / "a.dcd", POSITIONS, **DIALECTS[name])
    topology = mdtraj.Topology()
    residue = topology.add_residue("BEA", topology.add_chain())
    for _ in range(N_ATOMS):
        topology.add_atom("B", None, residue)
    found = DCDHeader.read(path).frames(np.arange(8))[0]
    np.testing.assert_allclose(found, mdtraj.load(str(path), top=topology).xyz, atol=1e-6)


def test_the_symmetric_cell_matrix_of_charmm_is_a_box(tmp_path):
    vectors = np.array([[5.0, 0.5, -0.3], [0.5, 6.0, 0.2], [-0.3, 0.2, 4.0]])
    cell = 10 * vectors[[0, 0, 1, 0, 1, 2], [0, 1, 1, 2, 2, 2]]
    lengths, angles = DCDHeader.read(write_dcd(tmp_path / "a.dcd", POSITIONS, cells=np.tile(cell, (8, 1)))).frames([0])[
        1:
    ]
    np.testing.assert_allclose(lengths[0], np.linalg.norm(vectors, axis=1))
    cosine = vectors[1] @ vectors[2] / np.linalg.norm(vectors[1]) / np.linalg.norm(vectors[2])
    np.testing.assert_allclose(angles[0, 0], np.degrees(np.arccos(cosine)))


@pytest.mark.parametrize(
    ("options", "interval_ps"),
    [
        ({"title": "openmm", "delta": 0.004 / AKMA_PS, "interval": 500}, 2.0),
        ({"title": "namd", "delta": 0.0137 / AKMA_PS, "interval": 100}, 1.37),
        ({"title": "charmm", "delta": 0.002 / AKMA_PS, "interval": 1000}, 2.0),
        ({"title": "blank", "delta": 0.02 / AKMA_PS, "interval": 100}, 2.0),
    ],
)
def test_times_of_headers_in_charmms_unit_are_known(tmp_path, options, interval_ps):
    header = DCDHeader.read(write_dcd(tmp_path / "a.dcd", POSITIONS, **options))
    assert header.has_times
    np.testing.assert_allclose(np.diff(header.times(np.arange(8))), interval_ps, rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"title": "vmd"},
        {"title": "lammps", "delta": 10.0, "interval": 200},
        {"title": "lammps", "delta": 0.002 / AKMA_PS, "interval": 1000},
        {"title": "blank", "delta": 10.0, "interval": 200},
        {"title": "blank", "delta": 0.002, "interval": 1000},
        {"title": "charmm", "delta": 0.0},
        {"title": "openmm", "delta": float("nan")},
    ],
)
def test_times_of_other_headers_are_unknown_and_never_guessed(tmp_path, options):
    assert not DCDHeader.read(write_dcd(tmp_path / "a.dcd", POSITIONS, **options)).has_times


@pytest.mark.parametrize("name", DIALECTS)
def test_the_complete_frames_of_a_file_that_is_cut_off_can_be_used(tmp_path, name):
    path = write_dcd(tmp_path / "a.dcd", POSITIONS, **DIALECTS[name])
    whole = DCDHeader.read(path)
    for n_bytes in (whole.position(6) + 7, whole.position(6)):
        with open(path, "r+b") as file:
            file.truncate(n_bytes)
        with pytest.raises(DataError, match=r"8 frames announced, 6 complete.*--salvage"):
            DCDHeader.read(path)
        found = DCDHeader.read(path, salvage=True)
        assert (found.n_frames, found.n_left) == (6, n_bytes - whole.position(6))
        np.testing.assert_allclose(found.frames(np.arange(6))[0], expected_positions(DIALECTS[name])[:6], atol=1e-6)


def test_nothing_complete_is_nothing_to_salvage(tmp_path):
    path = write_dcd(tmp_path / "a.dcd", POSITIONS)
    start = DCDHeader.read(path).start
    for n_bytes in (start + 20, start, start - 3, 100, 50):
        path.write_bytes(path.read_bytes()[:n_bytes])
        with pytest.raises(DataError, match=r"empty|truncated|beginning"):
            DCDHeader.read(path, salvage=True)


def test_damage_is_named_by_the_number_of_its_frame(tmp_path):
    path = write_dcd(tmp_path / "a.dcd", POSITIONS)
    content = bytearray(path.read_bytes())
    at = DCDHeader.read(path).position(5)
    content[at : at + 4] = b"\xff" * 4
    path.write_bytes(bytes(content))
    header = DCDHeader.read(path)
    np.testing.assert_allclose(header.frames([3, 4])[0], POSITIONS[3:5], atol=1e-6)
    with pytest.raises(DataError, match="damaged in frame 5"):
        header.frames([3, 5, 7])


def test_reading_leaves_the_process_its_stdout(tmp_path, capfd):
    header = DCDHeader.read(write_dcd(tmp_path / "a.dcd", POSITIONS))
    done = threading.Event()

    def read():
        while not done.is_set():
            DCDHeader.read(header.path).frames(np.arange(8))

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for k in range(2000):
        os.write(1, b"line %d\n" % k)
    done.set()
    for thread in threads:
        thread.join()
    assert capfd.readouterr().out == "".join(f"line {k}\n" for k in range(2000))
