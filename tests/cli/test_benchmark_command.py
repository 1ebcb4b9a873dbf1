"""``openmm-cgvae benchmark`` and ``train --baseline`` as users call them."""

import json

import pytest
from conftest import DATA

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.cli import benchmark as command
from openmm_cgvae.cli.main import main

REFERENCE = [str(DATA / "alanine_dipeptide.xtc"), "--top", str(DATA / "alanine_dipeptide.pdb"), "--run-frames", "25"]
QUICK = ["--models", "linear", "--splits", "runs", "--folds", "2", "--epochs", "1", "--samples", "1",
         "--test-frames", "10", "-o", "out"]  # fmt: skip


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_benchmark_writes_json_and_table_with_the_command(tmp_path, five_beads):
    five_beads.save("by-hand.json")
    assert main(["benchmark", *REFERENCE, "--mapping", "community:3", "by-hand.json", *QUICK]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(row["mapping"], row["n_beads"]) for row in results["results"]] == [("community-3", 3), ("by-hand", 5)]
    text = (tmp_path / "out" / "results.md").read_text()
    assert f"openmm-cgvae benchmark {REFERENCE[0]}" in text
    assert "## by-hand: 5 beads" in text and "paper, Table 5" in text


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("martini:3", "METHOD or METHOD:N"),
        ("missing.json", "METHOD or METHOD:N"),
        ("community", "number of beads is missing, as in community:5"),
        ("community:40", "40 beads asked for"),
    ],
)
def test_a_mapping_that_cannot_be_is_one_line(mapping, message, capsys):
    assert main(["benchmark", *REFERENCE, "--mapping", mapping, *QUICK]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_choices_shown_are_those_of_the_library():
    from openmm_cgvae.evaluation import benchmark

    assert (command.MODELS, command.SPLITS) == (benchmark.MODELS, benchmark.SPLITS)


def test_train_baseline_writes_a_model_that_backmaps(tmp_path, reference):
    assert main(["train", *REFERENCE, "--baseline", "linear", "--epochs", "1", "-o", "linear"]) == 0
    backmapper = Backmapper.load(tmp_path / "linear" / "model.pt")
    assert backmapper.metadata["baseline"]["kind"] == "linear"
    assert backmapper.sample(backmapper.mapping.project(reference[0][:2]), seed=0).shape == (2, 1, 22, 3)
    assert main(["info", "linear/model.pt"]) == 0


def test_train_refuses_an_unknown_baseline_or_setting(capsys, tmp_path):
    for arguments in (["--baseline", "cubic"], ["--baseline", "mlp", "--set", "gama=3"]):
        assert main(["train", *REFERENCE, *arguments, "-o", "out"]) == 2
        assert not (tmp_path / "out").exists()
    assert "did you mean 'gamma'" in capsys.readouterr().err
