"""Frames a second of `backmap_trajectory`, file to file, by this tree and by an earlier commit, in turn.

``python benchmarks/against.py COMMIT 100000`` runs ``benchmarks/million.py`` of both, each with its own package, on one
thread, by CPU time; the best of several rounds counts.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 4


def measure(commit, frames=100_000, rounds=ROUNDS):
    """Frames/s of both, and how many times the earlier commit's this tree's are."""
    with tempfile.TemporaryDirectory() as folder:
        earlier = Path(folder) / "earlier"
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", earlier, commit], check=True)
        try:
            rates = {ROOT: [], earlier: []}
            for _ in range(rounds):
                for tree, found in rates.items():
                    found.append(_frames_a_second(tree, frames))
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", earlier], check=True)
    now, before = (max(found) for found in rates.values())
    return {"frames/s": now, f"frames/s, {commit}": before, "ratio": now / before}


def _frames_a_second(tree, frames):
    command = [sys.executable, tree / "benchmarks" / "million.py", str(frames)]
    paths = {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | paths, cwd=tree)
    return json.loads(found.stdout)["frames/s"]


if __name__ == "__main__":
    print(measure(sys.argv[1], *map(int, sys.argv[2:])))
