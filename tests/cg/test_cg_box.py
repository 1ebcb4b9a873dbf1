"""Molecules in a box: they start whole and apart, repel each other by minimum image, and keep their own potential."""

import numpy as np
import openmm
import pytest
from openmm import unit
from test_cg_system import energy_and_forces, make

from openmm_cgvae.cg.box import bead_radii, box_vectors, pack
from openmm_cgvae.cg.system import create_cg_simulation, create_cg_system, run_steps
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.molecule.mapping import residue_mapping

TRICLINIC = [[4.0, 0, 0], [1.0, 4.0, 0], [1.0, 0.5, 4.0]]


@pytest.fixture(scope="module")
def three_beads():
    return make(3)


def context_of(system):
    return openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (4, np.diag([4, 4, 4])),
        (40 * unit.angstrom, np.diag([4, 4, 4])),
        ([3, 4, 5], np.diag([3, 4, 5])),
        (TRICLINIC, TRICLINIC),
        (np.ravel(TRICLINIC), TRICLINIC),
    ],
)
def test_a_box_is_given_by_lengths_or_vectors(given, expected):
    np.testing.assert_allclose(box_vectors(given), expected)


@pytest.mark.parametrize(
    ("box", "copies", "words"),
    [
        (None, 2, "without a box"),
        (3.0, 0, "1 or more"),
        (-3.0, 1, "positive edge lengths"),
        ([1.0, 2.0], 1, "positive edge lengths"),
        ("wide", 1, "positive edge lengths"),
        (float("nan"), 1, "positive edge lengths"),
    ],
)
def test_what_is_no_box_is_refused(box, copies, words):
    with pytest.raises(SettingsError, match=words):
        box_vectors(box, copies)


def test_radii_are_those_of_the_atoms_volume(topology):
    mapping = residue_mapping(topology)
    # ACE: 2 C, 1 O, 3 H and 5 bonds within; Bondi's radii 1.70, 1.52, 1.20 A.
    volume = 4 / 3 * np.pi * (2 * 0.170**3 + 0.152**3 + 3 * 0.120**3) - 5 * 0.00592
    assert bead_radii(mapping)[0] == pytest.approx(np.cbrt(3 * volume / 4 / np.pi), rel=1e-3)


def test_a_molecule_longer_than_half_the_box_keeps_its_own_energy_wherever_it_is(three_beads):
    """By minimum image its ends would be near each other: potentials act along the whole molecule instead."""
    mapping, potential = three_beads
    context = context_of(create_cg_system(mapping, potential, box=1.2))
    stretched = 2.5 * (potential.starts_nm[0] - potential.starts_nm[0][0])
    assert np.abs(stretched[:, None] - stretched).max() > 0.6
    for shift in (0, 1.2, -12.0):
        energy, forces = energy_and_forces(context, stretched + np.array([shift, 0, 0]))
        assert energy == pytest.approx(potential.energy(stretched), rel=1e-9)
        assert np.isfinite(forces).all()


@pytest.mark.parametrize("apart", [1e-9, 1e-6, 1e-3])
def test_forces_are_finite_however_near_beads_of_different_molecules_are(three_beads, apart):
    mapping, potential = three_beads
    one = potential.starts_nm[0] - potential.starts_nm[0][0]
    context = context_of(create_cg_system(mapping, potential, 2, 4.0))
    energy, forces = energy_and_forces(context, np.concatenate([one, one + np.array([apart, 0, 0])]))
    # Every bead on its own image in the other molecule: 50 kJ/mol each.
    assert energy > 3 * 50 * 0.99
    assert np.isfinite(forces).all()


@pytest.mark.parametrize("box", [4.0, TRICLINIC])
def test_copies_repel_by_minimum_image_and_keep_their_own_energy(three_beads, box):
    mapping, potential = three_beads
    context, vectors = context_of(create_cg_system(mapping, potential, 2, box)), box_vectors(box)
    one = potential.starts_nm[0] - potential.starts_nm[0][0]
    contact = 2 * bead_radii(mapping).min()
    # The second one is a lattice vector away, so that first beads are half a contact apart through the boundary.
    other = one @ np.diag([-1, -1, 1]) + [-contact / 2, 0, 0]
    energy, forces = energy_and_forces(context, np.concatenate([one, other + vectors[2] - vectors[1]]))
    same, _ = energy_and_forces(context, np.concatenate([one, other]))
    assert energy == pytest.approx(same, rel=1e-6)
    repulsion = 0
    for a in one:
        x = np.linalg.norm(a - other, axis=1) / contact
        repulsion += (50 * (1 - np.minimum(1, x**2)) ** 2).sum()
    assert repulsion > 50 * (1 - 0.25) ** 2 - 1e-9
    assert energy == pytest.approx(repulsion + potential.energy(one) + potential.energy(other), rel=1e-5)
    np.testing.assert_allclose(forces.sum(0), 0, atol=1e-6 * np.abs(forces).max())


def test_molecules_start_whole_and_apart(three_beads):
    _, potential = three_beads
    placed = pack(potential.starts_nm, 27, box_vectors(4.0), seed=1).reshape(27, 3, 3)
    for k, molecule in enumerate(placed):
        found, own = (potential.distances.values(x) for x in (molecule, potential.starts_nm[k % 8]))
        np.testing.assert_allclose(found, own, atol=1e-6)
    centres = placed.mean(1)
    apart = np.linalg.norm(centres[:, None] - centres, axis=-1)[np.triu_indices(27, 1)]
    assert apart.min() > 4 / 3 - 0.01
    np.testing.assert_array_equal(pack(potential.starts_nm, 27, box_vectors(4.0), seed=1).reshape(27, 3, 3), placed)


def test_a_box_that_is_too_small_is_refused(three_beads):
    with pytest.raises(SettingsError, match=r"27 molecules of diameter.*is needed"):
        pack(three_beads[1].starts_nm, 27, box_vectors(0.7))
    with pytest.raises(SettingsError, match="two contacts"):
        create_cg_simulation(*three_beads, box=0.3)


@pytest.mark.parametrize("box", [2.5, TRICLINIC])
def test_a_box_runs_and_the_seed_decides_it(three_beads, box):
    ends = []
    for _ in range(2):
        simulation = create_cg_simulation(*three_beads, copies=8, box=box, seed=4, platform="Reference")
        run_steps(simulation, 300)
        ends.append(simulation.context.getState(positions=True).getPositions(asNumpy=True)._value)
    np.testing.assert_array_equal(*ends)
    assert simulation.system.usesPeriodicBoundaryConditions()
    np.testing.assert_allclose(
        simulation.topology.getPeriodicBoxVectors().value_in_unit(unit.nanometer), box_vectors(box)
    )
    assert simulation.topology.getNumAtoms() == 24
    assert simulation.topology.getNumBonds() == 16
    # Bonds are whole, and nothing overlaps.
    distances = three_beads[1].distances.values(ends[0].reshape(8, 3, 3))
    assert (distances < three_beads[1].distances.upper + 0.1).all()


def test_a_box_survives_xml(three_beads):
    mapping, potential = three_beads
    system = create_cg_system(mapping, potential, 8, 3.0)
    back = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    positions = pack(potential.starts_nm, 8, box_vectors(3.0), seed=2)
    first, second = (energy_and_forces(context_of(s), positions) for s in (system, back))
    assert first[0] == second[0]
