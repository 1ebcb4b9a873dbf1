"""A learned CG force field on the command line, from reference MD to a run with it."""

import pytest
from conftest import DATA

from openmm_cgvae.cg.learned import LearnedPotential
from openmm_cgvae.cg.potential import CGPotential
from openmm_cgvae.cli.learn_forcefield import _learned
from openmm_cgvae.cli.main import main

REFERENCE = [str(DATA / "alanine_dipeptide.xtc"), "--top", str(DATA / "alanine_dipeptide.pdb"), "--run-frames", "25"]
SHORT = ["--epochs", "1", "--features", "8", "--layers", "1"]


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_a_potential_is_learned_and_run(model_path, dataset, capsys):
    CGPotential.from_dict(dataset.description["potential"]).save("tables.json")
    made = ["learn-forcefield", *REFERENCE, *SHORT, "-o", "learned.pt", "--potential", "tables.json"]
    assert main([*made, "--checkpoint", "check.pt"]) == 0
    out = capsys.readouterr().out
    assert "with the learned term" in out and "noise, at most" in out
    assert LearnedPotential.load("learned.pt").tables.energy(dataset.positions[:1, :3]) is not None
    run = ["--model", str(model_path), "--steps", "100", "--report-interval", "50", "-o", "aa.dcd", "--seed", "1"]
    assert main(["simulate", *run, "--potential", "learned.pt", "--checkpoint", "run.chk"]) == 0
    assert main(["simulate", *run, "--potential", "tables.json", "--checkpoint", "run.chk", "--resume"]) == 2
    assert "potential=" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("learned", "words"),
    [
        (187036.4, "187036, less by 16150.9 +- 2658.1"),
        (203200.0, "203200, more by 12.66 +- 2658.1"),
        (203187.34, "the same: no epoch"),
    ],
)
def test_what_was_gained_is_said_as_it_is(learned, words):
    assert _learned({"tabulated": 203187.34, "learned": learned, "standard_error": 2658.1}).startswith(words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "no/such/learned.pt"], "does not exist"),
        (["-o", "l.pt", "--epochs", "0"], "epochs=0"),
        (["-o", "l.pt", "--potential", "missing.json"], "missing.json does not exist"),
        (["-o", "l.pt", "--forcefield", "tip3p.xml"], "has no parameters"),
    ],
)
def test_mistakes_get_one_line(arguments, words, capsys, tmp_path):
    assert main(["learn-forcefield", *REFERENCE, *arguments]) == 2
    error = capsys.readouterr().err.splitlines()
    assert words in error[-1]
    assert not list(tmp_path.iterdir())
