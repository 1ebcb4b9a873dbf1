"""The learned energy: invariant, handed, a sum over molecules, zero before training, whole in a box."""

import numpy as np
import pytest
import torch
from conftest import rotation

from openmm_cgvae.models import ModelConfig
from openmm_cgvae.models.energy import CGEnergy, ExportedEnergy, script_energy

TREE = [(0, 1), (1, 2), (2, 3), (3, 4)]


def random_energy(dataset, cutoff=12.0):
    torch.manual_seed(1)
    model = CGEnergy(dataset.spec, ModelConfig(features=16, radial=6, bead_cutoff_angstrom=cutoff))
    torch.nn.init.normal_(model.readout[2].weight)
    return model


@pytest.fixture(scope="module")
def beads(five_bead_dataset):
    """2 molecules, shape (10, 3), nm."""
    frames = five_bead_dataset.spec.projection @ five_bead_dataset.positions[::100].astype(float)
    return torch.tensor(frames).reshape(-1, 3)


def test_turning_changes_nothing_and_mirroring_does(five_bead_dataset, beads):
    energy = script_energy(random_energy(five_bead_dataset), TREE)
    whole = float(energy(beads))
    turned = beads @ torch.tensor(rotation(2)).T + torch.tensor([100.0, -20.0, 3.0])
    assert float(energy(turned)) == pytest.approx(whole, abs=1e-6)
    assert abs(float(energy(-beads)) - whole) > 1e-2


def test_molecules_add_up(five_bead_dataset, beads):
    energy = script_energy(random_energy(five_bead_dataset), TREE)
    assert float(energy(beads)) == pytest.approx(float(energy(beads[:5])) + float(energy(beads[5:])))


def test_an_untrained_energy_is_zero(five_bead_dataset, beads):
    energy = script_energy(CGEnergy(five_bead_dataset.spec, ModelConfig(features=16)), TREE)
    value, forces = energy.energy_and_forces(beads)
    assert float(value) == 0 and not forces.any()


def test_beads_beyond_the_cutoff_do_not_matter(five_bead_dataset):
    """But for the signed volumes, which the nearest beads along the bonds span: these are left out here."""
    model = random_energy(five_bead_dataset, cutoff=5.0)
    torch.nn.init.zeros_(model.side.weight)
    far = torch.tensor([[0, 0, 0], [0.2, 0, 0], [0.4, 0, 0], [0.6, 0, 0], [5.0, 0, 0]], dtype=torch.float64)
    energy = script_energy(model, TREE)
    further = far + torch.tensor([[0, 0, 0]] * 4 + [[3.0, 1, 0]], dtype=torch.float64)
    assert float(energy(far)) == pytest.approx(float(energy(further)))


def test_a_stretched_molecule_feels_no_pull(five_bead_dataset, beads):
    """Signed volumes grow as it is stretched; an energy that follows them tears it apart against its bonds."""
    energy = script_energy(random_energy(five_bead_dataset), TREE)
    centred = beads[:5] - beads[:5].mean(0)
    for factor in (1e3, 1e4):
        value, forces = energy.energy_and_forces(factor * centred)
        assert forces.abs().max() < 1e-6
        assert float(value) == pytest.approx(float(energy(3e3 * centred)))
    assert energy.energy_and_forces(centred)[1].abs().max() > 1.0


def test_split_molecules_are_made_whole_in_any_box(five_bead_dataset, beads):
    energy = ExportedEnergy(random_energy(five_bead_dataset).double(), TREE)
    box = torch.tensor([[1.5, 0, 0], [0.7, 1.6, 0], [-0.7, 0.8, 1.4]], dtype=torch.float64)
    images = torch.tensor(np.random.default_rng(0).integers(-3, 4, size=(10, 3)), dtype=torch.float64) @ box
    found, forces = energy.energy_and_forces(beads + images, box)
    expected, open_forces = energy.energy_and_forces(beads)
    assert float(found) == pytest.approx(float(expected))
    torch.testing.assert_close(forces, open_forces)
