"""An evaluation compares generators on the same molecules, survives interruption, and counts failures as such."""

import json

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from openmm_cgvae.cli.main import main
from openmm_cgvae.core.errors import DataError, MoleculeError, SettingsError
from openmm_cgvae.ensembles.packed import PackedEnsembles, with_conformers
from openmm_cgvae.evaluation.conformers.evaluation import ConformerSettings, crystal_molecules, evaluate_conformers
from openmm_cgvae.evaluation.conformers.generators import named_generator
from openmm_cgvae.evaluation.conformers.summary import summarised, summary_table
from openmm_cgvae.preparation.ensembles import EnsembleProtocol, reference_ensemble

SMILES = ["CCCCO", "C[C@H](F)CCl", "OCC(=O)N"]


@pytest.fixture(scope="module")
def ensembles():
    found = []
    for smiles in SMILES:
        own = reference_ensemble(Chem.MolFromSmiles(smiles), "made", EnsembleProtocol(seeds=6, test_seeds=6))
        found.append(type(own)(**{**vars(own), "split": "test"}))
    return PackedEnsembles.packed(found)


@pytest.fixture(scope="module")
def crystal(tmp_path_factory):
    """Three records: one that can be used, a mixture, and a broken one."""
    path = tmp_path_factory.mktemp("crystal") / "ligands.sdf"
    writer = Chem.SDWriter(str(path))
    for smiles in ("C[C@H](N)CC(=O)OCC", "CCCCO.O"):
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        assert rdDistGeom.EmbedMolecule(mol, randomSeed=2) == 0
        mol.SetProp("_Name", smiles)
        writer.write(Chem.RemoveHs(mol))
    writer.close()
    path.write_text(path.read_text() + "junk\n$$$$\n")
    return path


def perfect(ensembles):
    """A generator that returns the reference, turned over."""
    known = {Chem.MolToSmiles(e.mol()): e for e in ensembles}

    def generate(mol, n, seed):
        x = known[Chem.MolToSmiles(mol)].positions * [-1, -1, 1]
        return with_conformers(mol, np.concatenate([x, x])[:n])

    return generate


def failing(mol, n, seed):
    if "F" in Chem.MolToSmiles(mol):
        raise MoleculeError("it cannot be done")
    return named_generator("etkdg")(mol, n, seed)


def mirrored(mol, n, seed):
    made = named_generator("etkdg")(mol, n, seed)
    return with_conformers(mol, np.array([-c.GetPositions() for c in made.GetConformers()]))


def test_perfect_failing_and_mirroring_generators_are_told_apart(ensembles, tmp_path):
    own = {"perfect": perfect(ensembles), "failing": failing, "mirrored": mirrored}
    settings = ConformerSettings(generators=tuple(own), energies=4)
    results = evaluate_conformers(ensembles, tmp_path / "out", settings, generators=own, progress=False)
    figures = results["ensembles"]["all"]
    assert figures == results["ensembles"]["made"] and {f["molecules"] for f in figures.values()} == {3}
    best = figures["perfect"]
    for side in ("recall", "precision"):
        assert best[f"coverage_{side}_0.5_mean_over_molecules"] == 1
        assert best[f"amr_{side}_median"] == pytest.approx(0, abs=2e-3)
    assert best["lowest_energy_error_median"] == pytest.approx(0, abs=0.05)
    assert best["valid_centres"] == best["valid_bond_graph"] == 1 and best["failures"] == 0
    assert best["amr_recall_mean_median"] > best["amr_recall_median"]
    assert figures["failing"]["failures"] == 1
    # A molecule that fails is a coverage of 0, not one less.
    assert figures["failing"]["coverage_recall_0.75_mean_over_molecules"] <= 2 / 3
    chiral = next(e for e in ensembles if "F" in e.smiles)
    wrong = 2 * len(chiral.positions) / figures["mirrored"]["generated"]
    assert figures["mirrored"]["valid_centres"] == pytest.approx(1 - wrong)
    text = summary_table(results)
    assert "all: 3 molecules" in text and "failures" in text and "mirrored" in text
    assert json.loads((tmp_path / "out/results.json").read_text())["ensembles"] == results["ensembles"]


def test_an_interrupted_evaluation_has_results_and_goes_on(ensembles, tmp_path):
    calls = []

    def interrupted(mol, n, seed):
        calls.append(seed)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return named_generator("etkdg")(mol, n, seed)

    settings = ConformerSettings(generators=("etkdg", "mine"))
    with pytest.raises(KeyboardInterrupt):
        evaluate_conformers(ensembles, tmp_path / "out", settings, generators={"mine": interrupted}, progress=False)
    partial = json.loads((tmp_path / "out/results.json").read_text())
    assert partial["ensembles"]["all"]["mine"]["molecules"] == 2
    # As a process that was killed in the middle of a line leaves it.
    with (tmp_path / "out/records.jsonl").open("a") as file:
        file.write('{"kind": "ensemble", "na')
    results = evaluate_conformers(
        ensembles, tmp_path / "out", settings, generators={"mine": interrupted}, progress=False
    )
    assert len(calls) == 4 and results["ensembles"]["all"]["mine"]["molecules"] == 3
    whole = evaluate_conformers(ensembles, tmp_path / "whole", ConformerSettings(("etkdg",)), progress=False)
    same = ("amr_recall_median", "amr_precision_mean_over_molecules", "worst_median", "generated")
    for name in same:
        assert results["ensembles"]["all"]["etkdg"][name] == whole["ensembles"]["all"]["etkdg"][name]
        # The same generator and seeds under another name.
        assert results["ensembles"]["all"]["mine"][name] == whole["ensembles"]["all"]["etkdg"][name]
    with pytest.raises(SettingsError, match="other settings"):
        evaluate_conformers(ensembles, tmp_path / "out", ConformerSettings(seed=5), progress=False)


def test_generators_are_compared_on_molecules_that_all_have_seen():
    rows = (("a", "x", 0.8), ("a", "y", 1.2), ("b", "x", 5.0), ("c", "x", None), ("c", "y", 1.0))
    same = {"kind": "crystal", "generated": 1, "seconds": 1.0, "cpu_seconds": 0.5}
    records = [{**same, "name": name, "generator": generator, "nearest": near} for name, generator, near in rows]
    found = summarised(records, ("x", "y"))["crystals"]
    assert found["x"]["nearest_median"] == 0.8 and found["x"]["molecules"] == 2 and found["x"]["failures"] == 1
    assert found["x"]["share_below_1.0"] == 0.5 and found["y"]["share_below_1.0"] == 0
    assert found["y"]["share_below_1.5"] == 1 and found["y"]["conformers_a_cpu_second"] == 2


def test_crystal_ligands_are_read_with_the_stereo_marks_of_their_structure(crystal):
    ((name, mol),) = crystal_molecules(crystal)
    assert name == "C[C@H](N)CC(=O)OCC" and Chem.MolToSmiles(Chem.RemoveHs(mol)) == Chem.CanonSmiles(name)
    assert mol.GetNumConformers() == 1 and mol.GetNumAtoms() > mol.GetNumHeavyAtoms()


def test_the_command_prints_a_table_and_refuses_what_it_cannot_measure(ensembles, crystal, tmp_path, capsys):
    ensembles.save(tmp_path / "all.npz")
    command = ["evaluate-conformers", str(tmp_path / "all.npz"), "-o", str(tmp_path / "out"), "--only", "1"]
    assert main([*command, "--crystal", str(crystal), "--samples", "4"]) == 0
    printed = capsys.readouterr().out
    assert "etkdg+mmff" in printed and "crystal ligands: 1" in printed and "below 1.5 A, %" in printed
    assert main([*command, "--generators", "no-such-model"]) == 2
    assert "no-such-model" in capsys.readouterr().err
    assert main(["evaluate-conformers", str(tmp_path / "none.npz"), "-o", str(tmp_path / "x")]) == 2


def test_settings_and_splits_out_of_range_are_refused(ensembles, tmp_path):
    with pytest.raises(SettingsError, match="crystal_samples=0"):
        ConformerSettings(crystal_samples=0)
    with pytest.raises(SettingsError, match="no generator"):
        ConformerSettings(generators=())
    with pytest.raises(DataError, match="validation"):
        evaluate_conformers(ensembles, tmp_path / "x", ConformerSettings(split="validation"), progress=False)
