"""Archives of conformer ensembles come back as they were, subsets are subsets, and damaged ones are refused."""

import dataclasses

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.ensembles.packed import Ensemble, PackedEnsembles


def ensemble(smiles, count, split="train", source="made"):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert len(rdDistGeom.EmbedMultipleConfs(mol, count + 1, randomSeed=1)) == count + 1
    x = np.array([c.GetPositions() for c in mol.GetConformers()], dtype=np.float32)
    return Ensemble(
        smiles, split, source, "mmff94s", np.array([a.GetAtomicNum() for a in mol.GetAtoms()], dtype=np.uint8),
        x[:count] + 100, np.arange(count) * 2.0 - 7, np.full(count, 1 / count, dtype=np.float32), x[count:],
    )  # fmt: skip


@pytest.fixture(scope="module")
def given():
    return [ensemble("CCO", 3), ensemble("C[C@H](N)C(=O)O", 1, "test", "other"), ensemble("c1ccccc1", 2)]


@pytest.fixture(scope="module")
def packed(given):
    return PackedEnsembles.packed(given)


def test_an_archive_holds_what_was_packed_to_a_thousandth(given, packed, tmp_path):
    packed.save(tmp_path / "all.npz")
    again = PackedEnsembles.load(tmp_path / "all.npz")
    assert again.sha256 == packed.sha256 and len(again) == 3
    assert again.n_atoms.tolist() == [9, 13, 12] and again.n_conformers.tolist() == [3, 1, 2]
    for own, found in zip(given, again, strict=True):
        for name in ("smiles", "split", "source", "method"):
            assert getattr(found, name) == getattr(own, name)
        np.testing.assert_array_equal(found.elements, own.elements)
        np.testing.assert_array_equal(found.energies, own.energies)
        for mine, theirs in ((own.positions, found.positions), (own.approximate, found.approximate)):
            np.testing.assert_allclose(theirs, mine - mine.mean(1, keepdims=True), atol=6e-4)


def test_the_same_ensembles_give_the_same_bytes(given, tmp_path):
    for name in ("a.npz", "b.npz"):
        PackedEnsembles.packed(given).save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_subsets_are_of_a_split_or_a_source(packed):
    assert packed.subset("train").smiles.tolist() == ["CCO", "c1ccccc1"]
    assert packed.subset(source="other").smiles.tolist() == ["C[C@H](N)C(=O)O"]
    assert len(packed.subset("validation")) == 0
    assert packed.subset("train")[1].positions.shape == (2, 12, 3)


def test_a_molecule_has_its_conformers_and_its_own_order_of_atoms(packed):
    found = packed[1].mol()
    assert found.GetNumConformers() == 1 and Chem.MolToSmiles(Chem.RemoveHs(found)) == "C[C@H](N)C(=O)O"
    Chem.AssignStereochemistryFrom3D(found)
    assert Chem.MolToSmiles(Chem.RemoveHs(found)) == "C[C@H](N)C(=O)O"
    wrong = dataclasses.replace(packed[0], elements=packed[0].elements[::-1])
    with pytest.raises(DataError, match="other atoms"):
        wrong.mol()


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("conformers", lambda a: a + 1, "positions has shape"), ("weight", lambda a: a * 2, "add up to 1"),
        ("split", lambda a: np.array(["train", "tset", "train"]), "'tset' found"),
        ("energy", lambda a: a * np.nan, "finite"), ("atoms", lambda a: a * 0, "without atoms"),
        ("method", lambda a: a[:2], "method has shape"),
    ],
)  # fmt: skip
def test_archives_whose_arrays_do_not_belong_together_are_refused(packed, tmp_path, name, change, why):
    np.savez(tmp_path / "bad.npz", **{**packed._arrays, name: change(packed._arrays[name])})
    with pytest.raises(DataError, match=why):
        PackedEnsembles.load(tmp_path / "bad.npz")


def test_what_is_no_archive_is_refused(packed, tmp_path):
    with pytest.raises(DataError):
        PackedEnsembles.load(tmp_path / "missing.npz")
    packed.save(tmp_path / "cut.npz")
    whole = (tmp_path / "cut.npz").read_bytes()
    for content in (whole[: len(whole) // 2], b"hello", b""):
        (tmp_path / "cut.npz").write_bytes(content)
        with pytest.raises(DataError):
            PackedEnsembles.load(tmp_path / "cut.npz")
    with pytest.raises(DataError, match="no molecule"):
        PackedEnsembles.packed([])


def test_positions_that_are_not_finite_are_not_packed(given):
    with pytest.raises(DataError, match="finite"):
        PackedEnsembles.packed([dataclasses.replace(given[0], positions=given[0].positions * np.nan)])
