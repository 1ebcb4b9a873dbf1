"""Trajectories in and out: what is kept, what is refused, and that nothing half-written stays."""

import struct

import mdtraj
import numpy as np
import pytest
from openmm import app, unit

from openmm_cgvae.backmapping.trajectory import backmap_trajectory, project_trajectory, read_frame
from openmm_cgvae.core.errors import DataError, OutputError, PositionsError, SettingsError, TopologyMismatchError
from openmm_cgvae.io.trajectory_files import TrajectoryReader, TrajectoryWriter, write_topology_beside

FRAMES = 40
LENGTHS, ANGLES = np.array([3.0, 3.5, 4.0]), np.array([80.0, 85.0, 95.0])


@pytest.fixture(params=[".dcd", ".xtc"])
def cg_trajectory(request, tmp_path, reference, mapping):
    """Real beads, in a triclinic box, every 2.5 ps from 100 ps on."""
    path = tmp_path / f"cg{request.param}"
    beads = mapping.project(reference[0])[:FRAMES]
    with TrajectoryWriter(path, mapping.cg_topology()) as writer:
        box = np.tile(LENGTHS, (FRAMES, 1)), np.tile(ANGLES, (FRAMES, 1))
        writer.write(beads, 100.0 + 2.5 * np.arange(FRAMES), *box)
    return path


def read(path, backmapper):
    return next(iter(TrajectoryReader(path, backmapper.topology, chunk_size=10_000)))


def beads_of(path, backmapper):
    return np.concatenate([c.positions for c in TrajectoryReader(path, backmapper.cg_topology())])


@pytest.mark.parametrize("suffix", [".dcd", ".xtc", ".pdb"])
def test_positions_times_and_box_are_kept(cg_trajectory, backmapper, tmp_path, suffix):
    output = tmp_path / f"aa{suffix}"
    summary = backmap_trajectory(cg_trajectory, backmapper, output, seed=3)
    assert summary.n_frames == FRAMES
    found = read(output, backmapper)
    beads = beads_of(cg_trajectory, backmapper)
    expected = backmapper.sample(beads, seed=3)[:, 0]
    rounding = {".dcd": 1e-6, ".xtc": 6e-4, ".pdb": 6e-5}[suffix]
    np.testing.assert_allclose(found.positions, expected, atol=rounding)
    np.testing.assert_allclose(found.lengths, np.tile(LENGTHS, (FRAMES, 1)), atol=1e-3)
    np.testing.assert_allclose(found.angles, np.tile(ANGLES, (FRAMES, 1)), atol=0.05)
    if suffix != ".pdb":  # A PDB file has no times.
        np.testing.assert_allclose(found.times, 100.0 + 2.5 * np.arange(FRAMES), rtol=1e-5)


def test_openmm_and_mdtraj_read_the_written_pdb(cg_trajectory, backmapper, tmp_path):
    output = tmp_path / "aa.dcd"
    backmap_trajectory(cg_trajectory, backmapper, output, seed=3)
    write_topology_beside(output, backmapper.topology)
    pdb = app.PDBFile(str(tmp_path / "aa.pdb"))
    assert [a.element.symbol for a in pdb.topology.atoms()] == [a.element.symbol for a in backmapper.topology.atoms()]
    assert pdb.topology.getNumBonds() == backmapper.topology.getNumBonds()
    first = mdtraj.load(str(output), top=str(tmp_path / "aa.pdb"))
    np.testing.assert_allclose(first.xyz[0], pdb.getPositions(asNumpy=True) / unit.nanometer, atol=1e-4)


def test_stride_gives_the_same_structures_as_no_stride(cg_trajectory, backmapper, tmp_path):
    backmap_trajectory(cg_trajectory, backmapper, tmp_path / "all.dcd", seed=3)
    backmap_trajectory(cg_trajectory, backmapper, tmp_path / "some.dcd", seed=3, stride=7)
    every, some = read(tmp_path / "all.dcd", backmapper), read(tmp_path / "some.dcd", backmapper)
    np.testing.assert_allclose(some.positions, every.positions[::7], atol=2e-6)
    np.testing.assert_allclose(some.times, every.times[::7], rtol=1e-5)


def test_chunks_do_not_change_the_result(cg_trajectory, backmapper, tmp_path):
    backmap_trajectory(cg_trajectory, backmapper, tmp_path / "a.dcd", seed=3, n_samples=2)
    backmap_trajectory(cg_trajectory, backmapper, tmp_path / "b.dcd", seed=3, n_samples=2, chunk_size=6)
    a, b = read(tmp_path / "a.dcd", backmapper), read(tmp_path / "b.dcd", backmapper)
    np.testing.assert_allclose(a.positions, b.positions, atol=2e-6)
    np.testing.assert_allclose(a.times, b.times, rtol=1e-5)


def test_times_survive_chunks_of_few_frames(cg_trajectory, backmapper, tmp_path):
    backmap_trajectory(cg_trajectory, backmapper, tmp_path / "aa.dcd", seed=3, n_samples=3, chunk_size=1)
    np.testing.assert_allclose(
        read(tmp_path / "aa.dcd", backmapper).times[::3], 100 + 2.5 * np.arange(FRAMES), rtol=1e-5
    )


def test_the_names_in_a_pdb_trajectory_are_checked(tmp_path, backmapper, reference, topology):
    path = tmp_path / "aa.pdb"
    with TrajectoryWriter(path, topology) as writer:
        writer.write(reference[0][:3], np.arange(3.0))
    assert project_trajectory(path, topology, backmapper.mapping, tmp_path / "cg.dcd") == 3
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line.replace(" CB  ALA", " CX  ALA") for line in lines))
    with pytest.raises(TopologyMismatchError, match="CX, CB is expected"):
        project_trajectory(path, topology, backmapper.mapping, tmp_path / "other.dcd")


def test_samples_of_a_frame_follow_one_another(cg_trajectory, backmapper, tmp_path):
    backmap_trajectory(cg_trajectory, backmapper, tmp_path / "aa.dcd", seed=3, n_samples=3)
    found = read(tmp_path / "aa.dcd", backmapper)
    assert len(found.positions) == 3 * FRAMES
    projected = backmapper.mapping.project(found.positions)
    np.testing.assert_allclose(projected, np.repeat(beads_of(cg_trajectory, backmapper), 3, axis=0), atol=1e-5)
    assert np.abs(found.positions[0] - found.positions[1]).max() > 1e-3


def test_projection_of_a_backmapped_trajectory_gives_the_beads_back(cg_trajectory, backmapper, tmp_path):
    backmap_trajectory(cg_trajectory, backmapper, tmp_path / "aa.dcd", seed=3)
    n = project_trajectory(tmp_path / "aa.dcd", backmapper.topology, backmapper.mapping, tmp_path / "back.dcd")
    assert n == FRAMES
    np.testing.assert_allclose(
        beads_of(tmp_path / "back.dcd", backmapper), beads_of(cg_trajectory, backmapper), atol=1e-5
    )


def test_times_that_openmm_wrote_are_read(tmp_path, mapping):
    topology = mapping.cg_topology()
    with open(tmp_path / "cg.dcd", "wb") as file:
        dcd = app.DCDFile(file, topology, 0.004 * unit.picoseconds, firstStep=500, interval=250)
        for _ in range(3):
            dcd.writeModel(np.zeros((3, 3)))
    chunk = next(iter(TrajectoryReader(tmp_path / "cg.dcd", topology)))
    np.testing.assert_allclose(chunk.times, [2.0, 3.0, 4.0], rtol=1e-6)


@pytest.mark.parametrize("suffix", [".dcd", ".xtc"])
def test_molecules_split_over_the_box_are_made_whole(tmp_path, backmapper, reference, mapping, suffix):
    beads = mapping.project(reference[0][:20])
    box = np.full((20, 3), 1.0), np.full((20, 3), 90.0)
    for name, positions in (("whole", beads), ("split", beads % 1.0)):
        with TrajectoryWriter(tmp_path / f"{name}{suffix}", mapping.cg_topology()) as writer:
            writer.write(positions, np.arange(20.0), *box)
        backmap_trajectory(tmp_path / f"{name}{suffix}", backmapper, tmp_path / f"aa-{name}.dcd", seed=3)
    assert (np.ptp(beads % 1.0, axis=1) > 0.5).any(), "no molecule was split: the test shows nothing"
    whole, split = (read(tmp_path / f"aa-{name}.dcd", backmapper).positions for name in ("whole", "split"))
    shift = split[:, :1] - whole[:, :1]
    # The same molecules, displaced by whole boxes; XTC's rounding of the beads moves atoms a little.
    np.testing.assert_allclose(split - shift, whole, atol=1e-5 if suffix == ".dcd" else 5e-3)
    np.testing.assert_allclose(shift, np.round(shift), atol=1e-5 if suffix == ".dcd" else 5e-3)


def left_behind(folder):
    return sorted(p.name for p in folder.iterdir() if p.name.startswith(".") or p.name.startswith("aa"))


def cut(path, n_bytes):
    path.write_bytes(path.read_bytes()[:n_bytes])


@pytest.mark.parametrize("n_bytes", [-1, -30, 200, 280, 50])
def test_a_truncated_trajectory_is_refused(cg_trajectory, backmapper, tmp_path, n_bytes):
    cut(cg_trajectory, n_bytes)
    with pytest.raises(DataError, match=r"truncated|empty|beginning|cannot be read"):
        backmap_trajectory(cg_trajectory, backmapper, tmp_path / "aa.dcd")
    assert left_behind(tmp_path) == []


def test_an_empty_or_missing_trajectory_is_refused(backmapper, tmp_path):
    (tmp_path / "cg.dcd").touch()
    for name in ("cg.dcd", "missing.dcd"):
        with pytest.raises(DataError, match=r"empty|does not exist"):
            backmap_trajectory(tmp_path / name, backmapper, tmp_path / "aa.dcd")


@pytest.mark.parametrize("suffix", [".dcd", ".xtc"])
def test_a_file_of_another_kind_is_refused(backmapper, tmp_path, suffix):
    path = tmp_path / f"cg{suffix}"
    path.write_bytes(b"this is no trajectory" * 50)
    with pytest.raises(DataError, match=r"not a DCD|cannot be read"):
        backmap_trajectory(path, backmapper, tmp_path / "aa.dcd")


def test_a_wrong_number_of_beads_is_refused(tmp_path, backmapper, five_beads, reference):
    for name in ("cg.dcd", "cg.xtc"):
        with TrajectoryWriter(tmp_path / name, five_beads.cg_topology()) as writer:
            writer.write(five_beads.project(reference[0][:5]), np.arange(5.0))
        with pytest.raises(TopologyMismatchError, match=r"5.*3|3.*5"):
            backmap_trajectory(tmp_path / name, backmapper, tmp_path / "aa.dcd")
    assert left_behind(tmp_path) == []


def test_a_bad_frame_leaves_nothing_half_written_and_what_was_done_before(tmp_path, backmapper, reference, mapping):
    beads = mapping.project(reference[0]).copy()
    beads[150, 1, 2] = np.nan
    with TrajectoryWriter(tmp_path / "cg.dcd", mapping.cg_topology()) as writer:
        writer.write(beads, np.arange(200.0))
    (tmp_path / "aa.dcd").write_text("what stood there before")
    with pytest.raises(PositionsError, match="NaN"):
        backmap_trajectory(tmp_path / "cg.dcd", backmapper, tmp_path / "aa.dcd", overwrite=True, chunk_size=50)
    assert left_behind(tmp_path) == ["aa.dcd", "aa.dcd.unfinished"]
    assert (tmp_path / "aa.dcd").read_text() == "what stood there before"
    summary = backmap_trajectory(
        tmp_path / "cg.dcd", backmapper, tmp_path / "aa.dcd", overwrite=True, chunk_size=50, resume=True,
        on_bad_frame="skip",
    )  # fmt: skip
    assert (summary.n_frames, list(summary.skipped)) == (199, [150])
    assert left_behind(tmp_path) == ["aa.dcd"]


def test_an_existing_output_is_kept_unless_told(cg_trajectory, backmapper, tmp_path):
    (tmp_path / "aa.dcd").write_text("precious")
    with pytest.raises(OutputError, match="overwrite"):
        backmap_trajectory(cg_trajectory, backmapper, tmp_path / "aa.dcd")
    assert (tmp_path / "aa.dcd").read_text() == "precious"
    assert backmap_trajectory(cg_trajectory, backmapper, tmp_path / "aa.dcd", overwrite=True).n_frames == FRAMES


@pytest.mark.parametrize("options", [{"chunk_size": 7}, {"stride": 5}])
def test_correlated_frames_do_not_depend_on_chunks_or_stride(cg_trajectory, backmapper, tmp_path, options):
    backmap_trajectory(cg_trajectory, backmapper, tmp_path / "aa.dcd", seed=3, correlation_time=10.0, **options)
    chosen = np.arange(0, FRAMES, options.get("stride", 1))
    # Frames are 2.5 ps apart.
    expected = backmapper.sample(beads_of(cg_trajectory, backmapper), seed=3, correlation=4.0)[chosen, 0]
    np.testing.assert_allclose(read(tmp_path / "aa.dcd", backmapper).positions, expected, atol=2e-6)


@pytest.mark.parametrize("times", [np.r_[0:5, 7:42], np.zeros(FRAMES), -np.arange(FRAMES)])
@pytest.mark.parametrize("chunk_size", [5, 1000])
def test_correlation_is_refused_where_times_are_uneven(reference, mapping, backmapper, tmp_path, times, chunk_size):
    cg, aa = tmp_path / "cg.xtc", tmp_path / "aa.dcd"
    with TrajectoryWriter(cg, mapping.cg_topology()) as writer:
        writer.write(mapping.project(reference[0][:FRAMES]), times.astype(float))
    with pytest.raises(DataError, match="not evenly spaced in time"):
        backmap_trajectory(cg, backmapper, aa, seed=3, correlation_time=1.0, chunk_size=chunk_size)
    # What was done before the times became uneven.
    assert left_behind(tmp_path) in ([], ["aa.dcd.unfinished"])
    backmap_trajectory(cg, backmapper, aa, seed=3, overwrite=True)


@pytest.mark.parametrize("frame", [0, 7, FRAMES - 1])
def test_one_frame_is_read(cg_trajectory, backmapper, frame):
    found = read_frame(cg_trajectory, backmapper.cg_topology(), frame)
    np.testing.assert_array_equal(found, beads_of(cg_trajectory, backmapper)[frame])


@pytest.mark.parametrize("frame", [-1, FRAMES])
def test_a_frame_that_is_not_there_is_refused(cg_trajectory, backmapper, frame):
    with pytest.raises(DataError, match=rf"frame {frame} given: .* frames 0 to {FRAMES - 1}"):
        read_frame(cg_trajectory, backmapper.cg_topology(), frame)


def test_bad_settings_and_outputs_are_refused(cg_trajectory, backmapper, tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        backmap_trajectory(cg_trajectory, backmapper, tmp_path / "no" / "aa.dcd")
    with pytest.raises(OutputError, match=r"\.dcd, \.xtc, \.nc, \.h5, \.pdb"):
        backmap_trajectory(cg_trajectory, backmapper, tmp_path / "aa.trr")
    with pytest.raises(SettingsError, match="correlation time=-1"):
        backmap_trajectory(cg_trajectory, backmapper, tmp_path / "aa.dcd", correlation_time=-1)
    with pytest.raises(SettingsError, match="stride=0"):
        backmap_trajectory(cg_trajectory, backmapper, tmp_path / "aa.dcd", stride=0)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("cg_trajectory", [".dcd"], indirect=True)
def test_a_dcd_without_a_frame_count_is_read(cg_trajectory, backmapper):
    with open(cg_trajectory, "r+b") as file:
        file.seek(8)
        file.write(struct.pack("<i", 0))
    assert len(beads_of(cg_trajectory, backmapper)) == FRAMES


def test_trajectories_in_memory_lists_and_names_of_models_are_taken(
    tmp_path, backmapper, model_path, reference, mapping
):
    beads = mapping.project(reference[0][:10])
    topology = mdtraj.Topology.from_openmm(mapping.cg_topology())
    whole = mdtraj.Trajectory(beads, topology, 5.0 * np.arange(10))
    backmap_trajectory(whole, str(model_path), tmp_path / "a.dcd", seed=3, progress=False)
    backmap_trajectory(
        [whole[:4], whole[4:]], backmapper, tmp_path / "b.dcd", seed=3, correlation_time=5.0, progress=False
    )
    expected = backmapper.sample(beads, seed=3)[:, 0]
    np.testing.assert_allclose(read(tmp_path / "a.dcd", backmapper).positions, expected, atol=2e-6)
    np.testing.assert_allclose(read(tmp_path / "b.dcd", backmapper).times, 5.0 * np.arange(10), rtol=1e-6)
    # Frames whose times mdtraj made up.
    with pytest.raises(DataError, match="does not tell the times"):
        backmap_trajectory(mdtraj.Trajectory(beads, topology), backmapper, tmp_path / "c.dcd", correlation_time=5.0)


@pytest.mark.parametrize(("trajectory", "model", "error", "message"), [
    (None, None, SettingsError, "a NoneType given as backmapper"),
    ({}, "ok", DataError, "a dict given as trajectory: a path, a list of paths"),
    ([], "ok", DataError, "an empty list"),
    ("cg.dcd", 5, SettingsError, "a int given as backmapper"),
])  # fmt: skip
def test_other_objects_are_refused_in_one_line(tmp_path, backmapper, trajectory, model, error, message):
    with pytest.raises(error, match=message):
        backmap_trajectory(trajectory, backmapper if model == "ok" else model, tmp_path / "aa.dcd")
