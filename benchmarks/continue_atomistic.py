"""All-atom runs from many CG frames: ``python benchmarks/continue_atomistic.py [--frames 100] [--model NAME ...]``.

Frames spread over the held-out reference MD of each bundled model are projected to beads, with bead velocities drawn
at 300 K, handed to `to_atomistic_simulation` and run for 50 ps. A run is sound if it does not blow up, ends with the
molecule's bond graph and kept every stereocentre. ``benchmarks/results/continue.json`` is written after every run; the
command repeated does what is not in it yet.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.cg.system import run_steps
from openmm_cgvae.core.errors import CGVAEError
from openmm_cgvae.core.output import complete_output
from openmm_cgvae.core.units import BOLTZMANN_KJ_PER_MOL_K
from openmm_cgvae.io.bundled import pretrained_names, read_index
from openmm_cgvae.metrics import handedness, valid_graphs
from openmm_cgvae.molecule.graph import MolecularGraph
from openmm_cgvae.molecule.topology import as_mdtraj_topology
from openmm_cgvae.pretrained.bundle import reference_frames
from openmm_cgvae.simulation.atomistic import to_atomistic_simulation

RESULTS = Path(__file__).parent / "results" / "continue.json"
TEMPERATURE = 300.0
TIME_STEP_PS = 0.002
SOUND = "sound"


def continue_frames(name, n_frames, picoseconds, settings):
    """Run on from every frame that is not done yet; keep each outcome, and return all of them."""
    # Runs of another model of the same name do not count.
    described = {"picoseconds": picoseconds, **settings, "model_sha256": read_index()[name]["sha256"]}
    title = f"{name}, {settings['implicitSolvent'] or 'vacuum'}"
    backmapper, reference = Backmapper.load(name), reference_frames(name)
    # In an order that is spread over the reference wherever it ends.
    frames = np.random.default_rng(0).permutation(np.linspace(0, len(reference) - 1, n_frames).astype(int))
    for frame in tqdm(frames.tolist(), unit="run", desc=title):
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        record = results.get(title)
        if record is None or record["settings"] != described:
            record = {"settings": described, "runs": {}}
        if str(frame) not in record["runs"]:
            record["runs"][str(frame)] = outcome(backmapper, reference[frame], frame, picoseconds, settings)
            with complete_output(RESULTS) as temporary:
                temporary.write_text(json.dumps(results | {title: record}, indent=1) + "\n")
    return title, record["runs"]


def outcome(backmapper, structure, frame, picoseconds, settings):
    """What became of one run, and the seconds it took."""
    started = time.perf_counter()
    beads = backmapper.mapping.project(structure)
    spread = np.sqrt(BOLTZMANN_KJ_PER_MOL_K * TEMPERATURE / backmapper.mapping.masses)[:, None]
    velocities = np.random.default_rng(frame).normal(size=beads.shape) * spread
    try:
        simulation = to_atomistic_simulation(
            beads, backmapper, velocities=velocities, frame=frame, seed=frame, timeStep=TIME_STEP_PS,
            temperature=TEMPERATURE, progress=False, **settings,
        )  # fmt: skip
        run_steps(simulation, round(picoseconds / TIME_STEP_PS))
    except CGVAEError as error:
        found = str(error)
    else:
        end = simulation.context.getState(positions=True).getPositions(asNumpy=True)._value[None]
        found = judged(end, backmapper)
    return [found, round(time.perf_counter() - started, 1)]


def judged(end, backmapper):
    """What is wrong with a structure (1, n, 3), or that it is sound."""
    graph = MolecularGraph.from_topology(as_mdtraj_topology(backmapper.topology))
    if not valid_graphs(end, graph).all():
        return "another bond graph"
    return SOUND if (handedness(end, graph) == backmapper.handedness).all() else "another chirality"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", nargs="+", default=pretrained_names(), help="bundled models (all)")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--picoseconds", type=float, default=50.0)
    parser.add_argument("--implicit-solvent", help="vacuum if omitted")
    parser.add_argument("--platform", default="Reference", help="fastest for few atoms in vacuum (Reference)")
    options = parser.parse_args()
    settings = {"implicitSolvent": options.implicit_solvent, "platform": options.platform}
    for name in options.model:
        title, runs = continue_frames(name, options.frames, options.picoseconds, settings)
        sound = sum(result == SOUND for result, _ in runs.values())
        print(f"{title}: {sound} of {len(runs)} runs sound, {sum(seconds for _, seconds in runs.values()):.0f} s")


if __name__ == "__main__":
    main()
