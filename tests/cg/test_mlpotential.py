"""A learned CG force field by openmm-ml's interface: the System that this package makes, and mixed ones."""

import numpy as np
import openmm
import pytest
from openmm import app, unit

from openmm_cgvae.cg.box import tiled_topology
from openmm_cgvae.cg.learned import LearnedPotential
from openmm_cgvae.cg.potential import CGPotential
from openmm_cgvae.cg.system import create_cg_system
from openmm_cgvae.core.errors import ModelFileError, SettingsError, TopologyMismatchError
from openmm_cgvae.core.periodic import spanning_tree
from openmm_cgvae.models import ModelConfig
from openmm_cgvae.models.energy import CGEnergy, script_energy

openmmml = pytest.importorskip("openmmml", reason="openmm-ml is not installed")


@pytest.fixture(scope="module")
def learned(five_bead_dataset, five_beads):
    """Tables of the reference, and a learned term of random weights."""
    import torch

    torch.manual_seed(1)
    model = CGEnergy(five_bead_dataset.spec, ModelConfig(features=16, radial=6))
    torch.nn.init.normal_(model.readout[2].weight)
    config = {"features": 16, "radial": 6}
    module = script_energy(model, spanning_tree(5, five_beads.bead_bonds).tolist())
    tables = CGPotential.from_dict(five_bead_dataset.description["potential"])
    return LearnedPotential.joined(tables, module, five_beads.to_dict(), {"model": config})


@pytest.fixture(scope="module")
def potential(learned, tmp_path_factory):
    """The `MLPotential` of a file."""
    from openmm_cgvae.cg.mlfactory import CGPotentialFactory

    if "openmm-cgvae" not in openmmml.MLPotential._implFactories:
        # Where the package is used from its checkout, and not installed.
        openmmml.MLPotential.registerImplFactory("openmm-cgvae", CGPotentialFactory())
    path = tmp_path_factory.mktemp("learned") / "learned.pt"
    learned.save(path)
    return openmmml.MLPotential("openmm-cgvae", modelPath=path)


def evaluate(system, positions, **parameters):
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(positions)
    for name, value in parameters.items():
        context.setParameter(name, value)
    state = context.getState(energy=True, forces=True)
    return state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value


def masses(system):
    return [system.getParticleMass(k)._value for k in range(system.getNumParticles())]


def test_the_system_is_that_of_this_package(potential, learned, five_beads, reference):
    beads = five_beads.project(reference[0][5]).astype(float)
    system = potential.createSystem(five_beads.cg_topology())
    own = create_cg_system(five_beads, learned)
    assert masses(system) == masses(own)
    (energy, forces), (expected, expected_forces) = (evaluate(s, beads) for s in (system, own))
    assert energy == pytest.approx(expected, rel=1e-9) and abs(energy - learned.tables.energy(beads)) > 1
    np.testing.assert_allclose(forces, expected_forces, rtol=1e-6, atol=1e-6)


def test_several_molecules_in_a_box_repel_each_other_as_in_this_package(potential, learned, five_beads, reference):
    beads = five_beads.project(reference[0][[5, 50]]).astype(float)
    beads = np.concatenate([beads[0] - beads[0].mean(0), beads[1] - beads[1].mean(0) + 0.3])
    system = potential.createSystem(tiled_topology(five_beads, 2, 3.0))
    own = create_cg_system(five_beads, learned, 2, 3.0)
    assert evaluate(system, beads)[0] == pytest.approx(evaluate(own, beads)[0], rel=1e-9)
    with pytest.raises(SettingsError, match="without a box"):
        potential.createSystem(tiled_topology(five_beads, 2))


def test_a_simulation_of_openmm_runs_it(potential, five_beads, learned):
    system = potential.createSystem(five_beads.cg_topology())
    integrator = openmm.LangevinMiddleIntegrator(300, 1, learned.time_step_ps)
    simulation = app.Simulation(five_beads.cg_topology(), system, integrator)
    simulation.context.setPositions(learned.starts_nm[0])
    simulation.step(20)
    assert np.isfinite(simulation.context.getState(energy=True).getPotentialEnergy()._value)


@pytest.mark.parametrize("interpolate", [False, True])
def test_beads_among_other_particles_are_mixed(potential, learned, five_beads, reference, interpolate):
    """Behind two ions that attract the beads: the beads' own conventional energy is replaced, all else stays."""
    beads = five_beads.project(reference[0][5]).astype(float)
    topology = app.Topology()
    ions = topology.addChain()
    for _ in range(2):
        topology.addAtom("NA", app.Element.getBySymbol("Na"), topology.addResidue("NA", ions))
    modeller = app.Modeller(topology, np.zeros((2, 3)) * unit.nanometer)
    modeller.add(five_beads.cg_topology(), beads * unit.nanometer)
    for atom in modeller.topology.atoms():
        # openmm-ml asks for one, to cap broken bonds.
        atom.element = atom.element or app.Element.getBySymbol("C")
    conventional, charges = openmm.System(), openmm.NonbondedForce()
    for k in range(7):
        conventional.addParticle(20.0)
        charges.addParticle(1.0 if k < 2 else -0.4, 0.3, 0.0)
    conventional.addForce(charges)
    positions = np.concatenate([[[2.0, 0, 0], [0, 2.0, 0]], beads])
    mixed = potential.createMixedSystem(modeller.topology, conventional, range(2, 7), interpolate=interpolate)
    ones = 138.935456 * np.triu(np.outer(*[[1.0, 1.0, *[-0.4] * 5]] * 2), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        coulomb = ones / np.linalg.norm(positions[:, None] - positions, axis=-1)
    coulomb[np.tril_indices(7)] = 0
    outside = coulomb.sum() - coulomb[2:, 2:].sum()
    assert evaluate(mixed, positions)[0] == pytest.approx(learned.energy(beads) + outside, rel=1e-4)
    if interpolate:
        found = evaluate(mixed, positions, lambda_interpolate=0)[0]
        assert found == pytest.approx(coulomb.sum(), rel=1e-4)


def test_mistakes_are_said(potential, learned, five_beads, mapping, topology, tmp_path):
    with pytest.raises(SettingsError, match="give the file that learn-forcefield wrote"):
        openmmml.MLPotential("openmm-cgvae")
    with pytest.raises(ModelFileError, match="does not exist"):
        openmmml.MLPotential("openmm-cgvae", modelPath="nowhere.pt")
    with pytest.raises(SettingsError, match="3 particles given for a potential of 5 beads"):
        potential.createSystem(mapping.cg_topology())
    other = five_beads.cg_topology()
    next(other.atoms()).name = "X"
    with pytest.raises(TopologyMismatchError, match="particle 0 of the topology is ACE X"):
        potential.createSystem(other)
    learned.tables.save(tmp_path / "tables.json")
    with pytest.raises(SettingsError, match="tables alone tell no masses"):
        openmmml.MLPotential("openmm-cgvae", modelPath=tmp_path / "tables.json").createSystem(other)
