"""Coverage and RMSD of ensembles against numbers worked by hand, RDKit's GetBestRMS, and what must not matter."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdMolAlign

from openmm_cgvae.chemistry.symmetry import heavy_symmetries
from openmm_cgvae.evaluation.conformers.accuracy import conformer_positions, crystal_accuracy, ensemble_accuracy
from openmm_cgvae.metrics.pairrmsd import distinct_conformers, pair_rmsd


def embedded(smiles, count, seed=1):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert len(rdDistGeom.EmbedMultipleConfs(mol, count, randomSeed=seed)) == count
    return mol, conformer_positions(mol)


def turned(positions, seed=0):
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return positions @ (matrix * np.sign(np.linalg.det(matrix))).T + [3.0, -2.0, 7.0]


@pytest.mark.parametrize(
    "smiles",
    ["CCCC", "FC(F)(F)c1ccccc1", "OC(=O)CCc1ccc([N+](=O)[O-])cc1", "CC(C)(C)OC(=O)N", "NC(N)=[NH+]CC", "CS(=O)(=O)CC",
     "OP(=O)(O)OCC", "C[C@H](F)CC", "[O-]C(=O)CC(=O)O"],
)  # fmt: skip
def test_rmsd_of_all_pairs_is_rdkits_best(smiles):
    mol, x = embedded(smiles, 6)
    heavy = Chem.RemoveHs(mol)
    expected = [[rdMolAlign.GetBestRMS(Chem.Mol(heavy), heavy, i, j) for j in range(6)] for i in range(6)]
    found = pair_rmsd(x, turned(x), heavy_symmetries(mol))
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_a_mirror_image_is_not_the_same_conformer():
    mol, x = embedded("C[C@H](F)Cl", 1)
    assert pair_rmsd(x, -x, heavy_symmetries(mol))[0, 0] > 0.3


def test_symmetries_beyond_the_limit_are_told_and_bound_the_rmsd_from_above():
    mol, x = embedded("FC(F)(F)CC(F)(F)F", 3)
    everything, some = heavy_symmetries(mol), heavy_symmetries(mol, 10)
    # Exchange of the ends, and 3! of the fluorines of each.
    assert everything.complete and len(everything.orders) == 2 * 6**2
    assert not some.complete and len(some.orders) == 10 and (some.orders[0] == np.arange(9)).all()
    assert (pair_rmsd(x, x[:1], some) >= pair_rmsd(x, x[:1], everything) - 1e-9).all()


def test_a_line_of_atoms_has_an_rmsd():
    mol = Chem.MolFromSmiles("C#C")
    x = np.array([[[0, 0, 0], [1.2, 0, 0]], [[0, 0, 0], [0, 1.4, 0]]], dtype=float)
    # Each end is 0.1 Angstrom off.
    np.testing.assert_allclose(pair_rmsd(x, x, heavy_symmetries(mol)), [[0, 0.1], [0.1, 0]], atol=1e-3)


def test_figures_worked_by_hand():
    # Two atoms of He at a distance: the RMSD of distances d and e is |d - e| / 2.
    mol = Chem.MolFromSmiles("CC")
    reference, generated = (
        np.array([[[0, 0, 0], [d, 0, 0]] for d in lengths], dtype=float) for lengths in ([1.0, 3.0], [1.2, 1.4, 6.0])
    )
    found = ensemble_accuracy(mol, reference, generated, requested=4)
    # RMSD of references (rows) and generated ones: 0.1 0.2 2.5 / 0.9 0.8 1.5.
    expected = {
        "coverage_recall_0.5": 1 / 2, "coverage_recall_0.75": 1 / 2, "amr_recall": (0.1 + 0.8) / 2,
        "amr_recall_mean": (2.8 / 3 + 3.2 / 3) / 2, "amr_recall_max": (2.5 + 1.5) / 2,
        # One of four that were asked for is missing.
        "coverage_precision_0.5": 2 / 4, "coverage_precision_0.75": 2 / 4, "amr_precision": (0.1 + 0.2 + 1.5) / 3,
        "amr_precision_mean": (1.0 / 2 + 1.0 / 2 + 4.0 / 2) / 3, "amr_precision_max": (0.9 + 0.8 + 2.5) / 3,
        "worst": 1.5, "references": 2, "generated": 3, "requested": 4, "labels_complete": True,
    }  # fmt: skip
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=2e-3), name


def test_nothing_generated_is_a_coverage_of_zero_and_no_rmsd():
    mol, x = embedded("CCCC", 2)
    found = ensemble_accuracy(mol, x, x[:0], requested=4)
    assert found["coverage_recall_0.5"] == found["coverage_precision_0.75"] == 0
    assert found["amr_recall"] is None and found["worst"] is None and crystal_accuracy(mol, x[0], x[:0]) is None


def test_hydrogens_turning_and_labels_do_not_count():
    mol, x = embedded("CC(C)CO", 4)
    moved = turned(x, 5)
    hydrogens = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() == 1]
    moved[:, hydrogens] += 1.0
    # The two methyl groups exchanged.
    moved[:, [0, 2]] = moved[:, [2, 0]]
    found = ensemble_accuracy(mol, x, moved, requested=4)
    assert found["coverage_recall_0.5"] == found["coverage_precision_0.5"] == 1
    assert found["amr_recall"] == pytest.approx(0, abs=1e-3)
    assert crystal_accuracy(mol, x[2], moved) == pytest.approx(0, abs=1e-3)


def test_distinct_conformers_keep_the_first_of_those_alike():
    mol, x = embedded("CCCCO", 5)
    again = np.concatenate([x, turned(x)])
    kept = distinct_conformers(again, heavy_symmetries(mol), 0.05)
    assert kept == distinct_conformers(x, heavy_symmetries(mol), 0.05)
    assert distinct_conformers(again, heavy_symmetries(mol), 0) == list(range(10))
