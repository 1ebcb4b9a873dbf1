"""Placed atoms have the geometry of the force field, on a crystal structure and in any frame."""

import numpy as np
import pytest
import torch
from conftest import rotation
from proteinbeads import CRYSTAL, heavy_positions, rows_of

from openmm_cgvae.binding.protein import bind_protein
from openmm_cgvae.models.placement import PlacementTensors, draw_rotors, place, placement_tensors


@pytest.fixture(scope="module")
def crystal():
    from openmm_cgvae.binding.beadfiles import read_pdb

    return read_pdb(CRYSTAL)


@pytest.fixture(scope="module", params=["charged", "capped"])
def protein(request, crystal):
    rows = [i for i, name in enumerate(crystal.names) if name == "CA"]
    return bind_protein(rows_of(crystal, rows), termini=request.param)


@pytest.fixture(scope="module")
def placed(protein, crystal):
    """Positions (4, n, 3) in nm of four draws of the rotors."""
    tensors = placement_tensors(protein.placements, torch.float64)
    return place(frames(protein, crystal, 4), tensors, angles(tensors, 4))


def frames(protein, crystal, count):
    return torch.tensor(heavy_positions(protein, crystal)).expand(count, -1, -1)


def angles(tensors, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (count, len(tensors.wells))
    uniform = torch.rand(shape, generator=generator)
    return draw_rotors(tensors.wells, uniform, torch.randn(shape, generator=generator, dtype=torch.float64))


@pytest.fixture(scope="module")
def system(protein):
    from openmm import app

    return app.ForceField("amber14-all.xml").createSystem(protein.topology)


def force(system, kind):
    return next(f for f in system.getForces() if type(f).__name__ == kind)


def test_bonds_of_hydrogens_are_those_of_the_force_field(protein, placed, system):
    bonds = force(system, "HarmonicBondForce")
    terms = [bonds.getBondParameters(k) for k in range(bonds.getNumBonds())]
    of_hydrogen = [t for t in terms if 1 in protein.atomic_numbers[[t[0], t[1]]]]
    assert len(of_hydrogen) == (protein.atomic_numbers == 1).sum()
    i, j = (np.array([t[k] for t in of_hydrogen]) for k in (0, 1))
    expected = np.array([t[2]._value for t in of_hydrogen])
    lengths = np.linalg.norm(placed[:, i] - placed[:, j], axis=2)
    np.testing.assert_allclose(lengths, np.broadcast_to(expected, lengths.shape), rtol=0.02)


def test_bonds_of_ends_and_caps_are_those_of_the_force_field(protein, placed, system):
    bonds = force(system, "HarmonicBondForce")
    by_model = set(protein.heavy_atoms.tolist())
    terms = [bonds.getBondParameters(k) for k in range(bonds.getNumBonds())]
    ends = [t for t in terms if not {t[0], t[1]} <= by_model]
    lengths = np.linalg.norm(placed[0, [t[0] for t in ends]] - placed[0, [t[1] for t in ends]], axis=1)
    np.testing.assert_allclose(lengths, [t[2]._value for t in ends], rtol=0.02)


def test_angles_of_hydrogens_are_near_those_of_the_force_field(protein, placed, system):
    terms = force(system, "HarmonicAngleForce")
    rows = [terms.getAngleParameters(k) for k in range(terms.getNumAngles())]
    rows = [r for r in rows if 1 in protein.atomic_numbers[[r[0], r[2]]]]
    i, j, k = (np.array([r[c] for r in rows]) for c in range(3))
    u, v = (placed[0, i] - placed[0, j]).numpy(), (placed[0, k] - placed[0, j]).numpy()
    cosine = (u * v).sum(axis=1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
    off = np.abs(np.degrees(np.arccos(cosine)) - np.degrees([r[3]._value for r in rows]))
    # Heavy atoms of a crystal are not at the force field's angles either.
    assert off.mean() < 1.5
    assert off.max() < 12.0


def test_no_centre_is_inverted(protein, placed):
    """A hydrogen of a carbon with three heavy neighbours is on the side that they leave free."""
    neighbours = [[] for _ in range(protein.n_atoms)]
    for i, j in protein.bonds:
        neighbours[i].append(j)
        neighbours[j].append(i)
    count = 0
    for atom, around in enumerate(neighbours):
        hydrogens = [i for i in around if protein.atomic_numbers[i] == 1]
        heavy = [i for i in around if protein.atomic_numbers[i] > 1]
        if protein.atomic_numbers[atom] == 6 and len(hydrogens) == 1 and len(heavy) == 3:
            out = placed[0, hydrogens[0]] - placed[0, atom]
            assert all((out @ (placed[0, i] - placed[0, atom])) < 0 for i in heavy)
            count += 1
    assert count > 70


def test_energy_is_finite_and_falls_to_that_of_a_protein(protein, placed, system):
    import openmm

    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("CPU"))
    energies = []
    for frame in placed[:2].numpy():
        context.setPositions(frame)
        before = context.getState(getEnergy=True).getPotentialEnergy()._value
        openmm.LocalEnergyMinimizer.minimize(context, 10, 50)
        energies.append((before, context.getState(getEnergy=True).getPotentialEnergy()._value))
    assert np.isfinite(energies).all()
    # -59 kJ/mol a residue after OpenMM's own hydrogens and as many iterations.
    assert max(after for _, after in energies) < -40 * protein.n_residues


def test_placement_turns_with_the_frame(protein, crystal, placed):
    turn = torch.tensor(rotation(3))
    tensors = placement_tensors(protein.placements, torch.float64)
    turned = place(frames(protein, crystal, 4) @ turn.T + 1.5, tensors, angles(tensors, 4))
    torch.testing.assert_close(turned, placed @ turn.T + 1.5, rtol=0, atol=1e-9)


def test_positions_may_be_in_angstrom(protein, crystal, placed):
    tensors = placement_tensors(protein.placements, torch.float64, scale=10.0)
    found = place(10 * frames(protein, crystal, 4), tensors, angles(tensors, 4))
    torch.testing.assert_close(found, 10 * placed)


def test_rotor_angle_is_the_torsion(protein, crystal):
    """Third reference, second, first, first hydrogen: the angle that was asked for."""
    tensors = placement_tensors(protein.placements, torch.float64)
    asked = angles(tensors, 1, seed=5)
    found = place(frames(protein, crystal, 1), tensors, asked)[0].numpy()
    rows = protein.placements
    seen = set()
    for atom, references, rotor in zip(rows.atoms, rows.references, rows.rotor, strict=True):
        if rotor < 0 or rotor in seen:
            continue
        seen.add(rotor)
        a, b, c, d = found[[references[2], references[1], references[0], atom]]
        axis = (c - b) / np.linalg.norm(c - b)
        u, v = (a - b) - ((a - b) @ axis) * axis, (d - c) - ((d - c) @ axis) * axis
        torsion = np.arctan2(np.cross(u, v) @ axis, u @ v)
        assert abs(np.angle(np.exp(1j * (torsion - asked[0, rotor].item())))) < 2e-3
    assert len(seen) == rows.n_rotors


def test_placement_has_gradients_and_can_be_scripted(protein, crystal):
    @torch.jit.script
    def scripted(positions: torch.Tensor, placements: PlacementTensors, angles: torch.Tensor):
        return place(positions, placements, angles)

    tensors = placement_tensors(protein.placements)
    positions = frames(protein, crystal, 2).float()
    positions = positions.clone().requires_grad_()
    found = scripted(positions, tensors, angles(tensors, 2).float())
    torch.testing.assert_close(found, place(positions, tensors, angles(tensors, 2).float()))
    found.square().sum().backward()
    assert torch.isfinite(positions.grad).all()
