import json

import pytest
from conftest import DATA

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.cli.main import main, parser
from openmm_cgvae.cli.summary import check_json, tell
from openmm_cgvae.core.errors import DataError, OutputError, SettingsError
from openmm_cgvae.io import journal
from openmm_cgvae.io.journal import Journal

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


def test_a_model_of_any_protein_takes_no_trajectory_alone(tmp_path, capsys):
    (tmp_path / "run.dcd").touch()
    paths = str(tmp_path / "run.dcd"), str(tmp_path / "new.json")
    assert main(["evaluate", paths[0], "--model", "protein-ca", "--json", paths[1]]) == 2
    assert "PDB or mmCIF files, or packed chains are expected, or MD with" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------- going on


class StopError(BaseException):
    """Ends a run as a kill does, but for what is done on the way out."""


def stopped_after(monkeypatch, count):
    """Let the journal keep so many parts, and no more."""
    keep = Journal.keep

    def kept(journal, *made):
        if journal.n_done == count:
            raise StopError
        keep(journal, *made)

    monkeypatch.setattr(Journal, "keep", kept)


def without_timings(path):
    figures = json.loads(path.read_text())
    figures.pop("frames_per_second", None)
    for row in figures.get("rows", {}).values():
        del row["figures"]["residues_per_second"]
    return json.dumps(figures)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_an_evaluation_goes_on_where_it_was_and_ends_with_the_same_figures(count, usual, tmp_path, monkeypatch):
    how = [*usual[:-1], "--overwrite"]
    if not (tmp_path.parent / "whole.json").exists():
        call(*how)
        (tmp_path / "out.json").rename(tmp_path.parent / "whole.json")
    with monkeypatch.context() as patch, pytest.raises(StopError):
        stopped_after(patch, count)
        call(*how)
    assert [path.name for path in tmp_path.glob("out.json*")] == ["out.json.unfinished"]
    with pytest.raises(SettingsError, match="seed=4 given to go on with a run of seed=0"):
        call(*usual[:-1], "--resume", "--seed", "4")
    with pytest.raises(OutputError, match=r"go on with it by resume \(--resume\), or begin anew"):
        call(*usual[:-1])
    sampled, sample = [], Backmapper.sample
    monkeypatch.setattr(Backmapper, "sample", lambda *given, **more: sampled.append(1) or sample(*given, **more))
    call(*usual[:-1], "--resume")
    # Samples, and those without bounds, are the first two parts.
    assert len(sampled) == max(0, 2 - count)
    assert without_timings(tmp_path / "out.json") == without_timings(tmp_path.parent / "whole.json")
    assert not list(tmp_path.glob("*.unfinished"))


def test_an_evaluation_of_proteins_goes_on_chain_by_chain(tmp_path, monkeypatch):
    arguments = [DATA / "5k6d.pdb", DATA / "5k6d.pdb", "--model", "protein-ca", "--samples", "2", "--representative"]
    call(*arguments, "--json", tmp_path / "whole.json")
    with monkeypatch.context() as patch, pytest.raises(StopError):
        # Both chains of samples, and one of the others.
        stopped_after(patch, 3)
        call(*arguments, "--json", tmp_path / "out.json")
    built, bind = [], Model.bind
    monkeypatch.setattr(Model, "bind", lambda model, *given, **more: built.append(1) or bind(model, *given, **more))
    call(*arguments, "--json", tmp_path / "out.json", "--resume")
    assert len(built) == 1
    assert without_timings(tmp_path / "out.json") == without_timings(tmp_path / "whole.json")


def test_an_evaluation_that_was_killed_when_all_was_there_may_be_resumed(usual, tmp_path, monkeypatch):
    report = [*usual, "--report", tmp_path / "out.html"]
    with monkeypatch.context() as patch:
        patch.setattr(journal.shutil, "rmtree", lambda *given, **more: None)
        call(*report)
    assert (tmp_path / "out.json.unfinished").is_dir()
    call(*report, "--resume")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.html", "out.json"]
    (tmp_path / "out.json").write_text("mine")
    with pytest.raises(OutputError, match=r"out\.json exists"):
        call(*report, "--resume")
