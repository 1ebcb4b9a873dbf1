"""The example runs from nothing, and goes on where it was."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "alanine_dipeptide" / "run.py"


def run(folder, *arguments):
    done = subprocess.run([sys.executable, SCRIPT, folder, "--quick", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_the_quick_example_makes_data_a_model_and_minimised_frames(tmp_path):
    out = run(tmp_path / "work")
    assert "valid bond graphs" in out
    summary = json.loads((tmp_path / "work" / "run-3" / "summary.json").read_text())
    assert summary["frames"] == 300
    assert summary["sampled"]["cg_consistency_max_nm"] < 1e-5
    assert summary["minimized"]["cg_consistency_max_nm"] < 0.01
    # Even a poor model's structures relax into the right molecule.
    assert summary["minimized"]["chirality_ratio"] > 0.9
    assert summary["median_energy_kj_mol"]["minimized"] < summary["median_energy_kj_mol"]["sampled"]
    check_comparison(tmp_path / "work" / "forcefields-3", out)
    folders = [tmp_path / "work" / name for name in ("reference", "forcefields-3")]
    made = {path: path.stat().st_mtime_ns for folder in folders for path in folder.iterdir()}
    assert sum(path.match("reference/run-*.dcd") for path in made) == 6
    (tmp_path / "work" / "run-3" / "summary.json").unlink()
    assert run(tmp_path / "work").splitlines()[-4:] == out.splitlines()[-4:]
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
def test_the_example_runs_with_five_beads_on_given_md(tmp_path):
    run(tmp_path / "work")
    files = [str(path) for path in sorted((tmp_path / "work" / "reference").glob("run-*.dcd"))]
    out = run(tmp_path / "five", "--beads", "5", "--reference", *files)
    assert "alanine-dipeptide-5" in out
