"""The example runs from nothing, and goes on where it was."""

import json
import subprocess
import sys
from pathlib import Path

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
    assert summary["frames"] == 1000
    assert summary["sampled"]["cg_consistency_max_nm"] < 1e-5
    assert summary["minimized"]["cg_consistency_max_nm"] < 0.01
    # Even a poor model's structures relax into the right molecule.
    assert summary["minimized"]["chirality_ratio"] > 0.9
    assert summary["median_energy_kj_mol"]["minimized"] < summary["median_energy_kj_mol"]["sampled"]
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "work" / "reference").glob("run-*.dcd")}
    assert len(made) == 6
    (tmp_path / "work" / "run-3" / "summary.json").unlink()
    for path in (tmp_path / "work" / "run-3").iterdir():
        path.unlink()
    run(tmp_path / "work")
    assert {path: path.stat().st_mtime_ns for path in made} == made


@pytest.mark.slow
def test_the_example_runs_with_five_beads_on_given_md(tmp_path):
    run(tmp_path / "work")
    files = [str(path) for path in sorted((tmp_path / "work" / "reference").glob("run-*.dcd"))]
    out = run(tmp_path / "five", "--beads", "5", "--reference", *files)
    assert "alanine-dipeptide-5" in out
