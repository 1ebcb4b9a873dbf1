import json

import pytest
from conftest import DATA

from openmm_cgvae.cli.main import main, parser
from openmm_cgvae.cli.summary import check_json, tell
from openmm_cgvae.core.errors import DataError, OutputError

AA, TOP = str(DATA / "alanine_dipeptide.xtc"), str(DATA / "alanine_dipeptide.pdb")


def call(*arguments):
    options = parser().parse_args(["evaluate", *map(str, arguments)])
    check_json(options)
    return tell(options.run(options), options)


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


def test_a_model_of_any_protein_is_evaluated_on_structures(tmp_path, capsys):
    output = tmp_path / "figures.json"
    arguments = ["evaluate", str(DATA / "5k6d.pdb"), "--model", "protein-ca", "--json", str(output), "--samples", "2"]
    assert main([*arguments, "--representative"]) == 0
    figures = json.loads(output.read_text())
    assert figures["chains"] == ["5k6d_B"]
    assert figures["rows"]["sample"]["residues"] == 78
    assert 0 < figures["rows"]["representative"]["figures"]["rmsd_all"]["value"] < 1.6
    assert "chi1 < 40, %" in capsys.readouterr().out


def test_a_model_of_any_protein_takes_no_trajectory(tmp_path, capsys):
    assert main(["evaluate", "run.dcd", "--model", "protein-ca", "--json", str(tmp_path / "new.json")]) == 2
    assert "PDB or mmCIF files, or packed chains are expected" in capsys.readouterr().err
