"""A learned potential: better forces than its tables, one file, run like any other potential."""

import numpy as np
import pytest
from conftest import DATA

from openmm_cgvae.cg.force import SCALE
from openmm_cgvae.cg.forcematching import ForceMatchingConfig
from openmm_cgvae.cg.learned import LearnedPotential, learn_potential, load_potential, tabulated_forces
from openmm_cgvae.cg.potential import CGPotential
from openmm_cgvae.cg.system import create_cg_simulation, run_steps
from openmm_cgvae.core.errors import ModelFileError
from openmm_cgvae.models import ModelConfig
from openmm_cgvae.preparation.reference import reference_forces


@pytest.fixture(scope="module")
def tables(dataset):
    return CGPotential.from_dict(dataset.description["potential"])


@pytest.fixture(scope="module")
def beads(dataset, mapping):
    return mapping.project(dataset.positions).astype(float)


@pytest.fixture(scope="module")
def learned(dataset, mapping, tables, beads):
    """Briefly trained on the forces of the reference."""
    forces = reference_forces([DATA / "alanine_dipeptide.xtc"], mapping.topology, dataset.positions, progress=False)
    config = ForceMatchingConfig(epochs=3, batch_size=32)
    model = ModelConfig(features=16, radial=6)
    return learn_potential(mapping, tables, dataset.spec, beads, forces, dataset.runs, model, config, progress=False)


def test_what_the_learned_term_is_worth_is_recorded(learned):
    for name, runs in (("validation", 1), ("test", 2)):
        error = learned.metadata["force_error"][name]
        assert error["runs"] == runs
        assert error["noise"] > 0 and error["learned"] > 0
    validation = learned.metadata["force_error"]["validation"]
    assert validation["learned"] <= validation["tabulated"] * (1 + 1e-6)


def test_forces_of_the_tables_are_minus_their_gradient(mapping, tables, beads):
    shift = np.zeros_like(beads[:3])
    shift[:, 1, 2] = 1e-4
    slope = (tables.energy(beads[:3] + shift) - tables.energy(beads[:3] - shift)) / 2e-4
    np.testing.assert_allclose(tabulated_forces(mapping, tables, beads[:3])[:, 1, 2], -slope, rtol=1e-3, atol=0.1)


def test_a_file_gives_the_same_potential(learned, beads, tmp_path):
    learned.save(tmp_path / "learned.pt")
    again = load_potential(tmp_path / "learned.pt")
    np.testing.assert_array_equal(again.energy(beads[:5]), learned.energy(beads[:5]))
    assert again.to_dict() == learned.to_dict() != learned.tables.to_dict()
    assert again.metadata["force_error"] == learned.metadata["force_error"]
    learned.tables.save(tmp_path / "tables.json")
    assert type(load_potential(tmp_path / "tables.json")) is CGPotential
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(ModelFileError, match="coarse-grained potential"):
        load_potential(tmp_path / "text.pt")
    with pytest.raises(ModelFileError, match="learn-forcefield"):
        LearnedPotential.load(tmp_path / "tables.json")


def test_a_simulation_has_tables_and_learned_term(learned, mapping, beads):
    simulation = create_cg_simulation(mapping, learned, seed=1)
    simulation.context.setPositions(beads[7])

    def energy():
        return simulation.context.getState(energy=True).getPotentialEnergy()._value

    assert energy() == pytest.approx(learned.energy(beads[7]), abs=1e-3)
    simulation.context.setParameter(SCALE, 0)
    assert energy() == pytest.approx(learned.tables.energy(beads[7]), abs=1e-3)
    simulation.context.setParameter(SCALE, 1)
    run_steps(simulation, 50)
    assert 0 < learned.time_step_ps <= learned.tables.time_step_ps


def test_copies_in_a_box_each_have_their_learned_term(learned, mapping, beads):
    simulation = create_cg_simulation(mapping, learned, seed=1, copies=2, box=3.0)
    apart = np.concatenate([beads[0] - beads[0].mean(0), beads[9] - beads[9].mean(0) + 1.5])
    # The second molecule split over the box.
    apart[4] += [0, 3.0, -3.0]
    tables = simulation.context.getSystem().getForces()
    learned_force = next(force for force in tables if force.getName() == "CG learned")
    for force in tables:
        force.setForceGroup(int(force is learned_force))
    simulation.context.reinitialize()
    simulation.context.setPositions(apart)
    found = simulation.context.getState(energy=True, groups={1}).getPotentialEnergy()._value
    expected = sum(learned.energy(x) - learned.tables.energy(x) for x in (beads[0], beads[9]))
    assert found == pytest.approx(expected, abs=1e-6)
