"""Whole periodic boxes are minimised with the forces of their images."""

from pathlib import Path

import mdtraj
import numpy as np
import openmm
import parmed
import pytest
from openmm import app, unit

from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.core.errors import PositionsError, SettingsError
from openmm_cgvae.metrics import valid_graphs
from openmm_cgvae.molecule.mapping import residue_mapping

PDB = Path(__file__).parents[1] / "data" / "alanine_dipeptide.pdb"
CUBE = 2.0 * np.eye(3)
# Not reduced as OpenMM wants it: b leans over by more than half of a.
SKEWED = np.array([[2.0, 0.0, 0.0], [1.4, 1.9, 0.0], [-0.5, 0.7, 1.9]])


@pytest.fixture(scope="module")
def molecule():
    return mdtraj.load(PDB)


@pytest.fixture(scope="module")
def mapping(molecule):
    topology = molecule.topology
    for _ in range(7):
        topology = topology.join(molecule.topology)
    return residue_mapping(topology)


@pytest.fixture(scope="module")
def noisy(molecule):
    """Two frames of 8 molecules on a cubic lattice, each turned its own way, atoms 0.015 nm off, (2, 176, 3)."""
    rng = np.random.default_rng(0)
    whole = molecule.xyz[0].astype(float) - molecule.xyz[0].mean(0)
    turns = np.linalg.qr(rng.normal(size=(8, 3, 3)))[0]
    turns *= np.sign(np.linalg.det(turns))[:, None, None]
    lattice = np.stack(np.meshgrid(*[[0.0, 1.0]] * 3, indexing="ij"), axis=-1).reshape(8, 1, 3)
    return (whole @ turns + lattice).reshape(1, -1, 3) + 0.015 * rng.normal(size=(2, 176, 3))


def energies(mapping, positions, box):
    topology = mapping.topology
    topology.setPeriodicBoxVectors(box * unit.nanometer)
    system = app.ForceField("amber14-all.xml").createSystem(
        topology, nonbondedMethod=app.PME, nonbondedCutoff=0.9 * unit.nanometer
    )
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("CPU"))
    values = []
    for frame in positions:
        context.setPositions(frame)
        values.append(context.getState(energy=True).getPotentialEnergy()._value)
    return np.array(values)


def test_energies_are_those_of_the_box_and_beads_are_held(mapping, noisy):
    minimizer = Minimizer(mapping, boxVectors=CUBE)
    result = minimizer.minimize(noisy)
    assert minimizer.periodic and not result.failed.any()
    expected = [energies(mapping, x, CUBE) for x in (noisy, result.positions)]
    np.testing.assert_allclose([result.energy_before, result.energy_after], expected, rtol=1e-4, atol=1.0)
    assert (result.energy_after < result.energy_before - 5000).all()
    assert np.abs(mapping.project(result.positions) - mapping.project(noisy)).max() < 0.001
    assert valid_graphs(result.positions, minimizer.graph).all()
    alone = minimizer.minimize(noisy[1])
    assert (alone.positions == result.positions[1]).all()


def test_molecules_may_lie_in_any_image_of_a_skewed_box(mapping, noisy):
    moved = noisy.copy()
    moved[:, 22:44] += SKEWED[2] - SKEWED[1]
    # Few iterations: rounding, which differs with the image, grows along soft torsions.
    minimizer = Minimizer(mapping, boxVectors=SKEWED * unit.nanometer, maxIterations=20)
    here, there = minimizer.minimize(noisy), minimizer.minimize(moved)
    np.testing.assert_allclose(there.energy_before, here.energy_before, rtol=1e-4)
    np.testing.assert_allclose(there.positions - moved, here.positions - noisy, atol=1e-3)


def test_each_frame_has_its_own_box(mapping, noisy):
    minimizer = Minimizer(mapping, boxVectors=CUBE, maxIterations=5)
    boxes = np.stack([CUBE, 1.1 * CUBE])
    result = minimizer.minimize(noisy, boxVectors=boxes)
    expected = [energies(mapping, noisy[k : k + 1], boxes[k])[0] for k in range(2)]
    np.testing.assert_allclose(result.energy_before, expected, rtol=1e-4)
    # The box of the constructor again, whatever the last frame had.
    assert (minimizer.minimize(noisy[1]).energy_before != result.energy_before[1]).all()


def test_takes_a_parmed_structure(mapping, noisy):
    topology = mapping.topology
    system = app.ForceField("amber14-all.xml").createSystem(topology)
    structure = parmed.openmm.load_topology(topology, system)
    own, built_in = (Minimizer(mapping, f, boxVectors=CUBE, maxIterations=1) for f in (structure, None))
    expected = built_in.minimize(noisy).energy_before
    np.testing.assert_allclose(own.minimize(noisy).energy_before, expected, rtol=1e-5)
    assert structure.box is None


def test_refuses_boxes_that_do_not_fit(mapping, noisy):
    with pytest.raises(SettingsError, match="made without"):
        Minimizer(mapping).minimize(noisy, boxVectors=CUBE)
    minimizer = Minimizer(mapping, boxVectors=CUBE)
    with pytest.raises(PositionsError, match=r"box of shape \(3, 3, 3\) given"):
        minimizer.minimize(noisy, boxVectors=np.stack([CUBE] * 3))
    with pytest.raises(PositionsError, match=r"a box 1\.7 nm wide given, the cutoff is 0\.9 nm"):
        minimizer.minimize(noisy, boxVectors=np.stack([CUBE, 0.85 * CUBE]))
    with pytest.raises(PositionsError, match="lower triangular"):
        Minimizer(mapping, boxVectors=CUBE[::-1])
