"""The stiffness of a molecule is the Hessian of its bonded terms where these have their minimum."""

from pathlib import Path

import mdtraj
import numpy as np
import openmm
import pytest
from openmm import app

from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.atomistic.restrained import bead_restraint, hold, restrained_system
from openmm_cgvae.atomistic.stiffness import OTHERS, Stiffness
from openmm_cgvae.molecule.mapping import residue_mapping

PDB = Path(__file__).parents[1] / "data" / "alanine_dipeptide.pdb"
# A chain a-b-c-d with bonds of 0.1, 0.15 and 0.12 nm, angles of 90 and 90 degrees and a torsion of 60.
CHAIN = np.array(
    [[0.1, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.15], [0.12 * np.cos(np.pi / 3), 0.12 * np.sin(np.pi / 3), 0.15]]
)
MATRIX = np.array([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.25, 0.75]])


def bonds():
    force = openmm.HarmonicBondForce()
    for i, length in enumerate((0.1, 0.15, 0.12)):
        force.addBond(i, i + 1, length, 2e5 + 1e5 * i)
    return force


def angles():
    force = openmm.HarmonicAngleForce()
    force.addAngle(0, 1, 2, np.pi / 2, 300.0)
    force.addAngle(3, 2, 1, np.pi / 2, 500.0)
    return force


def torsions():
    """Two terms of one torsion, both with their minimum at 60 degrees."""
    force = openmm.PeriodicTorsionForce()
    force.addTorsion(0, 1, 2, 3, 3, 0.0, 4000.0)
    force.addTorsion(0, 1, 2, 3, 1, np.radians(60.0 - 180.0), 9000.0)
    return force


def ryckaert_bellemans():
    """c1 cos(psi) + c2 cos(psi)^2; what counts is the most that their curvatures can add up to."""
    force = openmm.RBTorsionForce()
    force.addTorsion(0, 1, 2, 3, 0.0, 2000.0, 2000.0, 0.0, 0.0, 0.0)
    return force


def system_of(*forces, particles=4):
    system = openmm.System()
    for _ in range(particles):
        system.addParticle(12.0)
    for force in forces:
        system.addForce(force)
    return system


def hessian(system, positions):
    """By central differences of the forces on the Reference platform."""
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))

    def forces(x):
        context.setPositions(x.reshape(-1, 3))
        return context.getState(forces=True).getForces(asNumpy=True)._value.ravel()

    flat, h = positions.ravel(), 1e-6
    return -np.stack([(forces(flat + h * e) - forces(flat - h * e)) / (2 * h) for e in np.eye(flat.size)])


def matrix_of(system, matrix, springs, positions):
    """The matrix that `Stiffness` solves with, as the inverse of what it makes of unit forces."""
    solve = Stiffness(system, matrix, np.asarray(springs)).factorize(positions.reshape(1, -1), [0])
    size = positions.size
    return np.linalg.inv(np.stack([solve(e[None], [0])[0] for e in np.eye(size)])) - OTHERS * np.eye(size)


@pytest.mark.parametrize("forces", [[bonds], [angles], [torsions], [bonds, angles, torsions]])
def test_is_the_hessian_at_the_minimum_of_every_term(forces):
    system = system_of(*(force() for force in forces))
    expected = hessian(system, CHAIN)
    assert np.abs(expected).max() > 1e4
    found = matrix_of(system, MATRIX, [0.0, 0.0], CHAIN)
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_a_series_of_cosines_counts_with_its_largest_curvature():
    expected = matrix_of(system_of(torsions()), MATRIX, [0.0, 0.0], CHAIN)
    found = matrix_of(system_of(ryckaert_bellemans()), MATRIX, [0.0, 0.0], CHAIN)
    # c1 + 4 c2 against 9 * 4000 + 9000.
    np.testing.assert_allclose(found, expected * 10_000 / 45_000, atol=1e-5 * np.abs(expected).max())


def test_springs_hold_the_beads():
    found = matrix_of(system_of(), MATRIX, [1e5, 3e5], CHAIN)
    of_atoms = MATRIX.T @ np.diag([1e5, 3e5]) @ MATRIX
    np.testing.assert_allclose(found, np.kron(of_atoms, np.eye(3)), atol=1.0)


def test_straight_angles_and_coincident_atoms_do_no_harm():
    straight = np.array([[0.0, 0.0, 0.1 * k] for k in range(4)])
    for positions in (straight, np.zeros((4, 3))):
        stiffness = Stiffness(system_of(bonds(), angles(), torsions()), MATRIX, np.ones(2))
        solve = stiffness.factorize(positions.reshape(1, -1), [0])
        step = solve(np.ones((1, 12)), [0])
        assert np.isfinite(step).all() and (step * np.ones(12)).sum() > 0


def test_fifty_iterations_go_further_down_than_a_hundred_of_openmm():
    reference = mdtraj.load(PDB)
    mapping = residue_mapping(reference.topology)
    noisy = reference.xyz[0] + 0.02 * np.random.default_rng(0).normal(size=(8, 22, 3))
    ours = Minimizer(mapping, maxIterations=50, tolerance=0.1).minimize(noisy).energy_after
    assert np.median(ours - plain_energies(mapping, noisy, 100)) < 0


def plain_energies(mapping, frames, iterations):
    """After OpenMM's own minimiser, the beads held by the same springs."""
    system = app.ForceField("amber14-all.xml").createSystem(mapping.topology, constraints=None)
    restraint = bead_restraint(mapping, 1e6)
    restraint.setForceGroup(1)
    system = restrained_system(system, restraint)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    energies = []
    for frame in frames:
        hold(context, restraint, mapping.project(frame[None])[0])
        context.setPositions(frame)
        openmm.LocalEnergyMinimizer.minimize(context, 0.1, iterations)
        energies.append(context.getState(energy=True, groups={0}).getPotentialEnergy()._value)
    return np.array(energies)
