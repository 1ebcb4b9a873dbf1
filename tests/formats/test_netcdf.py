"""NetCDF trajectories of AMBER's convention: what is written is what other programs read, and the other way round."""

import struct

import mdtraj
import numpy as np
import pytest
from scipy.io import netcdf_file

from openmm_cgvae.core.errors import DataError, OutputError
from openmm_cgvae.formats.netcdf import NetCDFFrames
from openmm_cgvae.formats.netcdfwriter import NetCDFWriter

RNG = np.random.default_rng(1)
POSITIONS = RNG.normal(size=(7, 5, 3)).astype(np.float32)
TIMES = 10.0 + 2.0 * np.arange(7)
LENGTHS, ANGLES = np.tile([3.0, 3.5, 4.0], (7, 1)), np.tile([80.0, 85.0, 95.0], (7, 1))


def write(path, times=TIMES, boxed=True, sizes=(3, 4), **options):
    """Frames in as many calls as there are sizes."""
    writer, done = NetCDFWriter(path, 5, **options), 0
    for size in sizes:
        part = slice(done, done + size)
        box = (LENGTHS[part], ANGLES[part]) if boxed else ()
        writer.write(POSITIONS[part], None if times is None else times[part], *box)
        done += size
    writer.close()
    return path


@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize("timed", [False, True])
def test_scipy_reads_ambers_convention(tmp_path, boxed, timed):
    path = write(tmp_path / "a.nc", TIMES if timed else None, boxed)
    with netcdf_file(str(path), mmap=False) as file:
        assert (file.Conventions, file.ConventionVersion) == (b"AMBER", b"1.0")
        coordinates = file.variables["coordinates"]
        assert coordinates.dimensions == ("frame", "atom", "spatial")
        assert coordinates.units == b"angstrom"
        np.testing.assert_allclose(coordinates[:], 10 * POSITIONS, rtol=1e-6)
        assert ("time" in file.variables, "cell_lengths" in file.variables) == (timed, boxed)
        if timed:
            np.testing.assert_allclose(file.variables["time"][:], TIMES)
        if boxed:
            np.testing.assert_allclose(file.variables["cell_lengths"][:], 10 * LENGTHS)
            assert file.variables["cell_angular"][:].tobytes() == b"alphabeta gamma"


@pytest.mark.filterwarnings("ignore:Warning. The 'netCDF4'")
def test_mdtraj_reads_it(tmp_path):
    topology = mdtraj.Topology()
    residue = topology.add_residue("X", topology.add_chain())
    for k in range(5):
        topology.add_atom(f"A{k}", mdtraj.element.carbon, residue)
    found = mdtraj.load(str(write(tmp_path / "a.nc")), top=topology)
    np.testing.assert_allclose(found.xyz, POSITIONS, atol=1e-6)
    np.testing.assert_allclose(found.time, TIMES)
    np.testing.assert_allclose(found.unitcell_angles, ANGLES, rtol=1e-6)


@pytest.mark.parametrize("numbers", [[0], [6], [1, 2, 3], [0, 3, 6], [2, 5]])
def test_any_frames_are_read(tmp_path, numbers):
    found = NetCDFFrames.read(write(tmp_path / "a.nc"))
    assert (found.n_atoms, found.n_frames, found.has_times, found.n_left) == (5, 7, True, 0)
    positions, vectors = found.frames(np.array(numbers))
    np.testing.assert_allclose(positions, POSITIONS[numbers], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), LENGTHS[numbers], rtol=1e-6)
    np.testing.assert_allclose(found.times(np.array(numbers)), TIMES[numbers])


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_what_other_programs_write_is_read(tmp_path, version, kind):
    """nm, femtoseconds, velocities beside positions, variables in another order, a scale of its own."""
    with netcdf_file(str(tmp_path / "a.nc"), "w", version=version) as file:
        for name, size in (("frame", None), ("spatial", 3), ("atom", 5)):
            file.createDimension(name, size)
        velocities = file.createVariable("velocities", "f4", ("frame", "atom", "spatial"))
        coordinates = file.createVariable("coordinates", kind, ("frame", "atom", "spatial"))
        coordinates.units, coordinates.scale_factor = "nanometer", 2.0
        time = file.createVariable("time", "f8", ("frame",))
        time.units = "femtosecond"
        coordinates[:], velocities[:7], time[:7] = POSITIONS / 2, POSITIONS, 1000 * TIMES
    found = NetCDFFrames.read(tmp_path / "a.nc")
    np.testing.assert_allclose(found.frames(np.arange(7))[0], POSITIONS, rtol=1e-6)
    np.testing.assert_allclose(found.times(np.arange(7)), TIMES)


def test_times_of_an_unknown_unit_are_not_known(tmp_path):
    path = write(tmp_path / "a.nc")
    path.write_bytes(path.read_bytes().replace(b"picosecond", b"fortnight\0"))
    assert not NetCDFFrames.read(path).has_times


@pytest.mark.parametrize("cut", [1, 100, 200])
def test_the_frames_of_a_file_that_is_cut_off_can_be_used(tmp_path, cut):
    path = write(tmp_path / "a.nc")
    size = 4 + 60 + 48
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DataError, match=r"truncated: 7 frames announced, \d complete"):
        NetCDFFrames.read(path)
    found = NetCDFFrames.read(path, salvage=True)
    assert found.n_frames == 7 - -(-cut // size)
    np.testing.assert_allclose(found.frames(np.arange(found.n_frames))[0], POSITIONS[: found.n_frames], atol=1e-6)


def test_frames_whose_number_is_not_told_are_counted(tmp_path):
    path = write(tmp_path / "a.nc")
    content = bytearray(path.read_bytes())
    content[4:8] = struct.pack(">I", 2**32 - 1)
    path.write_bytes(content)
    assert NetCDFFrames.read(path).n_frames == 7


@pytest.mark.parametrize("content", [b"CDF\x02", b"CDF\x02" + bytes(60), b"something else entirely", b"CDF\x07" * 99])
def test_what_is_none_is_refused(tmp_path, content):
    (tmp_path / "a.nc").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.nc"):
        NetCDFFrames.read(tmp_path / "a.nc")


def test_a_run_goes_on_where_its_checkpoint_was(tmp_path):
    path = write(tmp_path / "a.nc")
    writer = NetCDFWriter(path, 5, append=True)
    # Frames from 18 ps on are written again.
    writer.write(POSITIONS[4:], TIMES[4:], LENGTHS[4:], ANGLES[4:])
    writer.close()
    again = write(tmp_path / "b.nc", sizes=(7,))
    assert path.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("cut", [0, 5, 200, None])
def test_a_file_that_was_only_begun_is_gone_on_with(tmp_path, cut):
    whole = write(tmp_path / "a.nc", sizes=(7,)).read_bytes()
    begun = tmp_path / "b.nc"
    begun.write_bytes(whole[: NetCDFFrames.read(tmp_path / "a.nc").start][:cut])
    write(begun, sizes=(7,), append=True)
    assert begun.read_bytes() == whole


def test_another_programs_file_is_not_appended_to(tmp_path):
    with netcdf_file(str(tmp_path / "a.nc"), "w", version=2) as file:
        for name, size in (("frame", None), ("spatial", 3), ("atom", 5)):
            file.createDimension(name, size)
        file.createVariable("coordinates", "f4", ("frame", "atom", "spatial"))[:] = POSITIONS
    before = (tmp_path / "a.nc").read_bytes()
    for n_atoms, message in ((5, "another program"), (6, "which has 5")):
        with pytest.raises(OutputError, match=message):
            NetCDFWriter(tmp_path / "a.nc", n_atoms, append=True)
    assert (tmp_path / "a.nc").read_bytes() == before
