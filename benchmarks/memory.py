"""Peak memory of backmapping: a box of 175,000 atoms, and trajectories of more and more frames of 22 atoms.

``python benchmarks/memory.py box COPIES FRAMES`` and ``python benchmarks/memory.py frames N`` measure one in a process
of its own.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from files import MODEL, repeated_beads, write_beads
from openmm import app
from timing import clock, peak_memory_mb

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.backmapping.trajectory import backmap_trajectory
from openmm_cgvae.io.trajectory_files import TrajectoryWriter
from openmm_cgvae.simulation.system import SystemBackmapper

BOX_MODEL = "chignolin-6"
PART = 1000


def measure(copies=1000, frames=(100_000, 200_000)):
    """Peak MB and seconds of each; the last ratio is of the larger number of frames to the smaller."""
    figures = {f"{copies} copies of {BOX_MODEL}": _in_process("box", copies, 4)}
    figures |= {f"{n} frames of {MODEL}": _in_process("frames", n) for n in frames}
    first, last = (figures[f"{n} frames of {MODEL}"]["peak MB"] for n in (frames[0], frames[-1]))
    return figures | {"ratio of peaks": last / first}


def _in_process(*arguments):
    command = [sys.executable, __file__, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def box(copies, frames, folder):
    """Molecules on a lattice in a box, one kind."""
    one = Backmapper.load(BOX_MODEL)
    topology, single = app.Topology(), one.cg_topology()
    for _ in range(copies):
        chain = topology.addChain()
        for residue in single.residues():
            place = topology.addResidue(residue.name, chain, residue.id)
            for atom in residue.atoms():
                topology.addAtom(atom.name, None, place)
    edge = int(np.ceil(copies ** (1 / 3)))
    places = 2.5 * np.stack(np.unravel_index(np.arange(copies), (edge, edge, edge)), axis=1)
    start = np.array(one.cg_potential().starts_nm[0])
    beads = np.tile((start + places[:, None]).reshape(1, -1, 3), (frames, 1, 1))
    lengths, angles = np.full((frames, 3), 2.5 * edge), np.full((frames, 3), 90.0)
    system = SystemBackmapper(topology, one)
    with TrajectoryWriter(folder / "cg.dcd", system.cg_topology()) as writer:
        writer.write(beads, np.arange(frames, dtype=float), lengths, angles)
    backmap_trajectory(folder / "cg.dcd", system, folder / "aa.dcd", seed=1, progress=False)
    return {"atoms": system.n_atoms}


def many(frames, folder):
    """One small molecule."""
    backmapper = Backmapper.load(MODEL)
    write_beads(backmapper, repeated_beads(backmapper, PART), folder / "cg.dcd", frames // PART)
    backmap_trajectory(folder / "cg.dcd", backmapper, folder / "aa.dcd", seed=1, progress=False)
    return {}


def main():
    kind, *numbers = sys.argv[1], *map(int, sys.argv[2:])
    started = clock()
    with tempfile.TemporaryDirectory() as folder:
        figures = (box if kind == "box" else many)(*numbers, Path(folder))
    print(json.dumps(figures | {"peak MB": peak_memory_mb(), "seconds": clock() - started}))


if __name__ == "__main__":
    main()
