"""Which samples are kept: low ones, each once, and high ones only where there is nothing else."""

import numpy as np
import pytest
from rdkit import Chem

from openmm_cgvae.ensembles.selection import HIGH, chosen_conformers


@pytest.fixture
def samples():
    """Molecule, positions and energies: sample 1 is 0 again, 2 another low one, 3 and 4 are high, each its own."""
    mol = Chem.AddHs(Chem.MolFromSmiles("CCCC"))
    x = np.random.default_rng(0).normal(0.0, 2.0, (5, mol.GetNumAtoms(), 3))
    x[1] = x[0]
    return mol, x, np.array([0.0, 0.0, 2.0, 2 * HIGH, 9 * HIGH])


@pytest.mark.parametrize(("n", "expected"), [(2, [{0, 2}, {1, 2}]), (3, [{0, 1, 2}]), (4, [{0, 1, 2, 3}])])
def test_unlike_ones_first_and_high_ones_last(samples, n, expected):
    for seed in range(5):
        assert set(chosen_conformers(*samples, n, seed).tolist()) in expected


def test_where_all_are_wanted_all_are_there(samples):
    assert sorted(chosen_conformers(*samples, 5)) == [0, 1, 2, 3, 4]
