"""A CG force field from reference MD on the command line, alone or in a model file, and run."""

import pytest
from conftest import DATA

from openmm_cgvae.cg.potential import CGPotential
from openmm_cgvae.cli.main import main
from openmm_cgvae.io.modelfile import ModelFile

REFERENCE = [str(DATA / "alanine_dipeptide.xtc"), "--top", str(DATA / "alanine_dipeptide.pdb"), "--run-frames", "25"]
SHORT = ["--iterations", "2", "--replicas", "2", "--steps", "200"]


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_potential_is_made_and_run(model_path, capsys):
    assert main(["cg-forcefield", *REFERENCE, *SHORT, "-o", "potential.json", "--checkpoint", "state.npz"]) == 0
    out = capsys.readouterr().out
    assert "divergence, initial" in out and "floor" in out
    assert CGPotential.load("potential.json").n_beads == 3
    run = ["--model", str(model_path), "--steps", "100", "--report-interval", "50", "-o", "aa.dcd"]
    assert main(["simulate", *run, "--potential", "potential.json", "--checkpoint", "run.chk"]) == 0
    run[3] = "200"
    assert main(["simulate", *run, "--potential", "potential.json", "--checkpoint", "run.chk", "--resume"]) == 0
    assert "frames   2 of 1" in capsys.readouterr().out.split("steps/s")[-2]


def test_a_model_file_gets_the_potential(model_path):
    assert main(["cg-forcefield", *REFERENCE, "--iterations", "0", "--model", str(model_path), "-o", "new.pt"]) == 0
    new, old = ModelFile.load("new.pt"), ModelFile.load(model_path)
    assert CGPotential.from_dict(new.potential).n_beads == 3
    assert (new.mapping, new.metadata) == (old.mapping, old.metadata)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "potential.txt"], "ending in .json"),
        (["-o", "no/such/potential.json"], "does not exist"),
        (["-o", "p.json", "--rate", "2"], "rate above 0"),
        (["-o", "new.pt", "--model", "alanine-dipeptide-5"], "other beads"),
    ],
)
def test_mistakes_get_one_line(arguments, words, capsys, tmp_path):
    assert main(["cg-forcefield", *REFERENCE, *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_potential_file_that_is_none_gets_one_line(model_path, capsys):
    run = ["simulate", "--model", str(model_path), "--steps", "100", "--report-interval", "50", "-o", "aa.dcd"]
    assert main([*run, "--potential", "missing.json"]) == 2
    assert "missing.json does not exist" in capsys.readouterr().err
