"""From beads to a ready all-atom Simulation, in real OpenMM runs."""

import numpy as np
import openmm
import pytest
from openmm import app, unit

from openmm_cgvae.atomistic.solvation import Solvation
from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.cg.potential import CGPotential
from openmm_cgvae.cg.system import create_cg_simulation, run_steps
from openmm_cgvae.core.errors import MinimizationError, PositionsError, SettingsError, SimulationError
from openmm_cgvae.core.units import BOLTZMANN_KJ_PER_MOL_K
from openmm_cgvae.metrics import handedness, valid_graphs
from openmm_cgvae.molecule.mapping import residue_mapping
from openmm_cgvae.simulation.atomistic import run_and_write, to_atomistic_simulation, velocities_with_beads

SETTINGS = {"platform": "Reference", "equilibration": 0.1, "seed": 4, "progress": False}


@pytest.fixture(scope="module")
def bundled():
    """A trained model: an untrained one gives no sound structures."""
    return Backmapper.load("alanine-dipeptide-3")


@pytest.fixture(scope="module")
def beads(bundled, reference):
    return bundled.mapping.project(reference[0][30])


@pytest.fixture(scope="module")
def masses(bundled):
    return np.array([atom.element.mass._value for atom in bundled.topology.atoms()])


def positions_and_velocities(simulation):
    state = simulation.context.getState(positions=True, velocities=True)
    return state.getPositions(asNumpy=True)._value, state.getVelocities(asNumpy=True)._value


def bead_velocities(mapping, masses, velocities):
    """Of the centres of mass, written out."""
    return np.array([np.average(velocities[list(bead)], axis=0, weights=masses[list(bead)]) for bead in mapping.beads])


def test_a_cg_state_goes_on_with_its_beads_and_their_velocities(bundled, reference, dataset, masses):
    cg = create_cg_simulation(bundled.mapping, CGPotential.from_dict(dataset.description["potential"]), seed=2)
    cg.step(50)
    state = cg.context.getState(positions=True, velocities=True)
    simulation = to_atomistic_simulation(state, bundled, **SETTINGS)
    positions, velocities = positions_and_velocities(simulation)
    beads = state.getPositions(asNumpy=True)._value
    # Held at 1e4 kJ/mol/nm^2 an atom they move by sqrt(kT / (6 k)) = 0.006 nm a coordinate.
    np.testing.assert_allclose(bundled.mapping.project(positions), beads, atol=0.03)
    kept = state.getVelocities(asNumpy=True)._value
    np.testing.assert_allclose(bead_velocities(bundled.mapping, masses, velocities), kept, atol=1e-5)
    assert valid_graphs(positions[None], graph_of(bundled)).all()
    assert simulation.topology.getNumAtoms() == 22 and simulation.currentStep == 0
    assert not any("Centroid" in force.getName() for force in simulation.system.getForces())
    simulation.step(10)


def graph_of(backmapper):
    from openmm_cgvae.molecule.graph import MolecularGraph
    from openmm_cgvae.molecule.topology import as_mdtraj_topology

    return MolecularGraph.from_topology(as_mdtraj_topology(backmapper.topology))


def test_same_seed_gives_the_same_bits_and_another_other_velocities(bundled, beads):
    def run(**changes):
        simulation = to_atomistic_simulation(beads, bundled, **SETTINGS | changes)
        simulation.step(20)
        return np.concatenate(positions_and_velocities(simulation))

    first = run()
    np.testing.assert_array_equal(run(), first)
    assert np.abs(run(seed=5) - first).max() > 1e-3
    assert np.abs(run(frame=1) - first).max() > 1e-3


@pytest.mark.parametrize("weights", ["mass", "geometric"])
def test_beads_keep_their_velocity_and_atoms_their_thermal_motion(topology, masses, weights):
    mapping = residue_mapping(topology, weights)
    rng = np.random.default_rng(0)
    kt = BOLTZMANN_KJ_PER_MOL_K * 300
    energies = []
    for _ in range(1000):
        thermal = rng.normal(size=(22, 3)) * np.sqrt(kt / masses)[:, None]
        beads = rng.normal(size=(3, 3)) * np.sqrt(kt / mapping.masses)[:, None]
        velocities = velocities_with_beads(mapping, thermal, beads)
        np.testing.assert_allclose(bead_velocities(mapping, masses, velocities), beads, atol=1e-12)
        # Within each bead nothing has changed: differences of velocities are those that were drawn.
        for bead in map(list, mapping.beads):
            np.testing.assert_allclose(np.diff(velocities[bead], axis=0), np.diff(thermal[bead], axis=0), atol=1e-12)
        energies.append(0.5 * (masses[:, None] * velocities**2).sum())
    # A Gamma distribution of 66/2 degrees of freedom: mean 33 kT, variance 33 kT^2.
    assert np.mean(energies) == pytest.approx(33 * kt, abs=4 * np.sqrt(33 / 1000) * kt)
    assert np.var(energies) == pytest.approx(33 * kt**2, rel=0.2)


def test_mass_weighted_beads_move_as_their_velocity_says(topology, masses):
    mapping = residue_mapping(topology, "mass")
    beads = np.arange(9.0).reshape(3, 3)
    velocities = velocities_with_beads(mapping, np.random.default_rng(1).normal(size=(22, 3)), beads)
    # To the four digits in which OpenMM's and mdtraj's masses agree.
    np.testing.assert_allclose(mapping.project(velocities), beads, atol=1e-3)


def test_a_run_in_water_has_the_molecule_first_and_its_box(bundled, beads):
    solvation = Solvation(padding=1.0, ionicStrength=0.3)
    simulation = to_atomistic_simulation(
        beads, bundled, solvation=solvation, velocities=np.zeros((3, 3)), **SETTINGS | {"platform": "CPU"}
    )
    residues = [residue.name for residue in simulation.topology.residues()]
    assert residues[:3] == ["ACE", "ALA", "NME"] and residues.count("HOH") > 150
    assert residues.count("NA") == residues.count("CL") > 0
    assert simulation.system.usesPeriodicBoundaryConditions()
    positions, _ = positions_and_velocities(simulation)
    found = bundled.mapping.project(positions[:22])
    # Moved as a whole, to the middle of the box.
    np.testing.assert_allclose(found - found.mean(0), beads - beads.mean(0), atol=0.04)
    width = simulation.topology.getUnitCellDimensions()[0]._value
    np.testing.assert_allclose(found.mean(0), width / 2, atol=0.3)
    run_steps(simulation, 10)


@pytest.mark.slow
def test_runs_of_50_ps_do_not_blow_up_and_keep_their_handedness(bundled, reference):
    graph = graph_of(bundled)
    for k, structure in enumerate(reference[0][::40]):
        simulation = to_atomistic_simulation(bundled.mapping.project(structure), bundled, **SETTINGS | {"seed": k})
        run_steps(simulation, 25_000)
        end = positions_and_velocities(simulation)[0][None]
        assert valid_graphs(end, graph).all()
        np.testing.assert_array_equal(handedness(end, graph)[0], bundled.handedness)


# ------------------------------------------------------------------------------------------------- bad input


def test_an_unstable_run_leaves_its_last_state_and_no_empty_file(bundled, beads, tmp_path):
    simulation = to_atomistic_simulation(beads, bundled, **SETTINGS)
    simulation.integrator.setStepSize(0.1)
    with pytest.raises(SimulationError, match=r"last good state is in .*aa-last-state\.xml"):
        run_and_write(simulation, 100_000, 50_000, tmp_path / "aa.dcd", progress=False)
    state = openmm.XmlSerializer.deserialize((tmp_path / "aa-last-state.xml").read_text())
    assert np.isfinite(state.getPositions(asNumpy=True)._value).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aa-last-state.xml", "aa.pdb"]


def test_positions_and_velocities_that_do_not_fit_are_refused(bundled, beads):
    with pytest.raises(PositionsError, match=r"\(5, 3\) given, \(3, 3\)"):
        to_atomistic_simulation(np.zeros((5, 3)), bundled)
    with pytest.raises(PositionsError, match="NaN"):
        to_atomistic_simulation(np.full((3, 3), np.nan), bundled)
    with pytest.raises(PositionsError, match="2 frames given: one frame"):
        to_atomistic_simulation(np.stack([beads, beads]), bundled)
    for wrong in (np.zeros((22, 3)), np.full((3, 3), np.inf)):
        with pytest.raises(PositionsError, match=r"velocities of shape .*\(3, 3\) finite numbers"):
            to_atomistic_simulation(beads * unit.nanometer, bundled, velocities=wrong)
    context = openmm.Context(bead_system(), openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    context.setPositions(beads)
    with pytest.raises(PositionsError, match=r"State without positions"):
        to_atomistic_simulation(context.getState(velocities=True), bundled)


def bead_system():
    system = openmm.System()
    for _ in range(3):
        system.addParticle(40.0)
    return system


def test_a_force_field_that_does_not_fit_is_refused(bundled, beads):
    with pytest.raises(MinimizationError, match="no parameters for ACE1, ALA2, NME3"):
        to_atomistic_simulation(beads, bundled, app.ForceField("amber14/tip3p.xml"))
    with pytest.raises(MinimizationError, match=r"does not fit .*HOH.*amber14/tip3p\.xml"):
        to_atomistic_simulation(beads, bundled, ["amber14-all.xml"], solvation=Solvation(padding=1.0))
    with pytest.raises(SettingsError, match=r"nothing\.xml.* cannot be read"):
        to_atomistic_simulation(beads, bundled, ["nothing.xml"])
    with pytest.raises(SettingsError, match="did you mean 'GBn2'"):
        to_atomistic_simulation(beads, bundled, implicitSolvent="GBn22")
    with pytest.raises(SettingsError, match="leave one out"):
        to_atomistic_simulation(beads, bundled, implicitSolvent="GBn2", solvation=Solvation(padding=1.0))


def test_beads_without_a_sound_structure_are_refused(backmapper, beads):
    # Untrained: atoms anywhere.
    with pytest.raises(MinimizationError, match=r"none of 4 structures .* is sound"):
        to_atomistic_simulation(beads, backmapper)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"temperature": 0.0}, "temperature=0.0 given: a number above 0"),
        ({"timeStep": np.nan}, "timeStep=nan given"),
        ({"friction": "much"}, "friction=much given"),
        ({"equilibration": -1.0}, "equilibration=-1.0 given: a number of 0 or more"),
        ({"platform": "Referenz"}, "did you mean 'Reference'"),
    ],
)
def test_settings_out_of_range_are_refused(bundled, beads, setting, message):
    with pytest.raises(SettingsError, match=message):
        to_atomistic_simulation(beads, bundled, **setting)
