"""The example runs from nothing, and goes on where it was."""

import json

import numpy as np
import pytest
from conftest import run_example


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Folder of the quick example, and what it printed."""
    folder = tmp_path_factory.mktemp("quick") / "work"
    return folder, run_example("alanine_dipeptide", folder, "--quick")


@pytest.mark.slow
def test_the_quick_example_makes_data_a_model_and_minimised_frames(quick):
    work, out = quick
    assert "valid bond graphs" in out
    summary = json.loads((work / "run-3" / "summary.json").read_text())
    assert summary["frames"] == 100
    assert summary["sampled"]["cg_consistency_max_nm"] < 1e-5
    assert summary["minimized"]["cg_consistency_max_nm"] < 0.01
    # Even a poor model's structures relax into the right molecule.
    assert summary["minimized"]["chirality_ratio"] > 0.9
    assert summary["median_energy_kj_mol"]["minimized"] < summary["median_energy_kj_mol"]["sampled"]
    check_comparison(work / "forcefields-3", out)


@pytest.mark.slow
def test_what_is_there_is_not_made_again(quick):
    work, out = quick
    made = {
        path: path.stat().st_mtime_ns for name in ("reference", "forcefields-3") for path in (work / name).iterdir()
    }
    assert sum(path.match("reference/run-*.dcd") for path in made) == 6
    (work / "run-3" / "summary.json").unlink()
    assert run_example("alanine_dipeptide", work, "--quick").splitlines()[-4:] == out.splitlines()[-4:]
    assert (work / "run-3" / "summary.json").exists()
    assert {path: path.stat().st_mtime_ns for path in made} == made


def check_comparison(folder, out):
    """Every force field has its row, and divergences are some."""
    rows = [line.split()[0] for line in out.splitlines()[-4:]]
    assert rows == ["MD's", "direct", "iterated", "learned"]
    found = json.loads((folder / "comparison.json").read_text())["force_fields"]
    for name in ("direct", "iterated", "learned"):
        assert found[name]["time_step_ps"] > 0
        for kind in ("bead_distances", "backbone", "rotatable_hydrogen"):
            assert 0 < found[name][kind]["divergence"] <= np.log(2)
            assert 0 < found[name][kind]["floor"] <= np.log(2)
    assert found["learned"]["force_error"]["test"]["runs"] == 1


@pytest.mark.slow
def test_the_example_runs_with_five_beads_on_given_md(quick, tmp_path):
    files = sorted((quick[0] / "reference").glob("run-*.dcd"))
    out = run_example(
        "alanine_dipeptide", tmp_path / "five", "--quick", "--beads", 5, "--epochs", 2, "--reference", *files
    )
    assert "alanine-dipeptide-5" in out
    assert not (tmp_path / "five" / "reference").exists()
    assert (tmp_path / "five" / "forcefields-5" / "comparison.json").exists()
