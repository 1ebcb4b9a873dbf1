import random

import numpy as np
import pytest
from openmm import app, unit

from openmm_cgvae.atomistic.solvation import Solvation, solvate
from openmm_cgvae.core.errors import PositionsError, SettingsError

TRICLINIC = np.array([[2.4, 0, 0], [0.6, 2.3, 0], [-0.5, 0.7, 2.2]])


@pytest.fixture(scope="module")
def forcefield():
    return app.ForceField("amber14-all.xml", "amber14/tip3p.xml")


@pytest.fixture
def molecule(mapping, reference):
    """Far from the origin, as a molecule that has diffused is."""
    return mapping.topology, reference[0][0].astype(float) + 30.0


def test_the_molecule_is_in_the_middle_of_the_box_that_was_given(molecule, forcefield):
    vectors = TRICLINIC * unit.nanometer
    topology, positions = solvate(*molecule, forcefield, Solvation(boxVectors=vectors), seed=1)
    np.testing.assert_allclose(np.array(topology.getPeriodicBoxVectors()._value), TRICLINIC)
    assert topology.getNumAtoms() == len(positions) > 22 + 3 * 200
    np.testing.assert_allclose(np.diff(positions[:22], axis=0), np.diff(molecule[1], axis=0), atol=1e-6)
    middle = (positions[:22].max(0) + positions[:22].min(0)) / 2
    np.testing.assert_allclose(middle, np.diag(TRICLINIC) / 2, atol=1e-6)


def test_ions_are_where_the_seed_says_and_other_random_numbers_as_they_were(molecule, forcefield):
    salt = Solvation(padding=1.2 * unit.nanometer, ionicStrength=0.5 * unit.molar)

    def ions(seed):
        topology, positions = solvate(*molecule, forcefield, salt, seed)
        return positions[[atom.index for atom in topology.atoms() if atom.residue.name in ("NA", "CL")]]

    random.seed(7)
    expected = random.random()
    random.seed(7)
    first = ions(1)
    assert random.random() == expected
    assert len(first) >= 4
    np.testing.assert_array_equal(ions(1), first)
    assert not np.array_equal(ions(2), first)


@pytest.mark.parametrize("solvation", [Solvation(padding=0.1), Solvation(boxVectors=np.eye(3) * 0.5)])
def test_a_box_smaller_than_the_molecule_or_the_cutoff_is_refused(molecule, forcefield, solvation):
    with pytest.raises(SettingsError, match=r"too small: the molecule is 0\.\d+ nm long and the cutoff 0\.9 nm"):
        solvate(*molecule, forcefield, solvation, seed=1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, SettingsError, "either the padding or the boxVectors"),
        ({"padding": 1.0, "boxVectors": TRICLINIC}, SettingsError, "either the padding or the boxVectors"),
        ({"padding": -1.0}, SettingsError, "padding=-1.0"),
        ({"padding": 1.0, "ionicStrength": -0.1}, SettingsError, "ionicStrength=-0.1"),
        ({"padding": 1.0, "waterModel": "tip3"}, SettingsError, "did you mean 'tip3p'"),
        ({"boxVectors": TRICLINIC.T}, PositionsError, "lower triangular"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        Solvation(**options)
