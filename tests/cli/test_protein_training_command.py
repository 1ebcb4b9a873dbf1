"""The way from structures to a model that backmaps, by commands alone."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import DATA
from proteintrainings import SMALL, packed

from openmm_cgvae.cli.main import main
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.proteins.chains import PackedChains

CRYSTAL = str(DATA / "5k6d.pdb")
SETTINGS = [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")]
SHORT = [*SETTINGS, "--set", "residues=2e2"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a training on packed chains."""
    place = tmp_path_factory.mktemp("trained")
    packed().save(place / "chains.npz")
    assert main(["train", str(place / "chains.npz"), "-o", str(place / "one"), *SHORT, "--name", "mine"]) == 0
    return place / "one"


@pytest.fixture
def one(trained):
    """A copy of it in the current folder."""
    shutil.copytree(trained, "one")
    return "one/model.pt"


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    packed().save("chains.npz")


def refused(arguments, capsys):
    capsys.readouterr()
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("openmm-cgvae: error: ")
    return error


def test_packed_chains_are_trained_on_exported_and_started_from(one, capsys):
    # Repeated, it finds everything there.
    assert main(["train", "chains.npz", "-o", "one", *SHORT, "--name", "mine"]) == 0
    assert "model file  one/model.pt" in capsys.readouterr().out
    assert main(["info", one]) == 0
    assert "any protein, on C-alpha positions" in capsys.readouterr().out
    assert main(["export", "one", "-o", "again.pt"]) == 0
    assert ModelFile.load("again.pt").metadata["data"] == ModelFile.load("one/model.pt").metadata["data"]
    assert main(["train", "chains.npz", "-o", "two", "--start", "one/model.pt", "--minutes", "0"]) == 0
    known = ModelFile.load("two/model.pt").metadata
    assert known["data"]["start"]["model"] == "one/model.pt"
    assert (known["model"]["width"], known["training"]["learning_rate"]) == (SMALL["width"], 3e-4)


@pytest.mark.slow
def test_folder_of_structures_is_prepared_and_trained_on_and_refused_with_other_files(one, capsys):
    Path("pdbs").mkdir()
    for name in ("5k6d.pdb", "3i40_aa.pdb"):
        Path("pdbs", name).write_bytes((DATA / name).read_bytes())
    assert main(["prepare", "pdbs", "-o", "mine.npz"]) == 0
    assert len(PackedChains.load("mine.npz")) == 2
    # Insulin alone lacks amino acids; with the tables of a model it can be learned from.
    arguments = ["train", "pdbs", "-o", "two", "--start", one, "--set", "residues=100"]
    assert main(arguments) == 0
    assert Path("two/chains.npz").exists()
    # Repeated, it takes what is kept.
    assert main(arguments) == 0
    Path("pdbs", "more.pdb").write_bytes(Path(CRYSTAL).read_bytes())
    assert "was made of other trajectories" in refused(arguments, capsys)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--set", "widht=3"], "did you mean 'width'"),
        (["--set", "width=0"], "width=0 given"),
        (["--mapping", "alpha-carbon"], "one of ca, com, martini is expected"),
        (["--preset", "peptide"], "--preset given, which models of any protein do not have"),
        (["--epochs", "3"], "--epochs given"),
        (["--device", "cuda"], "--device given"),
        (["--start", "chignolin-6"], "one of any protein is expected"),
        (["--start", "none.pt"], "neither a file nor a bundled model"),
    ],
)
def test_mistakes_get_one_line_and_leave_nothing(arguments, match, capsys):
    assert match in refused(["train", "chains.npz", "-o", "new", *arguments], capsys)
    assert not Path("new").exists()


def test_a_model_of_another_mapping_lends_what_does_not_depend_on_it(one):
    arguments = ["train", "chains.npz", "-o", "two", "--start", one, "--mapping", "com"]
    assert main([*arguments, "--set", "residues=1", "--set", "learning_rate=1e-12"]) == 0
    one, two = (ModelFile.load(Path(folder) / "model.pt") for folder in ("one", "two"))
    assert two.metadata["mapping"] == "com"
    name = "sampler.network.layers.0.edge.weight"
    torch.testing.assert_close(two.state[name], one.state[name], rtol=0, atol=1e-6)


def test_trajectories_of_a_protein_need_a_topology(capsys):
    assert "--top is missing" in refused(["train", "a.dcd", "-o", "new", "--mapping", "ca"], capsys)


# Asks itself to end within the third update.
INTERRUPTED = """
import os, signal, sys
from openmm_cgvae.cli.main import main
from openmm_cgvae.training.proteins import ProteinTrainer

step = ProteinTrainer._step

def asked(trainer):
    if trainer.update == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return step(trainer)

ProteinTrainer._step = asked
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_interrupted_command_saves_and_can_be_repeated(tmp_path):
    settings = [*SETTINGS, "--set", "residues=1e9"]
    command = [sys.executable, "-c", INTERRUPTED, "train", "chains.npz", "-o", "run", *settings]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 143, run.stderr
    assert run.stderr.strip().endswith("openmm-cgvae: interrupted")
    assert Path("run/checkpoint.pt").exists() and not Path("run/model.pt").exists()
    assert main(["train", "chains.npz", "-o", "run", *settings, "--minutes", "0"]) == 0
    assert ModelFile.load("run/model.pt").metadata["training"]["updates"] > 0
