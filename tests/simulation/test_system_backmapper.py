"""Whole systems: two kinds of molecules and ions in a triclinic box, from beads to atoms."""

import mdtraj
import numpy as np
import openmm
import pytest
from boxes import BOX, ORDER, cg_box
from conftest import rotation, untrained_file
from openmm import app, unit

from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.backmapping.trajectory import backmap_trajectory
from openmm_cgvae.core.errors import PositionsError, SettingsError, TopologyMismatchError
from openmm_cgvae.core.periodic import molecule_labels, wrap
from openmm_cgvae.io.trajectory_files import TrajectoryReader, TrajectoryWriter, box_lengths_and_angles
from openmm_cgvae.metrics import intermolecular_clashes
from openmm_cgvae.molecule.graph import MolecularGraph
from openmm_cgvae.molecule.topology import as_mdtraj_topology
from openmm_cgvae.simulation.reporter import BackmapReporter
from openmm_cgvae.simulation.system import SystemBackmapper

N_FRAMES = 4


@pytest.fixture(scope="module")
def kinds(backmapper, five_bead_dataset):
    return {"three": backmapper, "five": Backmapper(untrained_file(five_bead_dataset))}


@pytest.fixture(scope="module")
def cg_topology(kinds):
    return cg_box(kinds)


@pytest.fixture(scope="module")
def beads(kinds, reference):
    return placed(kinds, reference)


def placed(kinds, reference, order=ORDER):
    """Real beads, each molecule at its place in the box and turned: (frames, beads, 3)."""
    columns = []
    for k, name in enumerate(order):
        centre = np.random.default_rng(100 + k).uniform(0, 1, 3) @ BOX
        own = np.zeros((N_FRAMES, 1, 3))
        if name in kinds:
            own = kinds[name].mapping.project(reference[0][10 * k : 10 * k + N_FRAMES]) @ rotation(k)
            own = own - own.mean(1, keepdims=True)
        columns.append(own + centre)
    return np.concatenate(columns, axis=1)


@pytest.fixture(scope="module")
def system(cg_topology, kinds):
    return SystemBackmapper(cg_topology, kinds, keep=["CL"], drop=["W"])


def bead_slices(kinds, order=ORDER):
    sizes = [kinds[name].n_beads if name in kinds else 1 for name in order]
    ends = np.cumsum(sizes)
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def test_the_interface_is_that_of_a_backmapper(system, beads):
    assert system.n_beads == 3 * 3 + 2 * 5 + 5 == beads.shape[1]
    assert system.n_atoms == 5 * 22 + 3 == system.topology.getNumAtoms()
    atoms = system.sample(beads, n_samples=2, seed=1)
    assert atoms.shape == (N_FRAMES, 2, system.n_atoms, 3)
    assert atoms.dtype == np.float32
    assert [m.kind for m in system.molecules] == ORDER


def test_every_molecule_projects_to_its_beads_and_ions_pass_through(system, kinds, beads):
    atoms = system.sample(beads, n_samples=2, seed=1)
    first = 0
    for name, own in zip(ORDER, bead_slices(kinds), strict=True):
        if name == "W":
            continue
        size = 22 if name in kinds else 1
        part = atoms[:, :, first : first + size]
        projected = kinds[name].mapping.project(part.reshape(-1, size, 3)) if name in kinds else part.reshape(-1, 1, 3)
        np.testing.assert_allclose(projected, np.repeat(beads[:, own], 2, axis=0), atol=1e-5)
        first += size
    covered = np.array([m.kind != "W" for m in system.molecules])
    covered = np.repeat(covered, [m.n_beads for m in system.molecules])
    np.testing.assert_allclose(system.mapping.project(atoms[:, 0]), beads[:, covered], atol=1e-5)


def test_a_structure_depends_on_its_own_molecule_alone(kinds, reference):
    order = ["three", "three", "three"]
    alone = SystemBackmapper(cg_box(kinds, order), {"three": kinds["three"]})
    positions = placed(kinds, reference, order)
    expected = alone.sample(positions, n_samples=2, seed=5)
    mixed = SystemBackmapper(cg_box(kinds, [*order, "five", "CL"]), kinds, keep=["CL"])
    found = mixed.sample(placed(kinds, reference, [*order, "five", "CL"]), n_samples=2, seed=5)
    np.testing.assert_allclose(found[:, :, : alone.n_atoms], expected, atol=1e-5)


def test_what_a_kind_is_called_changes_nothing(kinds, reference):
    order = ["three", "three"]
    beads = placed(kinds, reference, order)
    named = {"ALA": kinds["three"]}, kinds["three"]
    samples = [SystemBackmapper(cg_box(kinds, order), given).sample(beads, seed=2) for given in named]
    np.testing.assert_array_equal(*samples)


def test_kinds_of_the_same_beads_have_noise_of_their_own(kinds, reference):
    beads = placed(kinds, reference, ["three"])
    twice = np.concatenate([beads, beads + 5.0], axis=1)
    both = {"left": kinds["three"], "right": kinds["three"]}
    box = SystemBackmapper(cg_box(kinds, ["three", "three"]), both, molecules=[("left", 1), ("right", 1)])
    left, right = np.split(box.sample(twice, seed=2), 2, axis=2)
    assert np.abs(left + 5.0 - right).max() > 1e-3


def test_equal_beads_get_different_structures_in_every_copy_frame_and_sample(kinds, reference):
    order = ["three", "three", "five", "five"]
    box = SystemBackmapper(cg_box(kinds, order), kinds)
    single = {name: kinds[name].mapping.project(reference[0][:1]) for name in kinds}
    positions = np.concatenate([single[name] for name in order], axis=1)
    atoms = box.sample(np.repeat(positions, 2, axis=0), n_samples=2, seed=3)
    structures = atoms.reshape(2, 2, 4, 22, 3)
    for pair in (slice(0, 2), slice(2, 4)):
        each = structures[:, :, pair].reshape(8, -1)
        distances = np.abs(each[:, None] - each[None]).max(-1)
        assert distances[~np.eye(8, dtype=bool)].min() > 1e-4


def test_a_seed_gives_the_same_however_the_frames_are_split(system, beads):
    whole = system.sample(beads, n_samples=2, seed=7)
    frames = np.arange(N_FRAMES)
    parts = [system.sample(beads[k : k + 1], n_samples=2, seed=7, frames=frames[k : k + 1]) for k in frames]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)
    assert np.abs(system.sample(beads, n_samples=2, seed=8) - whole).max() > 1e-3


def test_correlated_noise_reaches_every_copy(system, beads):
    still = np.repeat(beads[:1], N_FRAMES, axis=0)

    def motion(correlation):
        atoms = system.sample(still, seed=7, correlation=correlation)[:, 0]
        steps = np.abs(np.diff(atoms, axis=0)).mean((0, 2))
        return steps[steps > 0]

    assert len(motion(0.0)) == len(motion(1e4)) == system.n_atoms - 3
    assert (motion(1e4) < 0.2 * motion(0.0).mean()).all()


def test_beads_wrapped_one_by_one_are_made_whole_in_the_box(system, kinds, beads):
    split = beads + np.random.default_rng(0).integers(-1, 2, beads.shape) @ BOX
    expected, found = system.sample(beads, seed=1)[:, 0], system.sample(split, seed=1, box=BOX)[:, 0]
    bonds = [(i.index, j.index) for i, j in system.topology.bonds()]
    labels, boxes = molecule_labels(system.n_atoms, bonds), np.tile(BOX, (N_FRAMES, 1, 1))
    np.testing.assert_allclose(wrap(found, boxes, labels), wrap(expected, boxes, labels), atol=1e-4)
    # Each molecule is where its first bead is.
    projected = system.mapping.project(found)
    np.testing.assert_allclose(projected[:, 0], split[:, 0], atol=1e-4)


def test_a_box_smaller_than_the_molecule_is_refused(system, beads):
    with pytest.raises(PositionsError, match="a molecule of kind 'three': box smaller than the molecule"):
        system.sample(beads, seed=1, box=BOX / 8)


def test_chain_and_residue_ids_are_kept(system, cg_topology):
    chains = [(chain.id, [(r.name, r.id) for r in chain.residues()]) for chain in system.topology.chains()]
    assert chains[0] == ("a", [("ACE", "1"), ("ALA", "2"), ("NME", "3")])
    assert chains[1] == ("b", [("CL", "4")])
    # Five beads, numbered 5 to 9, on three residues: the first bead's number counts.
    assert chains[2] == ("c", [("ACE", "5"), ("ALA", "6"), ("NME", "7")])
    assert [chain[0] for chain in chains] == list("abcdghij")
    ions = [atom for atom in system.topology.atoms() if atom.residue.name == "CL"]
    assert [ion.element.symbol for ion in ions] == ["Cl"] * 3


def test_bonds_are_those_of_the_models(system, kinds):
    labels = molecule_labels(system.n_atoms, [(i.index, j.index) for i, j in system.topology.bonds()])
    assert sorted(np.bincount(labels)) == [1, 1, 1, 22, 22, 22, 22, 22]
    cg = system.cg_topology()
    assert cg.getNumBonds() == 3 * 2 + 2 * 4
    assert molecule_labels(system.n_beads, [(i.index, j.index) for i, j in cg.bonds()]).max() == 9


def test_mdtraj_topologies_and_molecule_numbers_are_taken_too(cg_topology, kinds, system):
    renamed = as_mdtraj_topology(cg_topology).copy()
    for atom in renamed.atoms:
        atom.name = "B"
    own = SystemBackmapper(renamed, kinds, [(name, 1) for name in ORDER], keep=["CL"], drop=["W"])
    assert own.molecules == system.molecules
    assert own.topology.getNumBonds() == system.topology.getNumBonds()


def test_backmap_trajectory_takes_wrapped_beads_and_keeps_molecules_whole(system, kinds, beads, tmp_path):
    split = beads + np.random.default_rng(0).integers(-1, 2, beads.shape) @ BOX
    boxes = np.tile(BOX, (N_FRAMES, 1, 1))
    with TrajectoryWriter(tmp_path / "cg.xtc", system.cg_topology()) as writer:
        writer.write(split, np.arange(N_FRAMES, dtype=float), *box_lengths_and_angles(boxes))
    backmap_trajectory(tmp_path / "cg.xtc", system, tmp_path / "aa.dcd", seed=1)
    written = mdtraj.load(str(tmp_path / "aa.dcd"), top=as_mdtraj_topology(system.topology))
    labels = molecule_labels(system.n_atoms, [(i.index, j.index) for i, j in system.topology.bonds()])
    expected = system.sample(beads, seed=1)[:, 0]
    np.testing.assert_allclose(wrap(written.xyz, boxes, labels), wrap(expected, boxes, labels), atol=0.01)
    np.testing.assert_allclose(written.unitcell_vectors, boxes, atol=1e-4)


def test_the_reporter_writes_the_atoms_of_a_running_box(system, beads, tmp_path):
    simulation = free_flight(system, beads[0])
    with BackmapReporter(tmp_path / "aa.dcd", 2, system, enforcePeriodicBox=False, seed=4) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(4)
    positions = simulation.context.getState(positions=True).getPositions(asNumpy=True)
    last = next(iter(TrajectoryReader(tmp_path / "aa.dcd", system.topology))).positions[-1]
    expected = system.sample(positions, seed=4, frames=[2])[0, 0]
    np.testing.assert_allclose(last, expected, atol=1e-5)


def free_flight(system, positions):
    particles = openmm.System()
    for _ in range(system.n_beads):
        particles.addParticle(10.0)
    integrator = openmm.VerletIntegrator(0.001)
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = app.Simulation(system.cg_topology(), particles, integrator, platform)
    simulation.context.setPositions(positions)
    simulation.context.setVelocitiesToTemperature(300, 1)
    return simulation


def test_clashes_across_the_box_are_removed_by_the_minimiser(kinds, reference):
    box = SystemBackmapper(cg_box(kinds, ["three", "three", "five"]), kinds)
    single, edge = reference[0][0], 2.5
    # Real molecules: the second touches an image of the first across a face; the third is far from both.
    shifts = np.array([[0, 0, 0], [edge + 0.3, 0.3, 0.3], [1.2, 1.2, 1.2]])
    atoms = (single + shifts[:, None]).reshape(1, -1, 3)
    vectors = edge * np.eye(3)
    assert intermolecular_clashes(atoms, box.topology) == 0
    assert intermolecular_clashes(atoms, box.topology, vectors) > 0
    result = Minimizer(box.mapping, boxVectors=vectors).minimize(atoms)
    assert not result.failed.any(), result.reason
    assert intermolecular_clashes(result.positions, box.topology, vectors) == 0


def test_what_is_dropped_kept_or_unknown_must_be_said_and_once(cg_topology, kinds):
    with pytest.raises(TopologyMismatchError, match=r"bead 3 of the CG topology \(CL CL\)"):
        SystemBackmapper(cg_topology, kinds, drop=["W"])
    with pytest.raises(SettingsError, match="CL given twice"):
        SystemBackmapper(cg_topology, kinds, keep=["CL"], drop=["W", "CL"])
    with pytest.raises(TopologyMismatchError, match=r"all particles .* are dropped"):
        SystemBackmapper(cg_box(kinds, ["W"]), kinds, drop=["W"])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"n_samples": 0}, "n_samples=0"),
        ({"seed": -1}, "seed=-1"),
        ({"frames": [0, 1, 2, 2**32]}, r"from 0 to 2\*\*32"),
        ({"correlation": 1e9}, "correlation time"),
    ],
)
def test_numbers_out_of_range_are_refused(system, beads, options, expected):
    with pytest.raises(SettingsError, match=expected):
        system.sample(beads, **options)


def test_positions_of_another_system_are_refused(system, beads):
    with pytest.raises(PositionsError, match=r"\(24, 3\) a frame expected"):
        system.sample(beads[:, :-1])


def test_quantities_are_taken(system, beads):
    angstrom = 10 * beads[0] * unit.angstrom
    plain = system.sample(beads[0], seed=1, box=BOX)
    np.testing.assert_allclose(system.sample(angstrom, seed=1, box=10 * BOX * unit.angstrom), plain, atol=1e-5)


def test_graphs_of_the_whole_are_those_of_the_parts(kinds):
    box = SystemBackmapper(cg_box(kinds, ["three", "five"]), kinds)
    graph = MolecularGraph.from_topology(as_mdtraj_topology(box.mapping.topology))
    assert len(graph.bonds) == 2 * 21
    assert len(graph.stereocentres) == 2


def test_beads_sorted_by_type_are_refused_whatever_they_are_called(backmapper, mapping, reference):
    """Where names say nothing, distances do: beads of one molecule are bonded."""
    n, rng = 27, np.random.default_rng(0)
    places = 0.8 * np.stack(np.unravel_index(np.arange(n), (3, 3, 3)), axis=1)
    beads = mapping.project(reference[0][:n]) + places[:, None] + rng.normal(0, 0.01, (n, 1, 3))
    topology = app.Topology()
    chain = topology.addChain()
    for _ in range(3 * n):
        topology.addAtom("B", None, topology.addResidue("MOL", chain))
    system = SystemBackmapper(topology, {"ALA": backmapper}, [("ALA", n)])
    box = 2.4 * np.eye(3)
    assert system.sample(beads.reshape(-1, 3), seed=1, box=box).shape == (1, 1, 22 * n, 3)
    by_type = beads.swapaxes(0, 1).reshape(-1, 3)
    for vectors in (None, box):
        with pytest.raises(
            PositionsError, match=r"a molecule of kind 'ALA': beads of frame 0 are not those of the model"
        ):
            system.sample(by_type, seed=1, box=vectors)


def test_models_are_taken_by_name_or_file(backmapper, model_path, mapping, reference):
    system = SystemBackmapper(mapping.cg_topology(), {"ALA": str(model_path)})
    beads = mapping.project(reference[0][:2])
    expected = SystemBackmapper(mapping.cg_topology(), {"ALA": backmapper}).sample(beads, seed=1)
    np.testing.assert_array_equal(system.sample(beads, seed=1), expected)
    with pytest.raises(SettingsError, match="a int given as backmapper"):
        SystemBackmapper(mapping.cg_topology(), 5)
