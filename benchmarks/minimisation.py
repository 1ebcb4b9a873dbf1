"""Minimisation: frames/s one at a time, on all cores, as copies in one Context, and by OpenMM's own L-BFGS.

The frames are the reference MD, every atom 0.01 nm off per coordinate, 50 iterations, amber14. What is compared
alternates, and the best of the repeats counts; the CPU time tells what a busy machine hides from the wall time.
OpenMM's minimiser, with the same springs on the beads, is there to compare energies with as well.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path

import mdtraj
import numpy as np
import openmm

from openmm_cgvae.atomistic.contexts import create_context
from openmm_cgvae.atomistic.forcefield import create_atomistic_system
from openmm_cgvae.atomistic.minimizer import RESTRAINT, Minimizer
from openmm_cgvae.atomistic.restrained import bead_restraint, hold, restrained_system
from openmm_cgvae.core.parallel import available_cores
from openmm_cgvae.molecule.mapping import residue_mapping

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
        "molecule solvent" to figures: frames/s of the one-frame loop, of the workers, of copies in one Context
        (vacuum) and of OpenMM's minimiser, their ratios to the loop, and the median energy in kJ/mol by which OpenMM's
        ends higher.
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
    runs = {kind: partial(_minimized, minimizer, frames) for kind, minimizer in minimizers.items()}
    runs["openmm"] = partial(_minimized_by_openmm, *_held(minimizers["loop"], mapping, solvent), mapping, frames)
    energies = {kind: run() for kind, run in runs.items()}
    times = {kind: [] for kind in runs}
    for _ in range(repeats):
        for kind, run in runs.items():
            times[kind].append(_timed(run))
    wall, cpu = ({kind: min(t[k] for t in times[kind]) for kind in runs} for k in (0, 1))
    figures = {"platform": minimizers["loop"].platform, "cores": available_cores()}
    figures |= {f"{kind} frames_per_s": n_frames / wall[kind] for kind in runs}
    figures |= {f"{kind} ratio": wall["loop"] / wall[kind] for kind in runs if kind != "loop"}
    figures["openmm ends higher by"] = float(np.median(energies["openmm"] - energies["loop"]))
    return figures | {f"{kind} cpu_ms_per_frame": 1e3 * cpu[kind] / n_frames for kind in runs}


def _minimized(minimizer, frames):
    return minimizer.minimize(frames, progress=False).energy_after


def _held(minimizer, mapping, solvent):
    """A Context with springs on the beads, and these, as the `Minimizer` has them."""
    system = create_atomistic_system(mapping, minimizer.graph, None, solvent, None)
    for force in system.getForces():
        force.setForceGroup(1)
    springs = bead_restraint(mapping, RESTRAINT)
    return create_context(restrained_system(system, springs), minimizer.platform), springs


def _minimized_by_openmm(context, springs, mapping, frames):
    energies = []
    for frame, beads in zip(frames, mapping.project(frames), strict=True):
        hold(context, springs, beads)
        context.setPositions(frame)
        openmm.LocalEnergyMinimizer.minimize(context, 10.0, 50)
        energies.append(context.getState(energy=True, groups={1}).getPotentialEnergy()._value)
    return np.array(energies)


def _timed(run):
    started = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - started[0], time.process_time() - started[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the reference MD")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(json.dumps(measure(options.data, options.repeats), indent=1))


if __name__ == "__main__":
    main()
