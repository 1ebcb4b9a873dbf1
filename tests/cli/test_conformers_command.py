"""``openmm-cgvae conformers``: files in, an SDF file out."""

import pytest
from ligandmodels import random_model
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from openmm_cgvae.cli.main import main


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(random_model(tmp_path_factory.mktemp("ligands") / "model.pt"))


def records(path):
    return list(Chem.SDMolSupplier(str(path), removeHs=False))


def test_a_smiles_gives_conformers_with_energies(model, tmp_path, capsys):
    out = tmp_path / "out.sdf"
    assert main(["conformers", "CC(=O)NCCO", "-n", "3", "-o", str(out), "--model", model, "--seed", "1"]) == 0
    made = records(out)
    energies = [float(mol.GetProp("energy_kj_mol")) for mol in made]
    assert len(made) == 3 and energies == sorted(energies)
    assert "seed" in capsys.readouterr().out


def test_a_broken_record_is_named_and_the_others_are_done(model, tmp_path, caplog):
    given, out = tmp_path / "given.smi", tmp_path / "out.sdf"
    given.write_text("CCO ethanol\nC1CC broken\nCC[Pt] metal\nCC(=O)[O-].[Na+] salt\n")
    assert main(["conformers", str(given), "-n", "2", "-o", str(out), "--model", model]) == 1
    assert [mol.GetProp("_Name") for mol in records(out)] == ["ethanol"] * 2 + ["salt"] * 2
    told = caplog.text
    assert "given.smi:2" in told and "given.smi:3" in told and "Pt" in told and "mixture" in told


def test_nothing_is_written_where_no_molecule_can_be_sampled(model, tmp_path, capsys):
    out = tmp_path / "out.sdf"
    assert main(["conformers", "CC(C", "-o", str(out), "--model", model]) == 2
    assert not list(tmp_path.iterdir())
    assert "SMILES" in capsys.readouterr().err


def test_both_forms_of_an_undefined_stereocentre(model, tmp_path):
    out = tmp_path / "out.sdf"
    command = ["conformers", "CC(F)CO", "-n", "1", "-o", str(out), "--model", model, "--stereo", "enumerate"]
    assert main(command) == 0
    made = records(out)
    for mol in made:
        Chem.AssignStereochemistryFrom3D(mol)
    assert {Chem.MolToSmiles(Chem.RemoveHs(mol)) for mol in made} == {"C[C@H](F)CO", "C[C@@H](F)CO"}


def test_an_output_that_exists_is_kept(model, tmp_path, capsys):
    out = tmp_path / "out.sdf"
    out.write_text("mine")
    assert main(["conformers", "CCO", "-o", str(out), "--model", model]) == 2
    assert out.read_text() == "mine"


def test_the_charge_of_a_pdb_file_without_orders_is_given(model, tmp_path):
    mol, given, out = Chem.AddHs(Chem.MolFromSmiles("CC(=O)[O-]")), tmp_path / "a.pdb", tmp_path / "out.sdf"
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=1) == 0
    given.write_text("".join(line[:78] + "\n" for line in Chem.MolToPDBBlock(mol, flavor=2).splitlines()))
    command = ["conformers", str(given), "-n", "1", "-o", str(out), "--model", model]
    assert main(command) == 2
    assert main([*command, "--charge", "-1"]) == 0
    assert [Chem.MolToSmiles(Chem.RemoveHs(made)) for made in records(out)] == ["CC(=O)[O-]"]


def test_energies_of_uff_are_said_and_absurd_ones_left_out(model, tmp_path, caplog):
    given, out = tmp_path / "given.smi", tmp_path / "out.sdf"
    given.write_text("FP(F)(F)(F)F\nc1ccccc1[I](Cl)Cl\nFS(F)(F)(F)(F)F\nCCO\n")
    assert main(["conformers", str(given), "-n", "1", "-o", str(out), "--model", model]) == 0
    assert [mol.HasProp("energy_kj_mol") for mol in records(out)] == [1, 0, 0, 1]
    for said in (
        "FP(F)(F)(F)F: energies are UFF's, not MMFF94s's", "ClI(Cl)c1ccccc1: UFF has no sound energies",
        "FS(F)(F)(F)(F)F: UFF has no sound energies",
    ):  # fmt: skip
        assert caplog.text.count(said) == 1
    assert "CCO" not in caplog.text
