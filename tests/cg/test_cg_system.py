"""The coarse-grained OpenMM system: the same energies as in numpy, right forces, stable and reproducible runs."""

import numpy as np
import openmm
import pytest
from openmm import app, unit

from openmm_cgvae.cg.boltzmann import boltzmann_inversion
from openmm_cgvae.cg.system import add_cg_potential, create_cg_simulation, create_cg_system, run_steps
from openmm_cgvae.core.errors import OutputError, SettingsError, SimulationError
from openmm_cgvae.molecule.mapping import custom_mapping

TEMPERATURE = 300.0


def carbon_chain(n_beads):
    """A mapping of a chain of CH groups, one a bead."""
    topology = app.Topology()
    residue = topology.addResidue("CHN", topology.addChain())
    carbon, hydrogen = app.Element.getBySymbol("C"), app.Element.getBySymbol("H")
    carbons = []
    for k in range(n_beads):
        carbons.append(topology.addAtom(f"C{k}", carbon, residue))
        topology.addBond(carbons[-1], topology.addAtom(f"H{k}", hydrogen, residue))
        if k:
            topology.addBond(carbons[-2], carbons[-1])
    return custom_mapping(topology, [[2 * k, 2 * k + 1] for k in range(n_beads)])


def chain_frames(n_beads, n_frames=4000, seed=3):
    """Bonded distances 0.38 +- 0.01 nm, the next step turned by some 70 degrees, with scatter."""
    generator = np.random.default_rng(seed)
    ideal = np.cumsum(
        [[0.31 * (k % 2), 0.31 * (k % 2 == 0), 0.22 * (k // 2 % 2 - 0.5)] for k in range(n_beads)], axis=0
    )
    return ideal + generator.normal(0, 0.02, size=(n_frames, n_beads, 3))


def make(n_beads):
    mapping = carbon_chain(n_beads)
    frames = chain_frames(n_beads)
    return mapping, boltzmann_inversion(frames, mapping.bead_bonds, TEMPERATURE, mapping.masses)


@pytest.fixture(scope="module", params=[1, 2, 3, 4, 6])
def model(request):
    return make(request.param)


@pytest.fixture(scope="module")
def three_beads():
    return make(3)


def context_of(system):
    return openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))


def energy_and_forces(context, positions):
    context.setPositions(positions)
    state = context.getState(energy=True, forces=True)
    return state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value


def test_masses_and_forces(model):
    mapping, potential = model
    system = create_cg_system(mapping, potential)
    masses = [system.getParticleMass(k).value_in_unit(unit.dalton) for k in range(mapping.n_beads)]
    np.testing.assert_allclose(masses, mapping.masses)
    assert min(masses) > 13
    # One force a kind of term, whatever the number of beads.
    assert system.getNumForces() <= 4


def test_energy_is_that_of_the_tables(model):
    mapping, potential = model
    context = context_of(create_cg_system(mapping, potential))
    generator = np.random.default_rng(1)
    for scale in (0.0, 0.02, 0.3, 100.0):
        positions = potential.starts_nm[0] + scale * generator.normal(size=(mapping.n_beads, 3))
        energy, _ = energy_and_forces(context, positions)
        # Two implementations of the same spline: rounding only.
        assert energy == pytest.approx(potential.energy(positions), rel=1e-9, abs=1e-7)


def test_forces_are_the_gradient(model):
    mapping, potential = model
    context = context_of(create_cg_system(mapping, potential))
    generator = np.random.default_rng(2)
    for scale in (0.01, 0.1):
        positions = potential.starts_nm[1] + scale * generator.normal(size=(mapping.n_beads, 3))
        _, forces = energy_and_forces(context, positions)
        numeric, h = np.zeros_like(forces), 1e-6
        for index in np.ndindex(*positions.shape):
            shift = np.zeros_like(positions)
            shift[index] = h
            numeric[index] = (potential.energy(positions - shift) - potential.energy(positions + shift)) / (2 * h)
        # Central differences: error h^2 U''' / 6, below 1e-12 x 1e7, and energy rounding over h.
        np.testing.assert_allclose(forces, numeric, rtol=1e-5, atol=1e-3)


def test_finite_wherever_the_beads_are(model):
    mapping, potential = model
    context = context_of(create_cg_system(mapping, potential))
    line = np.arange(mapping.n_beads)[:, None] * np.array([1.0, 0.0, 0.0])
    for positions in (0 * line, 0.4 * line, 100 * line, 1e-8 * line):
        energy, forces = energy_and_forces(context, positions)
        assert np.isfinite(energy)
        assert np.isfinite(forces).all()


def test_walls_push_back(three_beads):
    mapping, potential = three_beads
    context = context_of(create_cg_system(mapping, potential))
    line = np.arange(3)[:, None] * np.array([1.0, 0.0, 0.0])
    _, near = energy_and_forces(context, 0.01 * line)
    _, far = energy_and_forces(context, 100 * line)
    assert near[2, 0] > 0 > near[0, 0]
    assert far[2, 0] < 0 < far[0, 0]


def test_xml_round_trip(model):
    mapping, potential = model
    system = create_cg_system(mapping, potential)
    back = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    first = energy_and_forces(context_of(system), potential.starts_nm[0])
    second = energy_and_forces(context_of(back), potential.starts_nm[0])
    assert first[0] == second[0]
    np.testing.assert_array_equal(first[1], second[1])


def test_run_reproduces_the_mean_distances(three_beads):
    mapping, potential = three_beads
    simulation = create_cg_simulation(mapping, potential, seed=11)
    pairs = potential.distances
    found = []
    for _ in range(500):
        run_steps(simulation, 40)
        positions = simulation.context.getState(positions=True).getPositions(asNumpy=True)._value
        found.append(pairs.values(positions))
    found, wanted = np.array(found), pairs.values(chain_frames(3))
    assert np.isfinite(found).all()
    # 20,000 steps of about 2 fs at 1/ps: some 50 independent samples, so the mean is good to sigma / 7; three of
    # these, and a fifth of sigma for the neglected correlation of the distances.
    assert (np.abs(found.mean(0) - wanted.mean(0)) < 0.65 * wanted.std(0)).all()
    assert (found.std(0) < 1.5 * wanted.std(0)).all()


def positions_after(model, seed, steps=200, **options):
    simulation = create_cg_simulation(*model, seed=seed, **options)
    run_steps(simulation, steps)
    return simulation.context.getState(positions=True).getPositions(asNumpy=True)._value


def test_the_seed_decides_the_trajectory(three_beads):
    first = positions_after(three_beads, 5)
    np.testing.assert_array_equal(first, positions_after(three_beads, 5))
    assert (first != positions_after(three_beads, 6)).any()
    # OpenMM's own 0 means a random seed; ours is a seed like any other.
    np.testing.assert_array_equal(positions_after(three_beads, 0), positions_after(three_beads, 0))
    assert (positions_after(three_beads, None) != positions_after(three_beads, None)).any()


def test_settings_are_applied(three_beads):
    mapping, potential = three_beads
    simulation = create_cg_simulation(mapping, potential, seed=1, start=3)
    integrator = simulation.integrator
    assert integrator.getTemperature()._value == TEMPERATURE
    assert integrator.getStepSize()._value == potential.time_step_ps
    assert simulation.topology.getNumAtoms() == 3
    positions = simulation.context.getState(positions=True).getPositions(asNumpy=True)._value
    np.testing.assert_array_equal(positions, potential.starts_nm[3])
    simulation = create_cg_simulation(
        mapping, potential, 400 * unit.kelvin, 2 / unit.picosecond, 1.5 * unit.femtosecond, "CPU"
    )
    assert simulation.integrator.getTemperature()._value == 400
    assert simulation.integrator.getFriction()._value == 2
    assert simulation.integrator.getStepSize()._value == pytest.approx(0.0015)
    assert simulation.context.getPlatform().getName() == "CPU"


def test_temperature_is_kept(three_beads):
    simulation = create_cg_simulation(*three_beads, friction=20.0, seed=4)
    kinetic = []
    for _ in range(500):
        simulation.step(40)
        kinetic.append(simulation.context.getState(energy=True).getKineticEnergy()._value)
    # Six degrees of freedom without the centre of mass.
    found = 2 * np.mean(kinetic) / (6 * 0.00831446)
    # Spread sqrt(2/6) of T, at least 250 independent of 500: 3.7 %; three of these.
    assert found == pytest.approx(TEMPERATURE, rel=0.11)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 0}, "temperature=0"),
        ({"temperature": "warm"}, "a number above 0 in K"),
        ({"timeStep": -0.001}, "timeStep"),
        ({"friction": float("nan")}, "friction"),
        ({"platform": "Abacus"}, "Reference.*available"),
        ({"start": 99}, "0 to 7"),
    ],
)
def test_bad_settings_are_refused(three_beads, options, words):
    with pytest.raises(SettingsError, match=words):
        create_cg_simulation(*three_beads, **options)


def test_a_potential_of_another_molecule_is_refused(three_beads):
    with pytest.raises(SettingsError, match="3 beads given for a mapping of 4"):
        create_cg_system(carbon_chain(4), three_beads[1])


def test_an_unstable_run_says_so_and_leaves_the_last_state(three_beads, tmp_path):
    simulation = create_cg_simulation(*three_beads, timeStep=1.0, seed=1)
    path = tmp_path / "last.xml"
    with pytest.raises(SimulationError, match="timeStep below 1000 fs"):
        run_steps(simulation, 100_000, lastState=path)
    state = openmm.XmlSerializer.deserialize(path.read_text())
    assert np.isfinite(state.getPositions(asNumpy=True)._value).all()


def test_run_counts_its_steps(three_beads):
    simulation = create_cg_simulation(*three_beads, seed=1)
    run_steps(simulation, 0)
    run_steps(simulation, 2500, progress=True)
    assert simulation.currentStep == 2500
    with pytest.raises(SettingsError, match="0 or more"):
        run_steps(simulation, -1)
    with pytest.raises(OutputError, match="create it first"):
        run_steps(simulation, 1, lastState="no/such/folder.xml")


def test_a_potential_is_added_to_particles_of_a_system_that_is_there(three_beads):
    mapping, potential = three_beads
    frames = chain_frames(3, 2)
    system = openmm.System()
    for _ in range(9):
        system.addParticle(10.0)
    # Two molecules behind two particles, the second backwards in the System.
    forces = add_cg_potential(system, potential, [2, 3, 4, 8, 7, 6], forceGroup=3)
    assert {force.getForceGroup() for force in forces} == {3} and system.getNumForces() == len(forces)
    positions = np.zeros((9, 3))
    positions[[2, 3, 4]], positions[[8, 7, 6]] = frames
    energy, found = energy_and_forces(context_of(system), positions)
    own = context_of(create_cg_system(mapping, potential))
    (first, first_forces), (second, second_forces) = (energy_and_forces(own, frame) for frame in frames)
    assert energy == pytest.approx(first + second, rel=1e-6)
    np.testing.assert_allclose(found[[2, 3, 4]], first_forces, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(found[[8, 7, 6]], second_forces, rtol=1e-5, atol=1e-3)
    assert not found[[0, 1, 5]].any()


@pytest.mark.parametrize(
    ("particles", "message"),
    [(range(2), "2 particles given for a potential of 3 beads"), ([0, 1, 3], "0 to 2, each once"), ([0, 1, 1], "once")],
)
def test_particles_that_are_no_molecules_are_refused(three_beads, particles, message):
    system = openmm.System()
    for _ in range(3):
        system.addParticle(10.0)
    with pytest.raises(SettingsError, match=message):
        add_cg_potential(system, three_beads[1], particles)
    assert not system.getNumForces()
