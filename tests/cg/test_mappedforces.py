"""Forces on beads: consistent with the mapping, blind to constraints, right on a system known by heart."""

import itertools

import numpy as np
import openmm
import pytest
from conftest import DATA
from openmm import app

from openmm_cgvae.cg.mappedforces import evaluate_forces, force_map, force_noise
from openmm_cgvae.core.errors import DataError, MappingError
from openmm_cgvae.core.units import BOLTZMANN_KJ_PER_MOL_K
from openmm_cgvae.molecule.mapping import alpha_carbon_mapping, custom_mapping, residue_mapping
from openmm_cgvae.preparation.reference import reference_forces


@pytest.fixture(scope="module")
def forces(reference, mapping):
    """Forces of the reference's force field at the 200 frames."""
    return reference_forces([DATA / "alanine_dipeptide.xtc"], mapping.topology, reference[0], progress=False)


@pytest.mark.parametrize("make", [residue_mapping, lambda t: residue_mapping(t, "mass"), alpha_carbon_mapping])
def test_the_map_fits_every_mapping(topology, forces, make):
    mapping = make(topology)
    found = force_map(mapping, forces)
    np.testing.assert_allclose(found @ mapping.matrix.T, np.eye(mapping.n_beads), atol=1e-6)
    for a, b in mapping.topology.bonds():
        if "H" in (a.element.symbol, b.element.symbol):
            np.testing.assert_allclose(found[:, a.index], found[:, b.index], atol=1e-9)


def test_the_map_is_the_least_noisy_one(mapping, forces):
    """Noid's sum over a bead's atoms is another valid map, and a noisier one."""
    found = force_map(mapping, forces)
    summed = np.equal.outer(np.arange(mapping.n_beads), mapping.assignment).astype(float)
    np.testing.assert_allclose(summed @ mapping.matrix.T, np.eye(mapping.n_beads), atol=1e-12)
    least, other = (np.square(b @ forces).mean() for b in (found, summed))
    assert least < 0.6 * other
    for part in (0.1, -0.1):
        assert np.square((found + part * (summed - found)) @ forces).mean() > least


def carbons(n_atoms):
    topology = app.Topology()
    residue = topology.addResidue("CHN", topology.addChain())
    atoms = [topology.addAtom(f"C{k}", app.Element.getBySymbol("C"), residue) for k in range(n_atoms)]
    for pair in itertools.pairwise(atoms):
        topology.addBond(*pair)
    return topology


def test_mapped_forces_of_a_harmonic_system_are_those_of_its_gaussian_beads():
    """Of x ~ N(0, kT / K), beads are N(0, kT M K^-1 M^T): their mean force is linear and known."""
    rng = np.random.default_rng(0)
    stiffness = np.diag([100.0] * 4) + 400 * (2 * np.eye(4) - np.eye(4, k=1) - np.eye(4, k=-1))
    kT = 300 * BOLTZMANN_KJ_PER_MOL_K
    x = np.einsum("ij,fjx->fix", np.linalg.cholesky(kT * np.linalg.inv(stiffness)), rng.normal(size=(100_000, 4, 3)))
    mapping = custom_mapping(carbons(4), [[0, 1], [2, 3]], weights=[1.0, 3.0, 0.0, 1.0])
    forces = -np.einsum("ij,fjx->fix", stiffness, x)
    X, F = mapping.matrix @ x, force_map(mapping, forces) @ forces
    wanted = -np.linalg.inv(mapping.matrix @ np.linalg.inv(stiffness) @ mapping.matrix.T)
    found = np.einsum("fIx,fJx->IJ", F, X) @ np.linalg.inv(np.einsum("fIx,fJx->IJ", X, X))
    np.testing.assert_allclose(found, wanted, rtol=0.02, atol=5)
    assert np.square(F - np.einsum("IJ,fJx->fIx", wanted, X)).mean() < np.square(F).mean()


def test_beads_held_together_by_constraints_are_refused(topology, forces):
    beads = [[0], [1, 2, 3], [*range(4, 22)]]
    with pytest.raises(MappingError, match="hydrogens on the beads of their heavy atoms"):
        force_map(custom_mapping(topology, beads), forces)


def test_forces_are_those_of_the_context():
    system = openmm.System()
    spring = openmm.CustomExternalForce("2*x^2 + 3*y")
    for k in range(2):
        system.addParticle(1.0)
        spring.addParticle(k)
    system.addForce(spring)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    frames = np.array([[[1.0, 0, 0], [0, 0, 0]], [[-0.5, 2, 0], [0.25, 0, 1]]])
    expected = np.stack([-4 * frames[..., 0], np.full((2, 2), -3), np.zeros((2, 2))], axis=-1)
    np.testing.assert_allclose(evaluate_forces(context, frames), expected)
    frames[1, 0, 0] = np.inf
    with pytest.raises(DataError, match="frame 1"):
        evaluate_forces(context, frames)


def test_noise_is_told_from_a_mean_force_however_frames_are_turned():
    rng = np.random.default_rng(1)
    length = rng.uniform(0.3, 0.5, size=20_000)
    axis = rng.normal(size=(20_000, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    beads = np.stack([np.zeros_like(axis), length[:, None] * axis], axis=1)
    mean = 1000 * (0.4 - length)[:, None] * axis
    forces = np.stack([-mean, mean], axis=1) + rng.normal(0, 20, size=(20_000, 2, 3))
    assert force_noise(beads, forces) == pytest.approx(400, rel=0.03)
