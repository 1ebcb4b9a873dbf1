"""The reporter in real OpenMM runs."""

import subprocess
import sys
import threading

import mdtraj
import numpy as np
import openmm
import pytest
import torch
from openmm import app, unit

from openmm_cgvae.backmapping.frames import FrameBackmapper
from openmm_cgvae.cg.potential import CGPotential
from openmm_cgvae.cg.system import create_cg_simulation
from openmm_cgvae.core.errors import OutputError, PositionsError, SettingsError, TopologyMismatchError
from openmm_cgvae.core.worker import BatchWorker
from openmm_cgvae.formats.dcd import DCDHeader
from openmm_cgvae.io.trajectory_files import TrajectoryReader
from openmm_cgvae.simulation.reporter import BackmapReporter

INTERVAL = 20


@pytest.fixture
def simulation(dataset, mapping):
    return create_cg_simulation(mapping, CGPotential.from_dict(dataset.description["potential"]), seed=7)


def periodic_simulation(simulation, vectors):
    """The same beads, drifting freely in a periodic box."""
    system = openmm.System()
    for i in range(simulation.system.getNumParticles()):
        system.addParticle(simulation.system.getParticleMass(i))
    system.setDefaultPeriodicBoxVectors(*vectors)
    force = openmm.NonbondedForce()
    force.setNonbondedMethod(openmm.NonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(0.5)
    for _ in range(system.getNumParticles()):
        force.addParticle(0.0, 0.3, 0.0)
    system.addForce(force)
    topology = simulation.topology
    topology.setPeriodicBoxVectors(vectors * unit.nanometers)
    other = app.Simulation(
        topology, system, openmm.VerletIntegrator(0.01), openmm.Platform.getPlatformByName("Reference")
    )
    other.context.setPositions(simulation.context.getState(positions=True).getPositions())
    other.context.setVelocities(np.tile([40.0, 55.0, -35.0], (3, 1)))
    return other


def load(path, topology):
    chunks = list(TrajectoryReader(path, topology))
    return np.concatenate([c.positions for c in chunks]), np.concatenate([c.times for c in chunks]), chunks[0].lengths


@pytest.mark.parametrize("suffix", [".dcd", ".xtc"])
def test_frames_project_to_the_beads_of_the_run(simulation, backmapper, tmp_path, suffix):
    aa, cg = tmp_path / f"aa{suffix}", tmp_path / "cg.dcd"
    simulation.reporters.append(app.DCDReporter(str(cg), INTERVAL))
    with BackmapReporter(aa, INTERVAL, backmapper, seed=1) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(10 * INTERVAL)
    simulation.reporters.clear()
    beads, cg_times, _ = load(cg, backmapper.cg_topology())
    atoms, times, box = load(aa, backmapper.topology)
    assert len(atoms) == len(beads) == reporter.n_frames == 10
    assert box is None
    np.testing.assert_allclose(backmapper.mapping.project(atoms), beads, atol=1e-5 if suffix == ".dcd" else 1e-3)
    np.testing.assert_allclose(times, cg_times, rtol=1e-5)
    assert mdtraj.load_frame(str(aa), 9, top=mdtraj.Topology.from_openmm(backmapper.topology)).n_atoms == 22


def test_reporter_and_trajectory_call_give_the_same_structures(simulation, backmapper, tmp_path):
    states = []
    with BackmapReporter(tmp_path / "aa.dcd", INTERVAL, backmapper, seed=1, nSamples=2) as reporter:
        simulation.reporters.append(reporter)
        for _ in range(5):
            simulation.step(INTERVAL)
            states.append(simulation.context.getState(positions=True).getPositions(asNumpy=True)._value)
    atoms, times, _ = load(tmp_path / "aa.dcd", backmapper.topology)
    expected = backmapper.sample(np.array(states), 2, seed=1, frames=np.arange(1, 6))
    np.testing.assert_allclose(atoms.reshape(expected.shape), expected, atol=2e-6)
    step = simulation.integrator.getStepSize().value_in_unit(unit.picoseconds)
    np.testing.assert_allclose(times[::2], INTERVAL * step * np.arange(1, 6), rtol=1e-5)


@pytest.mark.parametrize("suffix", [".dcd", ".xtc"])
def test_appending_continues_the_file(simulation, backmapper, tmp_path, suffix):
    path = tmp_path / f"aa{suffix}"
    for append in (False, True):
        with BackmapReporter(path, INTERVAL, backmapper, append=append, seed=1) as reporter:
            simulation.reporters.append(reporter)
            simulation.step(3 * INTERVAL)
        simulation.reporters.clear()
    atoms, times, _ = load(path, backmapper.topology)
    assert len(atoms) == 6
    step = simulation.integrator.getStepSize().value_in_unit(unit.picoseconds)
    np.testing.assert_allclose(times, INTERVAL * step * np.arange(1, 7), rtol=1e-5)


def test_correlated_frames_are_those_of_the_trajectory_call_however_the_run_is_split(simulation, backmapper, tmp_path):
    step = simulation.integrator.getStepSize()
    states = []
    for append in (False, True):
        with BackmapReporter(
            tmp_path / "aa.dcd", INTERVAL, backmapper, append, seed=1, nSamples=2, correlationTime=3 * INTERVAL * step
        ) as reporter:
            simulation.reporters.append(reporter)
            for _ in range(3):
                simulation.step(INTERVAL)
                states.append(simulation.context.getState(positions=True).getPositions(asNumpy=True)._value)
        simulation.reporters.clear()
    atoms, _, _ = load(tmp_path / "aa.dcd", backmapper.topology)
    expected = backmapper.sample(np.array(states), 2, seed=1, frames=np.arange(1, 7), correlation=3.0)
    np.testing.assert_allclose(atoms.reshape(expected.shape), expected, atol=2e-6)


def test_frames_are_complete_at_the_end_of_a_program_that_never_closes(model_path, backmapper, tmp_path):
    program = f"""
from openmm_cgvae import Backmapper, BackmapReporter
from openmm_cgvae.cg.system import create_cg_simulation
backmapper = Backmapper.load({str(model_path)!r})
simulation = create_cg_simulation(backmapper.mapping, backmapper.cg_potential(), seed=1)
simulation.reporters.append(BackmapReporter({str(tmp_path / "aa.dcd")!r}, 2, backmapper, seed=1))
simulation.step(400)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert len(load(tmp_path / "aa.dcd", backmapper.topology)[0]) == 200


@pytest.mark.parametrize("suffix", [".pdb", ".cif"])
def test_pdb_output_has_models_and_the_molecule(simulation, backmapper, tmp_path, suffix):
    path = tmp_path / f"aa{suffix}"
    with BackmapReporter(path, INTERVAL, backmapper, seed=1) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(2 * INTERVAL)
    pdb = app.PDBFile(str(path)) if suffix == ".pdb" else app.PDBxFile(str(path))
    assert pdb.getNumFrames() == 2
    assert pdb.topology.getNumBonds() == backmapper.topology.getNumBonds()


@pytest.mark.parametrize("suffix", [".dcd", ".xtc", ".pdb"])
@pytest.mark.parametrize("enforce", [None, False])
def test_molecules_stay_whole_in_a_triclinic_box(simulation, backmapper, tmp_path, enforce, suffix):
    vectors = np.array([[2.0, 0, 0], [0.5, 2.2, 0], [-0.4, 0.6, 2.1]])
    run = periodic_simulation(simulation, vectors)
    path = tmp_path / f"aa{suffix}"
    with BackmapReporter(path, 5, backmapper, seed=1, enforcePeriodicBox=enforce) as reporter:
        run.reporters.append(reporter)
        run.step(50)
    chunk = next(iter(TrajectoryReader(path, backmapper.topology)))
    np.testing.assert_allclose(chunk.lengths[0], np.linalg.norm(vectors, axis=1), rtol=1e-4)
    extent = np.ptp(chunk.positions, axis=1).max()
    assert extent < 2.0
    # OpenMM's convention: each coordinate of the centre between 0 and the vector's own diagonal element.
    centres = chunk.positions.mean(1)
    within = ((centres > -1e-3) & (centres < np.diag(vectors) + 1e-3)).all()
    # 50 steps of 0.01 ps at some 77 nm/ps leave the box many times, unless wrapped.
    assert within == (enforce is None)


def test_a_bad_frame_surfaces_at_the_next_report(simulation, backmapper, tmp_path):
    reporter = BackmapReporter(tmp_path / "aa.dcd", 1, backmapper, seed=1)
    simulation.reporters.append(reporter)
    simulation.step(200)
    positions = simulation.context.getState(positions=True).getPositions(asNumpy=True)
    reporter.report(simulation, FakeState(positions * 200))
    with pytest.raises(PositionsError, match="spread"):
        simulation.step(1_000_000)
    assert simulation.currentStep < 1_000_000
    reporter.close()
    atoms, _, _ = load(tmp_path / "aa.dcd", backmapper.topology)
    # What was written before the bad frame's batch is kept.
    assert 100 < len(atoms) == reporter.n_frames <= 200


class FakeState:
    def __init__(self, positions):
        self._positions = positions

    def getPositions(self, asNumpy=False):
        return self._positions

    def getPeriodicBoxVectors(self, asNumpy=False):
        return np.eye(3) * unit.nanometers


def test_the_simulation_of_another_system_is_refused(simulation, backmapper, five_beads, five_bead_dataset, tmp_path):
    other = create_cg_simulation(five_beads, CGPotential.from_dict(five_bead_dataset.description["potential"]))
    other.reporters.append(BackmapReporter(tmp_path / "aa.dcd", 5, backmapper))
    with pytest.raises(TopologyMismatchError, match=r"5 particles.*3 beads"):
        other.step(5)
    assert not (tmp_path / "aa.dcd").exists()


def test_outputs_and_settings_are_checked_before_the_run(backmapper, tmp_path):
    (tmp_path / "aa.dcd").write_text("precious")
    with pytest.raises(OutputError, match="overwrite"):
        BackmapReporter(tmp_path / "aa.dcd", 5, backmapper)
    with pytest.raises(OutputError, match="does not exist"):
        BackmapReporter(tmp_path / "no" / "aa.dcd", 5, backmapper)
    with pytest.raises(OutputError, match=r"\.dcd, \.xtc, \.nc, \.h5, \.pdb, \.cif"):
        BackmapReporter(tmp_path / "aa.mdcrd", 5, backmapper)
    with pytest.raises(OutputError, match="append"):
        BackmapReporter(tmp_path / "new.dcd", 5, backmapper, append=True)
    with pytest.raises(SettingsError, match="correlation time=-2"):
        BackmapReporter(tmp_path / "new.dcd", 5, backmapper, correlationTime=-2 * unit.picoseconds)
    with pytest.raises(SettingsError, match="reportInterval=0"):
        BackmapReporter(tmp_path / "new.dcd", 0, backmapper)
    assert (tmp_path / "aa.dcd").read_text() == "precious"


def test_the_worker_keeps_order_and_raises_once():
    seen = []

    def process(items):
        seen.extend(items)
        if 60 in items:
            raise ValueError("sixty")

    worker = BatchWorker(process, batch=7, capacity=10, patience=0.01)
    with pytest.raises(ValueError, match="sixty"):
        for k in range(100_000):
            worker.put(k)
    assert seen == list(range(len(seen)))
    with pytest.raises(ValueError, match="sixty"):
        worker.put(0)
    worker.close()
    assert max(seen) < 67


def test_the_worker_finishes_what_is_queued_on_close():
    seen = []
    worker = BatchWorker(seen.extend, batch=3, capacity=1000)
    for k in range(500):
        worker.put(k)
    worker.close()
    assert seen == list(range(500))


def test_a_simulation_whose_beads_are_in_another_order_is_refused(simulation, backmapper, tmp_path):
    topology = app.Topology()
    chain = topology.addChain()
    for name in ("NME", "ALA", "ACE"):
        topology.addAtom(name, None, topology.addResidue(name, chain))
    simulation.topology = topology
    simulation.reporters.append(BackmapReporter(tmp_path / "aa.dcd", 5, backmapper))
    with pytest.raises(TopologyMismatchError, match="bead 0 of the simulation is NME NME, ACE ACE expected"):
        simulation.step(5)
    assert not (tmp_path / "aa.dcd").exists()


@pytest.mark.parametrize("samples", [1, 3])
def test_structures_do_not_depend_on_when_frames_came(simulation, backmapper, tmp_path, samples):
    """To the bit, in whatever batches a busy machine or a flush divides them."""
    begin = simulation.context.createCheckpoint()

    def run(name, flushes, steps=150):
        simulation.context.loadCheckpoint(begin)
        with BackmapReporter(tmp_path / name, 1, backmapper, seed=1, nSamples=samples) as reporter:
            simulation.reporters = [reporter]
            for step in range(1, steps + 1):
                simulation.step(1)
                if step in flushes:
                    reporter.flush()
                    header = DCDHeader.read(tmp_path / name)
                    assert header.n_frames == step * samples
        return (tmp_path / name).read_bytes()

    whole = run("whole.dcd", ())
    assert run("often.dcd", {1, 2, 3, 10, 63, 64, 65, 100}) == whole
    assert run("always.dcd", set(range(1, 41)), 40) == run("never.dcd", (), 40)


def test_bad_frames_cost_the_good_ones_of_their_group_nothing(simulation, backmapper, tmp_path):
    states = []
    for _ in range(8):
        simulation.step(INTERVAL)
        states.append(simulation.context.getState(positions=True).getPositions(asNumpy=True)._value)
    good, bad = np.array(states), np.array(states)
    bad[[0, 5]] = np.nan
    frames = FrameBackmapper(backmapper, 1, 1, on_bad_frame="skip", group=8)
    made = frames(bad, np.arange(8))
    assert list(made.skipped) == [0, 5]
    kept = [1, 2, 3, 4, 6, 7]
    np.testing.assert_array_equal(made.positions, frames(good, np.arange(8)).positions[kept])
    np.testing.assert_array_equal(made.positions[3:5], frames(good[4:7], np.arange(4, 7)).positions[[0, 2]])


def test_a_reporter_leaves_torch_its_threads(simulation, backmapper, tmp_path, set_torch_threads):
    set_torch_threads(3)
    seen = []
    with BackmapReporter(tmp_path / "aa.dcd", INTERVAL, backmapper, seed=1) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(2 * INTERVAL)
        reporter.flush()
        for _ in range(3):
            thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
            thread.start()
            thread.join()
    assert seen == [3, 3, 3]
    assert torch.get_num_threads() == 3


def with_integrator(simulation, integrator):
    other = app.Simulation(simulation.topology, simulation.system, integrator, simulation.context.getPlatform())
    other.context.setPositions(simulation.context.getState(positions=True).getPositions())
    other.context.setVelocitiesToTemperature(300, 1)
    return other


def no_step():
    """Moves particles without time, as Monte Carlo does."""
    integrator = openmm.CustomIntegrator(0)
    integrator.addComputePerDof("x", "x + 0.001 * gaussian")
    return integrator


@pytest.mark.parametrize("suffix", [".dcd", ".xtc"])
def test_a_run_without_time_has_frames_without_times(simulation, backmapper, tmp_path, suffix):
    run, path = with_integrator(simulation, no_step()), tmp_path / f"aa{suffix}"
    begin = None
    for append in (False, True):
        with BackmapReporter(path, INTERVAL, backmapper, append, seed=1) as reporter:
            run.reporters = [reporter]
            run.step(3 * INTERVAL)
            begin = begin or run.context.createCheckpoint()
            run.step(INTERVAL)
        run.reporters = []
        run.context.loadCheckpoint(begin)
    # The frame past the checkpoint, which times do not tell, was written once.
    reader = TrajectoryReader(path, backmapper.topology)
    assert reader.n_frames == 7
    assert reader.has_times == (suffix == ".xtc")
    run.context.setStepCount(50 * INTERVAL)
    with pytest.raises(OutputError, match="it has 7 frames, 50 are expected"):
        run.reporters = [BackmapReporter(path, INTERVAL, backmapper, True, seed=1)]
        run.step(INTERVAL)
    run.reporters = [BackmapReporter(tmp_path / "other.dcd", INTERVAL, backmapper, correlationTime=1.0)]
    with pytest.raises(SettingsError, match=r"CustomIntegrator, whose steps have no fixed length"):
        run.step(INTERVAL)


def test_times_of_a_run_with_steps_of_any_length_are_its_own(simulation, backmapper, tmp_path):
    run = with_integrator(simulation, openmm.VariableVerletIntegrator(1e-4))
    expected = []
    with BackmapReporter(tmp_path / "aa.xtc", INTERVAL, backmapper, seed=1) as reporter:
        run.reporters = [reporter]
        for _ in range(5):
            run.step(INTERVAL)
            expected.append(run.context.getTime()._value)
    np.testing.assert_allclose(load(tmp_path / "aa.xtc", backmapper.topology)[1], expected, rtol=1e-6)


@pytest.mark.parametrize("suffix", [".pdb", ".cif"])
def test_residues_keep_the_numbers_and_chains_of_the_simulation(simulation, backmapper, tmp_path, suffix):
    topology = app.Topology()
    chain = topology.addChain("X")
    for number, atom in zip(("101", "105", "106"), simulation.topology.atoms(), strict=True):
        topology.addAtom(atom.name, None, topology.addResidue(atom.residue.name, chain, number))
    simulation.topology = topology
    path = tmp_path / f"aa{suffix}"
    with BackmapReporter(path, INTERVAL, backmapper, seed=1) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(INTERVAL)
    written = (app.PDBFile if suffix == ".pdb" else app.PDBxFile)(str(path)).topology
    found = [(residue.chain.id, residue.id, residue.name) for residue in written.residues()]
    assert found == [("X", "101", "ACE"), ("X", "105", "ALA"), ("X", "106", "NME")]
    assert written.getNumBonds() == 21
