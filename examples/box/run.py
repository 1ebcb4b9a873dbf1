"""A periodic box of molecules: a CG run in OpenMM, its atoms, and what the minimiser does to their clashes.

    python examples/box/run.py work                                       (125 alanine dipeptides, minutes)
    python examples/box/run.py work --model chignolin.pt --copies 8 --box 6
    python examples/box/run.py work --quick                               (8 alanine dipeptides, seconds)

Leaves in the folder: the beads (cg.dcd), atoms as sampled (aa.dcd) and minimised with every bead held in place
(minimized.dcd), a PDB file beside each, and figures (summary.json).
"""

import argparse
import json
from pathlib import Path

import numpy as np
from openmm.app import DCDReporter

from openmm_cgvae import Backmapper, BackmapReporter, Minimizer, SystemBackmapper
from openmm_cgvae.app.cgsystem import create_cg_simulation, run_steps
from openmm_cgvae.metrics import intermolecular_clashes
from openmm_cgvae.trajectory_files import TrajectoryReader, TrajectoryWriter, box_vectors, write_topology_beside


def main():
    options = arguments()
    options.folder.mkdir(exist_ok=True)
    backmapper = Backmapper.load(options.model)
    system, vectors = run(options, backmapper)
    summary = {"molecules": options.copies, "atoms": system.n_atoms, "box_nm": vectors.tolist()}
    summary |= minimize(options.folder, system, vectors)
    (options.folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    for name, value in summary.items():
        print(f"{name:<28}{value}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for everything that is made; created if missing")
    parser.add_argument("--model", default="alanine-dipeptide-3", help="a bundled model, or a file with a CG potential")
    parser.add_argument("--copies", type=int, default=125)
    parser.add_argument("--box", type=float, default=3.5, help="edge in nm (3.5: 0.7 g/cm^3 of 125 alanine dipeptides)")
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--interval", type=int, default=2000, help="steps between frames")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="8 molecules, 2 frames, few steps")
    options = parser.parse_args()
    if options.quick:
        options.copies, options.box, options.frames, options.interval = 8, 2.0, 2, 200
    return options


def run(options, backmapper):
    """Run the beads and write the atoms as they go; the backmapper of the whole box, and the box."""
    simulation = create_cg_simulation(
        backmapper.mapping, backmapper.cg_potential(), seed=options.seed, copies=options.copies, box=options.box
    )
    system = SystemBackmapper(simulation.topology, backmapper)
    simulation.reporters.append(DCDReporter(str(options.folder / "cg.dcd"), options.interval))
    atoms = options.folder / "aa.dcd"
    with BackmapReporter(atoms, options.interval, system, seed=options.seed, overwrite=True) as reporter:
        simulation.reporters.append(reporter)
        run_steps(simulation, options.frames * options.interval, progress=True)
    simulation.reporters.clear()
    write_topology_beside(options.folder / "cg.dcd", system.cg_topology())
    write_topology_beside(atoms, system.topology)
    return system, simulation.context.getState().getPeriodicBoxVectors(asNumpy=True)._value


def minimize(folder, system, vectors):
    """Minimise every frame in its box; clashes and energies before and after."""
    topology = system.topology
    frames = next(iter(TrajectoryReader(folder / "aa.dcd", topology)))
    boxes = box_vectors(frames.lengths, frames.angles)
    result = Minimizer(system.mapping, boxVectors=vectors).minimize(frames.positions, boxVectors=boxes)
    with TrajectoryWriter(folder / "minimized.dcd", topology) as writer:
        writer.write(result.positions, frames.times, frames.lengths, frames.angles)
    write_topology_beside(folder / "minimized.dcd", topology)
    moved = np.abs(system.mapping.project(result.positions) - system.mapping.project(frames.positions)).max()
    return {
        "clashes_sampled": intermolecular_clashes(frames.positions, topology, boxes).tolist(),
        "clashes_minimized": intermolecular_clashes(result.positions, topology, boxes).tolist(),
        "left_unminimized": [reason for reason in result.reason if reason],
        "energy_per_molecule_kj_mol": np.round(result.energy_after / len(system.molecules), 1).tolist(),
        "beads_moved_at_most_nm": float(moved),
    }


if __name__ == "__main__":
    main()
