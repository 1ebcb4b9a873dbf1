"""A saved CG trajectory to an all-atom DCD file: frames/s beside sampling alone, and memory as frames become many."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from timing import alternating, peak_memory_mb

from openmm_cgvae.backmapper import Backmapper
from openmm_cgvae.demo import reference_frames
from openmm_cgvae.trajectory import backmap_trajectory
from openmm_cgvae.trajectory_files import TrajectoryWriter

MODEL = "alanine-dipeptide-3"
PART = 1000


def measure(frames=10_000, many=(20_000, 200_000)):
    """Frames/s of sampling, and of reading, sampling and writing; peak memory of processes that do `many` frames."""
    backmapper = Backmapper.load(MODEL)
    beads = _beads(backmapper, frames)
    with tempfile.TemporaryDirectory() as folder:
        cg, aa = Path(folder) / "cg.dcd", Path(folder) / "aa.dcd"
        _write(backmapper, beads, cg, 1)
        times = alternating({
            "sampling": lambda: backmapper.sample(beads, seed=1),
            "file to file": lambda: backmap_trajectory(cg, backmapper, aa, seed=1, overwrite=True, progress=False),
        }, rounds=3)  # fmt: skip
    memory = [_in_process(n) for n in many]
    return {f"frames/s, {name}": frames / t for name, t in times.items()} | {
        f"peak MB, {many[0]} and {many[1]} frames": memory,
        "peak memory ratio": memory[1] / memory[0],
    }


def _beads(backmapper, frames):
    beads = backmapper.mapping.project(reference_frames(MODEL))
    return np.resize(beads, (frames, *beads.shape[1:])).astype(np.float32)


def _write(backmapper, beads, path, repeats):
    with TrajectoryWriter(path, backmapper.cg_topology()) as writer:
        for i in range(repeats):
            writer.write(beads, np.arange(i * len(beads), (i + 1) * len(beads), dtype=float))


def _in_process(frames):
    command = [sys.executable, __file__, str(frames)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    frames = int(sys.argv[1])
    backmapper = Backmapper.load(MODEL)
    with tempfile.TemporaryDirectory() as folder:
        cg = Path(folder) / "cg.dcd"
        _write(backmapper, _beads(backmapper, PART), cg, frames // PART)
        backmap_trajectory(cg, backmapper, Path(folder) / "aa.dcd", seed=1, progress=False)
    print(peak_memory_mb())


if __name__ == "__main__":
    main()
