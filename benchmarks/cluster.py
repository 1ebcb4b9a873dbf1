"""A minimised trajectory of chignolin on one and on two workers of a cluster on this machine: how much faster are two?

python benchmarks/cluster.py 1500: so many frames. The two take turns, the best of each counts; on two free cores.
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
PART = 25
# Of which each worker imports what it needs.
WARM_UP = 4 * PART


def measure(frames=500, rounds=ROUNDS):
    """Frames a second of each number of workers, and their ratio; that the bytes are the same."""
    backmapper = Backmapper.load(MODEL)
    minimizer = Minimizer(backmapper.mapping, workers=1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        beads = backmapper.mapping.project(reference_frames(MODEL))
        for name, n in (("few.dcd", WARM_UP), ("cg.dcd", frames)):
            with TrajectoryWriter(folder / name, backmapper.cg_topology()) as writer:
                writer.write(np.resize(beads, (n, *beads.shape[1:])), np.arange(n, dtype=float))
        best, contents = {1: np.inf, 2: np.inf}, set()
        for workers in (1, 2) * rounds:
            # One cluster at a time: workers that wait for work take some of the cores too.
            with cluster_client("local", workers) as client:
                for name in ("few.dcd", "cg.dcd"):
                    started = time.perf_counter()
                    backmap_trajectory(
                        folder / name, backmapper, folder / "aa.dcd", seed=1, minimizer=minimizer, overwrite=True,
                        chunk_size=PART, progress=False, client=client,
                    )  # fmt: skip
            best[workers] = min(best[workers], time.perf_counter() - started)
            contents.add((folder / "aa.dcd").read_bytes())
    rates = {f"frames/s, {workers} workers": frames / seconds for workers, seconds in best.items()}
    return rates | {"times one": best[1] / best[2], "same bytes": len(contents) == 1}


if __name__ == "__main__":
    print(measure(*map(int, sys.argv[1:])))
