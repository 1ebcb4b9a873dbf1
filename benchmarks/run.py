"""Measure speed on this machine, and the bundled models: ``make bench``, or ``python benchmarks/run.py [NAME ...]``.

Every figure comes with the machine's own float32 GEMM rate, and what matters is a ratio within one run: absolute times
drift. Results go to ``benchmarks/results/<date>.json``.
"""

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from openmm.app import DCDReporter

from openmm_cgvae.app.cgsystem import create_cg_simulation, run_steps
from openmm_cgvae.app.minimizer import Minimizer
from openmm_cgvae.app.reporter import BackmapReporter
from openmm_cgvae.backmapper import Backmapper
from openmm_cgvae.chemistry import MolecularGraph
from openmm_cgvae.demo import reference_frames
from openmm_cgvae.mapping.topology import as_mdtraj_topology
from openmm_cgvae.metrics import valid_graphs
from openmm_cgvae.modelfile import pretrained_names
from openmm_cgvae.trajectory import backmap_trajectory
from openmm_cgvae.trajectory_files import TrajectoryWriter

MODEL = "alanine-dipeptide-3"
RESULTS = Path(__file__).parent / "results"
REPEATS = 7


def seconds(function, repeats=REPEATS, warmup=1):
    """Median wall time of a call."""
    times = []
    for _ in range(warmup + repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return float(np.median(times[warmup:]))


def gemm_rate():
    """The machine's float32 matrix product rate, GFLOP/s."""
    n = 1536
    a, b = torch.randn(n, n), torch.randn(n, n)
    return {"gflop_per_s": 2e-9 * n**3 / seconds(lambda: a @ b)}


def sampling():
    """Frames/s of sampling alone (batches of 1 and 256), and of a saved trajectory to an all-atom DCD file."""
    backmapper = Backmapper.load(MODEL)
    beads = backmapper.mapping.project(reference_frames(MODEL))
    with tempfile.TemporaryDirectory() as folder:
        cg, aa = Path(folder) / "cg.dcd", Path(folder) / "aa.dcd"
        with TrajectoryWriter(cg, backmapper.cg_topology()) as writer:
            writer.write(beads, np.arange(float(len(beads))))
        whole = seconds(lambda: backmap_trajectory(cg, backmapper, aa, seed=1, overwrite=True, progress=False))
    return {
        "frames_per_s_batch_1": 1 / seconds(lambda: backmapper.sample(beads[0], seed=1), repeats=50),
        "frames_per_s_batch_256": 256 / seconds(lambda: backmapper.sample(beads[:256], seed=1)),
        "frames_per_s_dcd_to_dcd": len(beads) / whole,
    }


def reporter(steps=2_000_000, interval=500):
    """Wall time of a CG run with `BackmapReporter` over that with a plain DCDReporter, in pairs."""
    backmapper = Backmapper.load(MODEL)
    simulation = create_cg_simulation(backmapper.mapping, backmapper.cg_potential(), seed=1)
    run_steps(simulation, 10_000)
    with tempfile.TemporaryDirectory() as folder:

        def run(kind):
            path = Path(folder) / "frames.dcd"
            started = time.perf_counter()
            if kind == "dcd":
                simulation.reporters.append(DCDReporter(str(path), interval))
            else:
                simulation.reporters.append(BackmapReporter(path, interval, backmapper, seed=1, overwrite=True))
            simulation.step(steps)
            if kind != "dcd":
                simulation.reporters[0].close()
            simulation.reporters.clear()
            return time.perf_counter() - started

        pairs = [(run("dcd"), run("backmap")) for _ in range(REPEATS)][1:]
    ratios = [with_atoms / plain for plain, with_atoms in pairs]
    plain = float(np.median([p for p, _ in pairs]))
    return {"microseconds_per_cg_step": 1e6 * plain / steps, "ratio_median": float(np.median(ratios)),
            "ratio_min_max": [min(ratios), max(ratios)]}  # fmt: skip


def startup():
    """Seconds from a cold shell: import, help, and the first backmapped frame."""
    first_frame = (
        "from openmm_cgvae import Backmapper; import numpy as np; b = Backmapper.load('alanine-dipeptide-3');"
        "b.sample(np.array([[0, 0, 0], [0.35, 0, 0], [0.5, 0.3, 0]]), seed=1)"
    )

    def shell(*arguments):
        return seconds(lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True), repeats=5)

    empty = shell("-c", "pass")
    return {
        "python_alone": empty,
        "import": shell("-c", "import openmm_cgvae"),
        "help": shell("-m", "openmm_cgvae", "--help"),
        "first_frame": shell("-c", first_frame),
    }


def fidelity():
    """On all bundled held-out frames: rotation errors by precision, and what minimisation leaves."""
    figures = {}
    for name in pretrained_names():
        reference = reference_frames(name).astype(np.float64)
        backmapper = Backmapper.load(name)
        mapping, graph = backmapper.mapping, MolecularGraph.from_topology(as_mdtraj_topology(backmapper.topology))
        beads = mapping.project(reference)
        sampled = backmapper.sample(beads, seed=0)[:, 0]
        minimizer = Minimizer(mapping, handedness=backmapper.handedness)
        done, ideal = (minimizer.minimize(x, beads, progress=False) for x in (sampled, reference))
        figures |= {
            f"{name} rotation_nm single": rotation_error(backmapper, beads),
            f"{name} rotation_nm float32 beads": rotation_error(backmapper, beads, np.float32),
            f"{name} rotation_nm double": rotation_error(Backmapper.load(name, precision="double"), beads),
            f"{name} minimized valid": float(valid_graphs(done.positions, graph).mean()),
            f"{name} minimized failed": int(done.failed.sum()),
            f"{name} minimized max |Mx-X|": float(np.abs(mapping.project(done.positions) - beads).max()),
            f"{name} minimized energy/atom": float(np.median(done.energy_after)) / graph.n_atoms,
            f"{name} minimized MD energy/atom": float(np.median(ideal.energy_after)) / graph.n_atoms,
        }
    return figures


def rotation_error(backmapper, beads, dtype=np.float64):
    """[median, 99.9 %, largest] over frames of the largest error in nm after one rotation and translation."""
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    beads = beads - beads.mean(1, keepdims=True)
    atoms, moved = (
        backmapper.sample(x.astype(dtype), seed=2)[:, 0].astype(np.float64) for x in (beads, beads @ turn.T + 1.0)
    )
    errors = np.abs(atoms @ turn.T + 1.0 - moved).max(axis=(1, 2))
    return [float(f"{x:.2g}") for x in np.quantile(errors, (0.5, 0.999, 1.0))]


BENCHMARKS = {"sampling": sampling, "reporter": reporter, "startup": startup, "fidelity": fidelity}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all if omitted")
    names = parser.parse_args().names or list(BENCHMARKS)
    results = {"threads": torch.get_num_threads(), "torch": torch.__version__, "gemm": gemm_rate()}
    for name in names:
        results[name] = BENCHMARKS[name]()
    results["gemm_after"] = gemm_rate()
    for name, values in results.items():
        for key, value in values.items() if isinstance(values, dict) else [("", values)]:
            print(f"{name:<12}{key:<48}{value if isinstance(value, (str, list, int)) else format(value, '.4g')}")
    path = RESULTS / f"{datetime.date.today().isoformat()}.json"
    # A part that is measured again replaces its own figures only.
    earlier = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(earlier | results, indent=1) + "\n")
    print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path.name}")


if __name__ == "__main__":
    main()
