"""Time and size of the report of many frames: alanine dipeptide, chignolin, a protein of 78 residues.

    python benchmarks/reports.py WORK [--frames 5000] [--protein protein-run/aa.dcd protein-run/aa.pdb]

Structures are those of a short run, or of the tutorial's protein, repeated with noise of 0.01 A, so that making them
takes no time. Printed are wall and CPU seconds of the command, the start of Python included, and the size of the page.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mdtraj
import numpy as np

MODELS, PROTEIN = ("alanine-dipeptide-3", "chignolin-10"), "protein-ca"
MADE = 20


def command(*words):
    """Run openmm-cgvae; wall and CPU seconds."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "openmm_cgvae", *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime"))
    return time.perf_counter() - begun, cpu


def made(work, model):
    """Paths of the structures of a short run, and of their topology."""
    command("simulate", "--model", model, "--steps", 50 * MADE, "--report-interval", 50, "-o", work / "run.dcd")
    return work / "run.dcd", work / "run.pdb"


def repeated(paths, path, n_frames):
    """Write `n_frames` frames with the frames of a trajectory, each another noise."""
    frames = mdtraj.load(str(paths[0]), top=str(paths[1]))
    rows = np.arange(n_frames) % frames.n_frames
    noise = np.random.default_rng(0).normal(0.0, 0.001, (n_frames, frames.n_atoms, 3))
    mdtraj.Trajectory(frames.xyz[rows] + noise.astype(np.float32), frames.topology).save_dcd(str(path))


def main():
    """Measure every case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="created if missing")
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--protein", type=Path, nargs=2, metavar=("AA.dcd", "AA.pdb"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    print("| model | wall s | CPU s | MB |\n|---|---|---|---|")
    for model in MODELS if options.protein is None else (*MODELS, PROTEIN):
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            work = Path(folder)
            paths = options.protein if model == PROTEIN else made(work, model)
            repeated(paths, work / "frames.dcd", options.frames)
            page = work / "report.html"
            wall, cpu = command("report", work / "frames.dcd", "--top", paths[1], "--model", model, "-o", page)
            print(f"| {model} | {wall:.1f} | {cpu:.1f} | {page.stat().st_size / 1e6:.1f} |", flush=True)


if __name__ == "__main__":
    main()
