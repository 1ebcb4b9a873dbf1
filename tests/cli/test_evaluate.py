import argparse
import json

import pytest
from conftest import DATA

from openmm_cgvae.cli import evaluate
from openmm_cgvae.core.errors import DataError, OutputError

AA, TOP = str(DATA / "alanine_dipeptide.xtc"), str(DATA / "alanine_dipeptide.pdb")


def call(*arguments):
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    evaluate.run(parser.parse_args([str(a) for a in arguments]))


@pytest.fixture
def usual(model_path, tmp_path):
    return [AA, "--top", TOP, "--model", model_path, "--json", tmp_path / "out.json", "--run-frames", "25",
            "--samples", "2", "--stride", "2", "--no-minimize"]  # fmt: skip


def test_writes_all_figures_and_prints_a_table(usual, tmp_path, capsys):
    call(*usual, "--seed", "5")
    figures = json.loads((tmp_path / "out.json").read_text())
    assert (figures["frames"], figures["runs"], figures["samples"], figures["seed"]) == (100, 8, 2, 5)
    assert figures["reference"] == [AA]
    out = capsys.readouterr().out
    assert f"{figures['ramachandran_js']:.4g} (floor {figures['ramachandran_js_floor']:.4g})" in out
    assert f"{figures['valid_ratio_all']:.4g} (MD 1)" in out
    assert "torsions" not in out and max(map(len, out.splitlines())) < 120


def test_replaces_nothing_unasked(usual, tmp_path):
    (tmp_path / "out.json").write_text("mine")
    with pytest.raises(OutputError, match="overwrite"):
        call(*usual)
    assert (tmp_path / "out.json").read_text() == "mine"
    call(*usual, "--overwrite")
    assert "frames" in json.loads((tmp_path / "out.json").read_text())


def test_a_missing_reference_is_named_and_leaves_no_output(usual, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.dcd"):
        call("nowhere.dcd", *usual[1:])
    assert not (tmp_path / "out.json").exists()
