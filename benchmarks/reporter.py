"""What `BackmapReporter` costs a CG run."""

import tempfile
import time
from pathlib import Path

import numpy as np
from openmm.app import DCDReporter

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.cg.system import create_cg_simulation, run_steps
from openmm_cgvae.simulation.reporter import BackmapReporter

MODEL = "alanine-dipeptide-3"


def measure(steps=2_000_000, interval=500, pairs=6):
    """Wall time of a CG run with `BackmapReporter` over that with a plain DCDReporter, in pairs after a warm-up."""
    backmapper = Backmapper.load(MODEL)
    simulation = create_cg_simulation(backmapper.mapping, backmapper.cg_potential(), seed=1)
    run_steps(simulation, 10_000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.dcd"

        def plain():
            return DCDReporter(str(path), interval)

        def with_atoms():
            return BackmapReporter(path, interval, backmapper, seed=1, overwrite=True)

        times = np.array([[_run(simulation, kind(), steps) for kind in (plain, with_atoms)] for _ in range(pairs + 1)])
    ratios = times[1:, 1] / times[1:, 0]
    return {
        "microseconds per CG step": 1e6 * float(np.median(times[1:, 0])) / steps,
        "ratio, median": float(np.median(ratios)),
        "ratio, min and max": [float(ratios.min()), float(ratios.max())],
    }


def _run(simulation, reporter, steps):
    started = time.perf_counter()
    simulation.reporters.append(reporter)
    simulation.step(steps)
    if isinstance(reporter, BackmapReporter):
        reporter.close()
    simulation.reporters.clear()
    return time.perf_counter() - started
