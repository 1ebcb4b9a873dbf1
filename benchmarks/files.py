"""A saved CG trajectory to an all-atom DCD file: frames/s beside sampling alone."""

import tempfile
from pathlib import Path

import numpy as np
from timing import alternating

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.backmapping.trajectory import backmap_trajectory
from openmm_cgvae.io.trajectory_files import TrajectoryWriter
from openmm_cgvae.pretrained.bundle import reference_frames

MODEL = "alanine-dipeptide-3"


def measure(frames=10_000):
    """Frames/s of sampling, and of reading, sampling and writing."""
    backmapper = Backmapper.load(MODEL)
    beads = repeated_beads(backmapper, frames)
    with tempfile.TemporaryDirectory() as folder:
        cg, aa = Path(folder) / "cg.dcd", Path(folder) / "aa.dcd"
        write_beads(backmapper, beads, cg, 1)
        times = alternating({
            "sampling": lambda: backmapper.sample(beads, seed=1),
            "file to file": lambda: backmap_trajectory(cg, backmapper, aa, seed=1, overwrite=True, progress=False),
        }, rounds=3)  # fmt: skip
    return {f"frames/s, {name}": frames / t for name, t in times.items()}


def repeated_beads(backmapper, frames):
    """Beads (frames, N, 3) in nm of the held-out frames, over and over."""
    beads = backmapper.mapping.project(reference_frames(MODEL))
    return np.resize(beads, (frames, *beads.shape[1:])).astype(np.float32)


def write_beads(backmapper, beads, path, repeats):
    """Write a CG trajectory that repeats `beads`."""
    with TrajectoryWriter(path, backmapper.cg_topology()) as writer:
        for i in range(repeats):
            writer.write(beads, np.arange(i * len(beads), (i + 1) * len(beads), dtype=float))
