"""Objects of other libraries take the place of files, in and out, and those libraries open what is written."""

import mdtraj
import numpy as np
import pytest
from openmm import app, unit

from openmm_cgvae.backmapping.inmemory import backmap_in_memory
from openmm_cgvae.backmapping.trajectory import backmap_trajectory, project_trajectory, read_frame
from openmm_cgvae.core.errors import DataError, SettingsError, TopologyMismatchError
from openmm_cgvae.formats.structures import load_topology
from openmm_cgvae.io.objects import as_library
from openmm_cgvae.io.trajectory_files import WRITABLE, TrajectoryReader, write_topology_beside
from openmm_cgvae.molecule.foreign import foreign_topology
from openmm_cgvae.molecule.mapping import CGMapping
from openmm_cgvae.preparation.dataset import read_reference

FRAMES = 5
LIBRARIES = ["mdtraj", "mdanalysis", "openmm", "parmed"]
TIMES = 4.0 + 2.0 * np.arange(FRAMES)
VECTORS = np.tile(np.diag([3.0, 3.5, 4.0]), (FRAMES, 1, 1))
# Those that hold times, and a box for each frame.
FULL = ("mdtraj", "mdanalysis")


@pytest.fixture(scope="module")
def beads(reference, mapping):
    return mapping.project(reference[0][:FRAMES])


def made(library, topology, positions):
    if library == "mdanalysis":
        pytest.importorskip("MDAnalysis")
    return as_library(library, topology, positions, TIMES, VECTORS)


def positions_of(given):
    """Positions in nm of an object, by its own library."""
    if isinstance(given, mdtraj.Trajectory):
        return given.xyz
    if isinstance(given, tuple):
        return given[1].value_in_unit(unit.nanometer)
    if hasattr(given, "trajectory"):
        return np.array([step.positions.copy() for step in given.trajectory]) / 10
    return given.get_coordinates("all") / 10


@pytest.mark.parametrize("library", LIBRARIES)
def test_beads_of_every_library_are_backmapped_as_those_of_a_file(tmp_path, backmapper, mapping, beads, library):
    given = made(library, mapping.cg_topology(), beads)
    np.testing.assert_allclose(positions_of(given), beads, atol=1e-6)
    summary = backmap_trajectory(given, backmapper, tmp_path / "aa.dcd", seed=1, progress=False)
    assert summary.n_frames == FRAMES
    found = next(iter(TrajectoryReader(tmp_path / "aa.dcd", backmapper.topology)))
    np.testing.assert_allclose(found.positions, backmapper.sample(beads, seed=1)[:, 0], atol=1e-5)
    np.testing.assert_allclose(found.lengths, [[3.0, 3.5, 4.0]] * FRAMES, atol=1e-5)
    if library in FULL:
        np.testing.assert_allclose(found.times, TIMES, rtol=1e-5)
    np.testing.assert_allclose(read_frame(given, mapping.cg_topology(), 3), beads[3], atol=1e-6)
    reader = TrajectoryReader(given, mapping.cg_topology(), frames=slice(1, None, 2))
    assert next(iter(reader)).frames.tolist() == [1, 3]


@pytest.mark.parametrize("library", LIBRARIES)
def test_structures_are_returned_as_an_object_and_taken_back(tmp_path, backmapper, mapping, beads, library):
    given = made("mdtraj", mapping.cg_topology(), beads)
    if library == "mdanalysis":
        pytest.importorskip("MDAnalysis")
    found = backmap_in_memory(given, backmapper, library, n_samples=2, seed=1)
    expected = backmapper.sample(beads, 2, seed=1).reshape(-1, 22, 3)
    np.testing.assert_allclose(positions_of(found), expected, atol=1e-5)
    topology = foreign_topology(found)
    own = foreign_topology(backmapper.topology)
    assert [(a.name, a.element.symbol, a.residue.name) for a in topology.atoms] == [
        (a.name, a.element.symbol, a.residue.name) for a in own.atoms
    ]
    assert {frozenset((a.index, b.index)) for a, b in topology.bonds} == {
        frozenset((a.index, b.index)) for a, b in own.bonds
    }
    # The way back, with the object as its own topology.
    assert project_trajectory(found, found, mapping, tmp_path / "cg.xtc", progress=False) == 2 * FRAMES
    back = next(iter(TrajectoryReader(tmp_path / "cg.xtc", mapping.cg_topology())))
    np.testing.assert_allclose(back.positions, np.repeat(beads, 2, axis=0), atol=2e-3)
    assert CGMapping(found, mapping.beads).n_beads == 3
    if library in FULL:
        np.testing.assert_allclose(back.times, np.repeat(TIMES, 2) + np.tile([0, 1], FRAMES), rtol=1e-5)


def test_reference_md_is_read_of_objects_as_of_files(reference, backmapper):
    frames = reference[0][:FRAMES]
    given = made("mdtraj", backmapper.topology, frames)
    positions, runs = read_reference([given, given], load_topology(given))
    np.testing.assert_allclose(positions, np.concatenate([frames, frames]), atol=1e-6)
    assert runs.tolist() == [0] * FRAMES + [1] * FRAMES


def test_what_openmm_has_read_or_runs_is_taken(tmp_path, backmapper, mapping, beads):
    backmap_trajectory(made("mdtraj", mapping.cg_topology(), beads), backmapper, tmp_path / "aa.pdb", seed=1)
    expected = next(iter(TrajectoryReader(tmp_path / "aa.pdb", backmapper.topology))).positions
    pdb = app.PDBFile(str(tmp_path / "aa.pdb"))
    modeller = app.Modeller(pdb.topology, pdb.positions)
    for given, n in ((pdb, FRAMES), (modeller, 1), ((pdb.topology, pdb.positions), 1)):
        chunk = next(iter(TrajectoryReader(given, given)))
        np.testing.assert_allclose(chunk.positions, expected[:n], atol=1e-5)
        np.testing.assert_allclose(chunk.lengths, [[3.0, 3.5, 4.0]] * n, atol=1e-3)


def test_a_running_simulation_gives_its_current_frame(backmapper):
    from openmm_cgvae.cg.system import create_cg_simulation

    simulation = create_cg_simulation(backmapper.mapping, backmapper.cg_potential(), seed=1)
    simulation.step(5)
    state = simulation.context.getState(positions=True)
    now = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    np.testing.assert_allclose(read_frame(simulation, backmapper.cg_topology(), 0), now, atol=1e-6)


def test_a_group_of_atoms_out_of_a_universe_is_taken(tmp_path, backmapper, mapping, beads):
    pytest.importorskip("MDAnalysis")
    universe = made("mdanalysis", backmapper.topology, backmapper.sample(beads, seed=1)[:, 0])
    universe.trajectory[2]
    group = universe.select_atoms("resname ALA")
    chunk = next(iter(TrajectoryReader(group, group)))
    assert chunk.positions.shape == (FRAMES, 10, 3)
    assert universe.trajectory.frame == 2
    assert foreign_topology(group).n_bonds == 9


@pytest.mark.parametrize("suffix", WRITABLE)
@pytest.mark.filterwarnings("ignore")
def test_other_programs_open_what_is_written(tmp_path, backmapper, mapping, beads, suffix):
    if suffix == ".h5":
        pytest.importorskip("tables")
    path, top = tmp_path / f"aa{suffix}", str(tmp_path / "aa.pdb")
    given = made("mdtraj", mapping.cg_topology(), beads)
    backmap_trajectory(given, backmapper, path, seed=1, progress=False)
    write_topology_beside(path, backmapper.topology)
    expected, atol = backmapper.sample(beads, seed=1)[:, 0], 1e-3
    if suffix != ".cif":
        found = mdtraj.load(str(path), top=top)
        np.testing.assert_allclose(found.xyz, expected, atol=atol)
        np.testing.assert_allclose(found.unitcell_lengths[0], [3.0, 3.5, 4.0], atol=atol)
    if suffix in (".pdb", ".cif"):
        file = (app.PDBFile if suffix == ".pdb" else app.PDBxFile)(str(path))
        np.testing.assert_allclose(file.getPositions(asNumpy=True)._value, expected[0], atol=atol)
        gemmi = pytest.importorskip("gemmi")
        structure = gemmi.read_structure(str(path))
        assert len(structure) == FRAMES
        atoms = [atom for chain in structure[0] for residue in chain for atom in residue]
        np.testing.assert_allclose([atom.pos.tolist() for atom in atoms], 10 * expected[0], atol=10 * atol)
        assert [atom.element.name for atom in atoms] == [a.element.symbol for a in backmapper.topology.atoms()]
    if suffix in (".pdb", ".cif", ".nc"):
        parmed = pytest.importorskip("parmed")
        own = parmed.load_file(str(path))
        coordinates = own.coordinates if suffix == ".nc" else own.get_coordinates("all")
        np.testing.assert_allclose(coordinates, 10 * expected, atol=10 * atol)
    if suffix in (".dcd", ".xtc", ".nc", ".pdb"):
        MDAnalysis = pytest.importorskip("MDAnalysis")
        universe = MDAnalysis.Universe(top, str(path))
        assert universe.trajectory.n_frames == FRAMES
        np.testing.assert_allclose(universe.atoms.positions, 10 * expected[0], atol=10 * atol)
        # It looks for the box of a PDB file in each model, where the format has none.
        if suffix != ".pdb":
            np.testing.assert_allclose(universe.dimensions, [30, 35, 40, 90, 90, 90], atol=10 * atol)
            assert [step.time for step in universe.trajectory] == pytest.approx(TIMES.tolist(), rel=1e-5)


def test_what_is_no_trajectory_or_topology_is_said_in_one_line(backmapper, mapping, beads):
    for given in (7, [7], {"a": 1}, None):
        with pytest.raises(DataError, match="given as trajectory: a path"):
            TrajectoryReader(given, mapping.cg_topology())
    with pytest.raises(TopologyMismatchError, match="a dict given as topology"):
        load_topology({})
    with pytest.raises(DataError, match=r"positions of shape \(1, 2, 3\) given with a topology of 3"):
        TrajectoryReader((mapping.cg_topology(), beads[0][:2]), mapping.cg_topology())
    with pytest.raises(SettingsError, match="one of mdtraj, mdanalysis, openmm, parmed"):
        backmap_in_memory(made("mdtraj", mapping.cg_topology(), beads), backmapper, "chemfiles")
    with pytest.raises(TopologyMismatchError, match="22 particles a frame, 3 are expected"):
        TrajectoryReader(made("parmed", backmapper.topology, np.zeros((1, 22, 3))), mapping.cg_topology())
