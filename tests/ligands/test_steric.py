"""Energies of pairs keep the form of MMFF94 where atoms meet, and end in a wall."""

import pytest
import torch

from openmm_cgvae.ligands.steric import NEAREST_CHARGES, PairEnergy

RADIUS = 3.5


def energies(distances, depth=1.0, charge=0.0):
    """Energies of two atoms at distances in Angstrom."""
    pairs = PairEnergy()
    off = 1.0 - torch.eye(2)
    pairs.take({"radius": RADIUS * torch.ones(2, 2), "depth": depth * off, "charge": charge * off})
    x = torch.zeros(len(distances), 2, 3)
    x[:, 1, 0] = torch.as_tensor(distances)
    return pairs(x)


def test_the_minimum_is_as_deep_as_it_is_said_to_be():
    found = energies([0.95 * RADIUS, RADIUS, 1.05 * RADIUS], depth=2.0)
    assert found[1].item() == pytest.approx(-2.0, rel=1e-4)
    assert found.argmin() == 1


def test_charges_have_coulombs_energy():
    assert energies([4.0], depth=0.0, charge=-1389.0).item() == pytest.approx(-1389.0 / 4.05, rel=1e-4)


@pytest.mark.parametrize("charge", [-1400.0, -300.0, 0.0, 300.0])
def test_no_charges_pay_for_an_overlap(charge):
    distances = torch.linspace(0.01, NEAREST_CHARGES * RADIUS, 60)
    assert (energies(distances, charge=charge).diff() <= 1e-3).all()
