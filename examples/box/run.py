"""A periodic box of molecules: a CG run in OpenMM, its atoms, and what the minimiser does to their clashes.

    python examples/box/run.py work                         (125 alanine dipeptides, minutes)
    python examples/box/run.py work --model chignolin-10    (8 chignolins, minutes)
    python examples/box/run.py work --quick                 (8 alanine dipeptides, or 2 chignolins, seconds)

Leaves in the folder: the beads (cg.dcd), atoms as sampled (aa.dcd) and minimised with every bead held in place
(minimized.dcd), a PDB file beside each, and figures (summary.json).
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from openmm.app import DCDReporter

from openmm_cgvae import Backmapper, BackmapReporter, Minimizer, SystemBackmapper
from openmm_cgvae.cg.system import create_cg_simulation, run_steps
from openmm_cgvae.io.trajectory_files import TrajectoryReader, TrajectoryWriter, box_vectors, write_topology_beside
from openmm_cgvae.metrics import intermolecular_clashes

# Molecules and edge of the box in nm, in full and with --quick. In full 0.7 and 0.2 g/cm^3.
DEMONSTRATIONS = {"alanine-dipeptide-3": ((125, 3.5), (8, 2.0)), "chignolin-10": ((8, 4.5), (2, 4.0))}
# Structures tried for the beads of a frame.
ATTEMPTS = 4


def main():
    options = arguments()
    options.folder.mkdir(exist_ok=True)
    backmapper = Backmapper.load(options.model)
    started = time.perf_counter()
    system, vectors = run(options, backmapper)
    seconds = time.perf_counter() - started
    summary = {"model": options.model, "molecules": options.copies, "atoms": system.n_atoms, "box_nm": vectors.tolist()}
    summary |= {"frames": options.frames, "seconds_of_run": seconds} | minimize(options, system, vectors)
    (options.folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    for name, value in summary.items():
        print(f"{name:<28}{value}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for everything that is made; created if missing")
    parser.add_argument("--model", default="alanine-dipeptide-3", help="a bundled model, or a file with a CG potential")
    parser.add_argument("--copies", type=int, help="(125 alanine dipeptides, 8 chignolins)")
    parser.add_argument("--box", type=float, help="edge in nm (3.5, 4.5)")
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--interval", type=int, default=2000, help="steps between frames")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="few molecules, 2 frames, few steps")
    options = parser.parse_args()
    full, quick = DEMONSTRATIONS.get(options.model, ((None, None), (None, None)))
    copies, box = quick if options.quick else full
    options.copies, options.box = options.copies or copies, options.box or box
    if not (options.copies and options.box):
        parser.error(f"--copies and --box are needed, but for {' and '.join(DEMONSTRATIONS)}")
    if options.quick:
        options.frames, options.interval = 2, 200
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


def minimize(options, system, vectors):
    """Minimise every frame in its box; clashes and energies before and after."""
    topology, folder = system.topology, options.folder
    frames = next(iter(TrajectoryReader(folder / "aa.dcd", topology)))
    boxes = box_vectors(frames.lengths, frames.angles)
    beads = system.mapping.project(frames.positions)
    minimizer, started = Minimizer(system.mapping, boxVectors=vectors), time.perf_counter()
    positions, energies, refused, left = relax(minimizer, system, frames.positions, beads, boxes, options.seed)
    seconds = time.perf_counter() - started
    with TrajectoryWriter(folder / "minimized.dcd", topology) as writer:
        writer.write(positions, frames.times, frames.lengths, frames.angles)
    write_topology_beside(folder / "minimized.dcd", topology)
    return {
        "seconds_of_minimisation": seconds,
        "clashes_sampled": intermolecular_clashes(frames.positions, topology, boxes).tolist(),
        "clashes_minimized": intermolecular_clashes(positions, topology, boxes).tolist(),
        "refused": refused,
        "left_unminimized": left,
        "energy_per_molecule_kj_mol": np.round(energies / len(system.molecules), 1).tolist(),
        "beads_moved_at_most_nm": float(np.abs(system.mapping.project(positions) - beads).max()),
    }


def relax(minimizer, system, sampled, beads, boxes, seed):
    """Minimise frames; one is refused if any of its many molecules does not come out sound, and then sampled anew.

    Returns
    -------
    positions : numpy.ndarray, shape (frames, atoms, 3)
    energies : numpy.ndarray, shape (frames,)
    refused : list of str
        Why, once for each time.
    left : int
        Frames without a sound structure.
    """
    positions, energies = sampled.copy(), np.zeros(len(sampled))
    left, refused = np.arange(len(sampled)), []
    for attempt in range(ATTEMPTS):
        if attempt:
            positions[left] = system.sample(beads[left], 1, seed + attempt, left, box=boxes[left])[:, 0]
        result = minimizer.minimize(positions[left], beads[left], boxVectors=boxes[left])
        positions[left], energies[left] = result.positions, result.energy_after
        refused += [reason for reason in result.reason if reason]
        left = left[result.failed]
        if not len(left):
            break
    return positions, energies, refused, len(left)


if __name__ == "__main__":
    main()
