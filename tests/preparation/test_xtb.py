"""GFN2-xTB minima are minima of its energy, near those of MMFF94s, and are kept as an ensemble of their own."""

import dataclasses

import numpy as np
import pytest
from rdkit import Chem

from openmm_cgvae.chemistry.symmetry import heavy_symmetries
from openmm_cgvae.ensembles.packed import PackedEnsembles
from openmm_cgvae.metrics.pairrmsd import pair_rmsd
from openmm_cgvae.preparation import xtb
from openmm_cgvae.preparation.ensembleparts import GFN2, pack_parts, reoptimise_parts
from openmm_cgvae.preparation.ensembles import EnsembleProtocol, reference_ensemble

pytest.importorskip("tblite")


@pytest.fixture(scope="module")
def fluoroethanol():
    return reference_ensemble(Chem.MolFromSmiles("OCCF"), "made", EnsembleProtocol(seeds=5, test_seeds=5))


def test_the_gradient_is_that_of_the_energy(fluoroethanol):
    field = xtb._Gfn2(fluoroethanol.mol())
    x = fluoroethanol.positions[0].astype(float).ravel()
    _, gradient = field.value_and_gradient(x)
    for k in (0, 4, 17):
        step = np.zeros_like(x)
        step[k] = 1e-3
        slope = (field.value_and_gradient(x + step)[0] - field.value_and_gradient(x - step)[0]) / 2e-3
        assert slope == pytest.approx(gradient[k], abs=1e-5)


def test_low_minima_are_minimised_again_and_packed(fluoroethanol):
    found = xtb.gfn2_ensemble(fluoroethanol, most=2)
    mol = fluoroethanol.mol()
    assert found.method == "gfn2" and 1 <= len(found.positions) <= 2
    assert (np.diff(found.energies) >= 0).all() and found.weights.sum() == pytest.approx(1, abs=1e-5)
    assert pair_rmsd(found.positions, fluoroethanol.positions, heavy_symmetries(mol)).min() < 0.15
    # 2-Fluoroethanol: about -43 MJ/mol of valence electrons, and lower than where MMFF94s ends.
    start = xtb._Gfn2(mol)(fluoroethanol.positions[0])["energy"] * 2625.4996
    assert found.energies[0] < start < found.energies[0] + 60
    assert 5 < xtb.gfn2_gap(mol, found.positions[0]) < 20
    again = PackedEnsembles.packed([fluoroethanol, found])[1]
    assert again.method == "gfn2" and again.energies.tolist() == found.energies.tolist()


def test_parts_are_minimised_again_once(fluoroethanol, tmp_path):
    first = {"positions": fluoroethanol.positions[:1], "energies": fluoroethanol.energies[:1]}
    small = dataclasses.replace(fluoroethanol, **first, weights=np.ones(1, dtype=np.float32), split="test")
    PackedEnsembles.packed([small]).save(tmp_path / "test-00000.npz")
    reoptimise_parts(tmp_path, progress=False)
    written = (tmp_path / "gfn2-test-00000.npz").stat().st_mtime_ns
    reoptimise_parts(tmp_path, progress=False)
    assert (tmp_path / "gfn2-test-00000.npz").stat().st_mtime_ns == written
    assert [e.method for e in pack_parts(tmp_path, GFN2)] == ["gfn2"]
    assert [e.method for e in pack_parts(tmp_path)] == ["mmff94s"]


def test_ions_have_their_charge():
    mol = Chem.AddHs(Chem.MolFromSmiles("C[NH3+]"))
    assert xtb._Gfn2(mol)._charge == 1
