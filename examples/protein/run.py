"""A protein of your choice: a coarse-grained run of its C-alphas, atoms as it goes, and atomistic MD from one frame.

    python examples/protein/run.py protein.pdb work            (80 residues: an hour of one core, nearly all of it MD)
    python examples/protein/run.py protein.pdb work --quick    (a minute or two)

The PDB file is one from the Protein Data Bank, or any of which the C-alphas are there: chains of amino acids, the first
model. The coarse-grained force field is written here, to show that any CG system of OpenMM will do: a structure-based
(Go-type) model after Clementi, Nymeyer and Onuchic (J. Mol. Biol. 298, 937, 2000), whose minimum is what was given.

Leaves in the folder: beads (ca.pdb), the CG run (cg.dcd), its atoms (aa.dcd, aa.pdb), 50 ps of atomistic MD from the
last CG frame in implicit solvent (md.dcd, md.pdb), and figures (summary.json).
"""

import argparse
import itertools
import json
import sys
import time
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit

sys.path.append(str(Path(__file__).parents[1]))
from alphas import write_alphas

from openmm_cgvae import Backmapper, BackmapReporter, to_atomistic_simulation
from openmm_cgvae.cg.system import run_steps
from openmm_cgvae.io.trajectory_files import TrajectoryReader, TrajectoryWriter, write_topology_beside

# kJ/mol; nm. Bonds, angles, dihedrals and native contacts share one energy scale, as in the paper.
EPSILON = 2.5
CONTACT_NM, REPULSION_NM = 0.8, 0.4
BOND, ANGLE = 20_000.0, 40.0
MASS = 110.0


def main():
    options = arguments()
    options.folder.mkdir(exist_ok=True)
    beads = write_alphas(options.pdb, options.folder / "ca.pdb")
    backmapper = Backmapper.load(options.model, beads, representative=options.representative)
    topology = backmapper.cg_topology()
    native = np.array(app.PDBFile(str(beads)).getPositions(asNumpy=True).value_in_unit(unit.nanometer))
    simulation = cg_simulation(topology, native, options)
    seconds = run_coarse(simulation, backmapper, options)
    summary = {"residues": topology.getNumResidues(), "atoms": backmapper.n_atoms, "frames": options.frames}
    summary |= {"seconds_of_cg_run_with_atoms": seconds} | measured(backmapper, options)
    if options.md:
        state = simulation.context.getState(positions=True, velocities=True)
        summary |= run_atomistic(state, backmapper, options)
    (options.folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    for name, value in summary.items():
        print(f"{name:<34}{value}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pdb", type=Path, help="a PDB file of a protein")
    parser.add_argument("folder", type=Path, help="for everything that is made; created if missing")
    parser.add_argument("--model", default="protein-ca", help="a bundled model, or a model file (protein-ca)")
    parser.add_argument("--representative", action="store_true", help="the likeliest structure of a frame, not samples")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--interval", type=int, default=500, help="steps between frames (500)")
    parser.add_argument("--temperature", type=float, default=300.0, help="K (300)")
    parser.add_argument("--md", type=float, default=50.0, help="ps of atomistic MD, 0 for none (50)")
    parser.add_argument("--equilibration", type=float, default=2.0, help="ps of it before, with the beads held (2)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="few frames, 0.2 ps")
    options = parser.parse_args()
    if options.quick:
        options.frames, options.interval, options.md, options.equilibration = 4, 100, 0.2, 0.1
    return options


def cg_simulation(topology, native, options):
    """Langevin dynamics of C-alphas that are drawn to their native structure."""
    system = openmm.System()
    for _ in native:
        system.addParticle(MASS)
    bonds = [(i.index, j.index) for i, j in topology.bonds() if abs(i.index - j.index) == 1]
    for force in (*bonded_forces(native, bonds), *contact_forces(native)):
        system.addForce(force)
    integrator = openmm.LangevinMiddleIntegrator(options.temperature, 1.0, 0.01)
    integrator.setRandomNumberSeed(options.seed)
    simulation = app.Simulation(topology, system, integrator)
    simulation.context.setPositions(native)
    simulation.context.setVelocitiesToTemperature(options.temperature, options.seed)
    return simulation


def bonded_forces(native, bonds):
    """Bonds, angles and dihedrals at their native values."""
    bond, angle = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    dihedral = openmm.PeriodicTorsionForce()
    linked = set(bonds)
    for i, j in bonds:
        bond.addBond(i, j, np.linalg.norm(native[i] - native[j]), BOND)
    for i in range(len(native) - 2):
        if {(i, i + 1), (i + 1, i + 2)} <= linked:
            a, c = native[i] - native[i + 1], native[i + 2] - native[i + 1]
            cosine = a @ c / np.linalg.norm(a) / np.linalg.norm(c)
            angle.addAngle(i, i + 1, i + 2, np.arccos(cosine), ANGLE * EPSILON)
    for i in range(len(native) - 3):
        if {(i + k, i + k + 1) for k in range(3)} <= linked:
            phi = torsion(native[i : i + 4])
            for n, k in ((1, EPSILON), (3, 0.5 * EPSILON)):
                # Lowest at the native angle.
                dihedral.addTorsion(i, i + 1, i + 2, i + 3, n, n * phi + np.pi, k)
    return bond, angle, dihedral


def torsion(points):
    """Torsion angle of four points in radians."""
    a, b, c = np.diff(points, axis=0)
    n, m = np.cross(a, b), np.cross(b, c)
    return np.arctan2(np.linalg.norm(b) * (a @ m), n @ m)


def contact_forces(native):
    """12-10 wells between residues in contact, and repulsion of all others, four and more along a chain."""
    contact = openmm.CustomBondForce("epsilon * (5 * (r0 / r)^12 - 6 * (r0 / r)^10)")
    repulsion = openmm.CustomNonbondedForce(f"{EPSILON} * ({REPULSION_NM} / r)^12")
    for name in ("r0", "epsilon"):
        contact.addPerBondParameter(name)
    repulsion.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffNonPeriodic)
    repulsion.setCutoffDistance(2 * REPULSION_NM)
    for i in range(len(native)):
        repulsion.addParticle([])
        for j in range(i + 1, min(i + 4, len(native))):
            repulsion.addExclusion(i, j)
    for i, j in itertools.combinations(range(len(native)), 2):
        distance = float(np.linalg.norm(native[i] - native[j]))
        if j - i >= 4 and distance < CONTACT_NM:
            contact.addBond(i, j, [distance, EPSILON])
            repulsion.addExclusion(i, j)
    return contact, repulsion


def run_coarse(simulation, backmapper, options):
    """Run the beads and write the atoms as they go; seconds."""
    started, folder = time.perf_counter(), options.folder
    simulation.reporters.append(app.DCDReporter(str(folder / "cg.dcd"), options.interval))
    with BackmapReporter(
        folder / "aa.dcd", options.interval, backmapper, seed=options.seed, overwrite=True
    ) as reporter:
        simulation.reporters.append(reporter)
        run_steps(simulation, options.frames * options.interval, progress=True)
    simulation.reporters.clear()
    write_topology_beside(folder / "aa.dcd", backmapper.topology)
    return time.perf_counter() - started


def measured(backmapper, options):
    """How far the beads of the atoms are from those of the run."""
    moved, worst = [], 0.0
    frames = zip(
        TrajectoryReader(options.folder / "cg.dcd", backmapper.cg_topology()),
        TrajectoryReader(options.folder / "aa.dcd", backmapper.topology),
        strict=True,
    )
    for coarse, atoms in frames:
        shift = np.linalg.norm(backmapper.mapping.project(atoms.positions) - coarse.positions, axis=-1)
        moved.append(shift.mean())
        worst = max(worst, float(shift.max()))
    return {"beads_moved_on_average_nm": float(np.mean(moved)), "beads_moved_at_most_nm": worst}


def run_atomistic(state, backmapper, options):
    """Go on in atoms from a CG frame, in implicit solvent; what it did."""
    simulation = to_atomistic_simulation(
        state, backmapper, implicitSolvent="GBn2", equilibration=options.equilibration, seed=options.seed
    )
    started = simulation.context.getState(energy=True, positions=True)
    steps, path = round(options.md / 0.002), options.folder / "md.dcd"
    simulation.reporters.append(app.DCDReporter(str(path), max(1, steps // 50)))
    run_steps(simulation, steps, progress=True)
    simulation.reporters.clear()
    ended = simulation.context.getState(energy=True, positions=True)
    with TrajectoryWriter(path.with_suffix(".pdb"), simulation.topology) as writer:
        writer.write(ended.getPositions(asNumpy=True)._value[None], np.zeros(1))
    names = [atom.name for atom in simulation.topology.atoms()]
    alphas = [k for k, name in enumerate(names) if name == "CA"]
    first, last = (s.getPositions(asNumpy=True)._value[alphas] for s in (started, ended))
    return {
        "md_ps": options.md,
        "md_energy_kj_mol": [round(s.getPotentialEnergy()._value, 1) for s in (started, ended)],
        "md_rmsd_of_c_alphas_nm": rmsd(first, last),
    }


def rmsd(a, b):
    """Root mean square distance of two sets of points (n, 3) after superposition."""
    a, b = a - a.mean(0), b - b.mean(0)
    u, _, v = np.linalg.svd(a.T @ b)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    return float(np.sqrt(((a @ u @ flip @ v - b) ** 2).sum(1).mean()))


if __name__ == "__main__":
    main()
