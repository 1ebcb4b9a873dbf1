"""Copies in one Context have the forces of the molecule alone, and are minimised as if alone."""

from pathlib import Path

import mdtraj
import numpy as np
import openmm
import pytest
from openmm import app

from openmm_cgvae.atomistic.copies import can_copy, copied_system
from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.molecule.mapping import residue_mapping

PDB = Path(__file__).parents[1] / "data" / "alanine_dipeptide.pdb"


@pytest.fixture(scope="module")
def reference():
    return mdtraj.load(PDB)


@pytest.fixture(scope="module")
def mapping(reference):
    return residue_mapping(reference.topology)


@pytest.fixture(scope="module")
def noisy(reference):
    """Five frames, 0.02 nm off per coordinate, shape (5, 22, 3)."""
    noise = np.random.default_rng(0).normal(size=(5, reference.n_atoms, 3))
    return reference.xyz[0].astype(float) + 0.02 * noise


def system_of(topology, *files, **settings):
    return app.ForceField("amber14-all.xml", *files).createSystem(topology, removeCMMotion=False, **settings)


def energy_and_forces(system, positions):
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    context.setPositions(positions.reshape(-1, 3))
    state = context.getState(energy=True, forces=True)
    return state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value


def test_copies_have_the_forces_of_the_molecule_alone(reference, noisy):
    system = system_of(reference.topology.to_openmm())
    alone = [energy_and_forces(system, frame) for frame in noisy]
    energy, forces = energy_and_forces(copied_system(system, len(noisy)), noisy)
    np.testing.assert_allclose(energy, sum(e for e, _ in alone), rtol=1e-9)
    np.testing.assert_allclose(forces.reshape(noisy.shape), [f for _, f in alone], rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_the_split_over_copies_and_workers_does_not_matter(platform, mapping, noisy):
    batch = noisy.copy()
    batch[1, 1] = batch[1, 0]
    whole = Minimizer(mapping, platform=platform, copies=5, workers=1).minimize(batch)
    assert whole.failed.tolist() == [False, True, False, False, False]
    minimizer = Minimizer(mapping, platform=platform, copies=2, workers=2)
    assert (minimizer.minimize(batch).positions == whole.positions).all()
    alone = [minimizer.minimize(frame) for frame in batch]
    assert (np.stack([one.positions for one in alone]) == whole.positions).all()
    assert np.array_equal(np.concatenate([one.energy_after for one in alone]), whole.energy_after, equal_nan=True)


def test_copies_reach_what_one_frame_at_a_time_reaches(mapping, noisy):
    together = Minimizer(mapping, copies=5).minimize(noisy)
    single = Minimizer(mapping).minimize(noisy)
    assert not together.failed.any()
    np.testing.assert_allclose(together.energy_before, single.energy_before, rtol=1e-9)
    np.testing.assert_allclose(together.energy_after, single.energy_after, atol=1e-3)
    assert np.abs(mapping.project(together.positions) - mapping.project(noisy)).max() < 0.001


def test_what_cannot_be_copied_is_refused_if_asked_for(reference, mapping):
    topology = reference.topology.to_openmm()
    assert can_copy(system_of(topology))
    assert not can_copy(system_of(topology, "implicit/gbn2.xml"))
    assert not can_copy(system_of(topology, nonbondedMethod=app.CutoffNonPeriodic))
    with pytest.raises(SettingsError, match=r"copies=4 given.*would interact"):
        Minimizer(mapping, implicitSolvent="GBn2", copies=4)
