"""A minimised trajectory of chignolin on one and on two workers of a cluster on this machine: how much faster are two?

python benchmarks/cluster.py 500: so many frames. The two take turns, the best of each counts; on two free cores.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.backmapping.trajectory import backmap_trajectory
from openmm_cgvae.io.cluster import cluster_client
from openmm_cgvae.io.trajectory_files import TrajectoryWriter
from openmm_cgvae.pretrained.bundle import reference_frames

MODEL = "chignolin-10"
ROUNDS = 3


def measure(frames=500, rounds=ROUNDS):
    """Frames a second of each number of workers, and their ratio; that the bytes are the same."""
    backmapper = Backmapper.load(MODEL)
    minimizer = Minimizer(backmapper.mapping, workers=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        beads = backmapper.mapping.project(reference_frames(MODEL))
        with TrajectoryWriter(folder / "cg.dcd", backmapper.cg_topology()) as writer:
            writer.write(np.resize(beads, (frames, *beads.shape[1:])), np.arange(frames, dtype=float))
        best, contents = {1: np.inf, 2: np.inf}, set()
        with cluster_client("local", 1) as one, cluster_client("local", 2) as two:
            for turn in range(rounds + 1):
                for workers, client in ((1, one), (2, two)):
                    started = time.perf_counter()
                    backmap_trajectory(
                        folder / "cg.dcd", backmapper, folder / "aa.dcd", seed=1, minimizer=minimizer, overwrite=True,
                        chunk_size=25, progress=False, client=client,
                    )  # fmt: skip
                    if turn:
                        # The first loads models.
                        best[workers] = min(best[workers], time.perf_counter() - started)
                    contents.add((folder / "aa.dcd").read_bytes())
    rates = {f"frames/s, {workers} workers": frames / seconds for workers, seconds in best.items()}
    return rates | {"times one": best[1] / best[2], "same bytes": len(contents) == 1}


if __name__ == "__main__":
    print(measure(*map(int, sys.argv[1:])))
