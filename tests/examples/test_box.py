"""The box example runs, and ends without clashes."""

import json
import subprocess
import sys
from pathlib import Path

import mdtraj
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "box" / "run.py"


@pytest.mark.slow
def test_the_quick_box_is_backmapped_and_minimised(tmp_path):
    done = subprocess.run([sys.executable, SCRIPT, tmp_path / "work", "--quick"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    summary = json.loads((tmp_path / "work" / "summary.json").read_text())
    assert summary["atoms"] == 8 * 22
    assert summary["clashes_minimized"] == [0, 0]
    assert summary["left_unminimized"] == []
    assert summary["beads_moved_at_most_nm"] < 0.01
    for name, particles in (("cg", 8 * 3), ("aa", 8 * 22), ("minimized", 8 * 22)):
        path = tmp_path / "work" / name
        frames = mdtraj.load(f"{path}.dcd", top=f"{path}.pdb")
        assert (frames.n_frames, frames.n_atoms) == (2, particles)
        assert frames.unitcell_lengths[0] == pytest.approx([2.0] * 3, abs=1e-4)
