"""CoarsenConf learns, goes on after a kill as if there was none, and its model file samples without this package."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.cli.main import main
from openmm_cgvae.core.errors import SettingsError, TopologyMismatchError, TrainingError
from openmm_cgvae.ensembles.coarseconfig import CoarsenConfTraining
from openmm_cgvae.ensembles.coarseexport import export_coarsenconf
from openmm_cgvae.ensembles.coarseloss import latent_divergence
from openmm_cgvae.ensembles.coarsetraining import CoarsenConfTrainer, load_trained_coarsenconf
from openmm_cgvae.ensembles.generate import ConformerModel
from openmm_cgvae.ensembles.packed import Ensemble, PackedEnsembles

SMILES = ["CCO", "CC(O)CN", "c1ccccc1CCO", "C[C@H](N)C(=O)NCC", "OC/C=C/CO", "CCCCC"]
SMALL = CoarsenConfTraining(features=8, channels=4, latent=2, encoder_layers=1, decoder_layers=1, conformers=40,
                            batch_atoms=40)  # fmt: skip


@pytest.fixture(scope="module")
def ensembles():
    found = []
    for number, smiles in enumerate(SMILES):
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        rdDistGeom.EmbedMultipleConfs(mol, 5, randomSeed=3)
        x = np.array([c.GetPositions() for c in mol.GetConformers()], dtype=np.float32)
        elements = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=np.uint8)
        split = "validation" if number == 1 else "train"
        share = np.full(2, 0.5, dtype=np.float32)
        found.append(Ensemble(smiles, split, "test", "mmff94s", elements, x[:2], np.zeros(2), share, x[2:]))
    return PackedEnsembles.packed(found)


@pytest.fixture(scope="module")
def trained(ensembles, tmp_path_factory):
    folder = tmp_path_factory.mktemp("coarsenconf") / "run"
    CoarsenConfTrainer(ensembles, folder, SMALL).run(progress=False)
    return folder


@pytest.fixture(scope="module")
def model_path(trained):
    path = trained / "model.pt"
    export_coarsenconf(trained, path)
    return path


def test_the_divergence_of_gaussian_vectors_by_hand():
    # One channel: |m|^2 = 3, variances e of q and 1 of p: KL = (3 + 3 (e - 1 - 1)) / 2.
    mean, none = torch.ones(1, 3, 1), torch.zeros(1, 3, 1)
    value = latent_divergence(mean, torch.ones(1, 1), none, torch.zeros(1, 1))
    assert float(value) == pytest.approx(0.5 * (3 + 3 * (np.e - 2)), rel=1e-6)
    assert float(latent_divergence(mean, torch.ones(1, 1), mean, torch.ones(1, 1))) == 0.0


def test_a_run_that_stops_and_goes_on_gives_the_same_weights(ensembles, trained, tmp_path):
    trainer = CoarsenConfTrainer(ensembles, tmp_path / "run", SMALL)
    for _ in range(2):
        trainer._losses.append(trainer._step())
    trainer._save()
    CoarsenConfTrainer(ensembles, tmp_path / "run", SMALL).run(progress=False)
    whole, again = (load_trained_coarsenconf(folder) for folder in (trained, tmp_path / "run"))
    assert again[2]["update"] == whole[2]["update"] > 2
    assert all(
        torch.equal(a, b) for a, b in zip(whole[0].state_dict().values(), again[0].state_dict().values(), strict=True)
    )
    assert (tmp_path / "run" / "training.csv").read_text().count("\n") == 2


def test_other_settings_data_and_damage_are_refused(ensembles, trained, tmp_path):
    with pytest.raises(SettingsError, match="other settings"):
        CoarsenConfTrainer(ensembles, trained, CoarsenConfTraining(features=9))
    with pytest.raises(TrainingError, match="validation split"):
        CoarsenConfTrainer(ensembles.subset("train"), tmp_path / "a", SMALL)
    with pytest.raises(SettingsError, match="kl_weight=-1"):
        CoarsenConfTraining(kl_weight=-1)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match=r"checkpoint\.pt is not a checkpoint to use.*remove it"):
        CoarsenConfTrainer(ensembles, tmp_path / "b", SMALL)
    with pytest.raises(TrainingError, match="does not exist"):
        load_trained_coarsenconf(tmp_path)


def test_the_model_rebuilt_by_the_packages_classes_samples_the_same(model_path):
    mol = Chem.AddHs(Chem.MolFromSmiles("OCCNC(C)=O"))
    scripted = ConformerModel.load(model_path)
    rebuilt = ConformerModel.load(model_path)
    model = Model.load(model_path, rebuild=True)
    rebuilt._module = model.file.module
    assert model.of_any_molecule and "small molecule" in model.serves
    assert np.abs(scripted.sampled(mol, 3, 5) - rebuilt.sampled(mol, 3, 5)).max() < 1e-4
    with pytest.raises(TopologyMismatchError, match="takes no beads"):
        model.bind(None)


@pytest.mark.parametrize("smiles", ["c1ccccc1", "CCO", "C[C@H](O)/C=C/c1ccccc1", "C"])
def test_conformers_are_reproducible_and_keep_the_molecule(model_path, smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    model = ConformerModel.load(model_path)
    made, again, other = (model.conformers(mol, 4, seed) for seed in (1, 1, 2))
    x, y, z = (np.array([c.GetPositions() for c in m.GetConformers()]) for m in (made, again, other))
    assert x.shape == (4, mol.GetNumAtoms(), 3)
    assert np.array_equal(x, y) and not np.array_equal(x, z)
    for conformer in made.GetConformers():
        built = Chem.Mol(made, confId=conformer.GetId())
        Chem.AssignStereochemistryFrom3D(built)
        assert Chem.MolToSmiles(Chem.RemoveHs(built)) == Chem.CanonSmiles(smiles)


@pytest.mark.slow
def test_the_command_trains_exports_and_samples(ensembles, tmp_path, capsys):
    data, folder = tmp_path / "ensembles.npz", tmp_path / "run"
    ensembles.save(data)
    changes = ["network=coarsenconf", "features=8", "channels=4", "latent=2", "conformers=20", "batch_atoms=40"]
    arguments = [part for change in changes for part in ("--set", change)]
    assert main(["train", str(data), "-o", str(folder), *arguments]) == 0
    assert (folder / "model.pt").exists()
    assert main(["export", str(folder), "-o", str(tmp_path / "again.pt")]) == 0
    out = tmp_path / "out.sdf"
    assert main(["conformers", "OCCO", "-n", "3", "--model", str(folder / "model.pt"), "-o", str(out)]) == 0
    assert len(list(Chem.SDMolSupplier(str(out)))) == 3
    assert main(["train", str(data), "-o", str(folder), "--set", "network=none"]) == 2
    assert "torsions, coarsenconf" in capsys.readouterr().err


@pytest.mark.slow
def test_the_model_file_runs_where_this_package_is_not(model_path):
    code = f"import sys, torch\nsys.modules['openmm_cgvae'] = None\nprint(torch.jit.load({str(model_path)!r}).latent)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == "2", done.stderr
