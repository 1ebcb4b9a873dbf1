"""All-atom runs from many CG frames: ``python benchmarks/continue_atomistic.py [--frames 100] [--model NAME ...]``.

Frames spread over the held-out reference MD of each bundled model are projected to beads, with bead velocities drawn
at 300 K, handed to `to_atomistic_simulation` and run for 50 ps. A run is sound if it does not blow up, ends with the
molecule's bond graph and kept every stereocentre. Results go to ``benchmarks/results/continue-<date>.json``.
"""

import argparse
import datetime
import json
import time
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from openmm_cgvae.app.atomistic import to_atomistic_simulation
from openmm_cgvae.app.cgsystem import run_steps
from openmm_cgvae.backmapper import Backmapper
from openmm_cgvae.chemistry import MolecularGraph
from openmm_cgvae.demo import reference_frames
from openmm_cgvae.errors import CGVAEError
from openmm_cgvae.mapping.topology import as_mdtraj_topology
from openmm_cgvae.metrics import handedness, valid_graphs
from openmm_cgvae.modelfile import pretrained_names
from openmm_cgvae.units import BOLTZMANN_KJ_PER_MOL_K

RESULTS = Path(__file__).parent / "results"
TEMPERATURE = 300.0
TIME_STEP_PS = 0.002


def continued(name, n_frames, picoseconds, settings):
    """Counts over the runs of one model."""
    backmapper = Backmapper.load(name)
    graph = MolecularGraph.from_topology(as_mdtraj_topology(backmapper.topology))
    reference = reference_frames(name)
    frames = np.linspace(0, len(reference) - 1, n_frames).astype(int)
    beads = backmapper.mapping.project(reference[frames])
    spread = np.sqrt(BOLTZMANN_KJ_PER_MOL_K * TEMPERATURE / backmapper.mapping.masses)[:, None]
    ends, errors, started = [], [], time.perf_counter()
    for k, frame in enumerate(tqdm(frames, unit="run", desc=name)):
        velocities = np.random.default_rng(k).normal(size=beads[k].shape) * spread
        try:
            simulation = to_atomistic_simulation(
                beads[k], backmapper, velocities=velocities, frame=int(frame), seed=k, timeStep=TIME_STEP_PS,
                temperature=TEMPERATURE, progress=False, **settings,
            )  # fmt: skip
            run_steps(simulation, round(picoseconds / TIME_STEP_PS))
        except CGVAEError as error:
            errors.append(f"frame {frame}: {error}")
            continue
        positions = simulation.context.getState(positions=True).getPositions(asNumpy=True)._value
        ends.append(positions[: graph.n_atoms])
    ends = np.array(ends).reshape(-1, graph.n_atoms, 3)
    return {
        "frames": n_frames,
        "picoseconds": picoseconds,
        "finished": len(ends),
        "bond_graph_valid": int(valid_graphs(ends, graph).sum()),
        "chirality_unchanged": int((handedness(ends, graph) == backmapper.handedness).all(-1).sum()),
        "seconds": time.perf_counter() - started,
        "errors": errors,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", nargs="+", default=pretrained_names(), help="bundled models (all)")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--picoseconds", type=float, default=50.0)
    parser.add_argument("--implicit-solvent", help="vacuum if omitted")
    parser.add_argument("--platform", default="Reference", help="fastest for few atoms in vacuum (Reference)")
    options = parser.parse_args()
    settings = {"implicitSolvent": options.implicit_solvent, "platform": options.platform}
    results = {"settings": settings}
    for name in options.model:
        results[name] = continued(name, options.frames, options.picoseconds, settings)
        print(name, results[name])
    path = RESULTS / f"continue-{datetime.date.today()}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
