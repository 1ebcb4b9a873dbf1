"""Minimisation: frames/s one at a time, on all cores, and as copies in one Context.

The frames are the reference MD, every atom 0.01 nm off per coordinate, 50 iterations, amber14. What is compared
alternates, and the best of the repeats counts; the CPU time tells what a busy machine hides from the wall time.
"""

import argparse
import json
import time
from pathlib import Path

import mdtraj
import numpy as np

from openmm_cgvae.app.minimizer import Minimizer
from openmm_cgvae.app.parallel import available_cores
from openmm_cgvae.mapping import residue_mapping

DATA = Path(__file__).parents[2] / "shared" / "data"
# Molecule, solvent, frames a repeat, copies.
CASES = [
    ("chignolin", None, 16, 16),
    ("chignolin", "GBn2", 4, None),
    ("alanine_dipeptide", None, 256, 64),
    ("alanine_dipeptide", "GBn2", 24, None),
]


def measure(data=DATA, repeats=5):
    """Measure every case whose reference MD is in the folder `data`.

    Returns
    -------
    dict
        "molecule solvent" to figures: frames/s of the one-frame loop, of the workers and of copies in one Context
        (vacuum), and their ratios to the loop.
    """
    cases = [case for case in CASES if (Path(data) / f"{case[0]}.dcd").exists()]
    return {f"{name} {solvent or 'vacuum'}": _case(data, name, solvent, n, copies, repeats)
            for name, solvent, n, copies in cases}  # fmt: skip


def _case(data, name, solvent, n_frames, copies, repeats):
    topology = mdtraj.load_topology(str(Path(data) / f"{name}.pdb"))
    frames = mdtraj.load(str(Path(data) / f"{name}.dcd"), top=topology, stride=10).xyz[:n_frames].astype(float)
    frames += 0.01 * np.random.default_rng(0).normal(size=frames.shape)
    mapping = residue_mapping(topology)
    kinds = {"loop": {"workers": 1, "copies": 1}, "workers": {"workers": available_cores(), "copies": 1}}
    if copies is not None:
        kinds["copies"] = {"workers": 1, "copies": copies}
    minimizers = {kind: Minimizer(mapping, implicitSolvent=solvent, **options) for kind, options in kinds.items()}
    for minimizer in minimizers.values():
        minimizer.minimize(frames[: 2 * minimizer.workers], progress=False)
    times = {kind: [] for kind in kinds}
    for _ in range(repeats):
        for kind, minimizer in minimizers.items():
            times[kind].append(_timed(minimizer, frames))
    wall, cpu = ({kind: min(t[k] for t in times[kind]) for kind in kinds} for k in (0, 1))
    figures = {"platform": minimizers["loop"].platform, "cores": available_cores()}
    figures |= {f"{kind} frames_per_s": n_frames / wall[kind] for kind in kinds}
    figures |= {f"{kind} ratio": wall["loop"] / wall[kind] for kind in kinds if kind != "loop"}
    return figures | {f"{kind} cpu_ms_per_frame": 1e3 * cpu[kind] / n_frames for kind in kinds}


def _timed(minimizer, frames):
    started = time.perf_counter(), time.process_time()
    minimizer.minimize(frames, progress=False)
    return time.perf_counter() - started[0], time.process_time() - started[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the reference MD")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(json.dumps(measure(options.data, options.repeats), indent=1))


if __name__ == "__main__":
    main()
