"""A small molecule from its SMILES: a coarse-grained run of its rigid fragments, its atoms; then both beside a protein.

    python examples/ligand/run.py work            (dexibuprofen and a domain of 78 residues, a minute or two)
    python examples/ligand/run.py work --quick    (half a minute)
    python examples/ligand/run.py work --molecule "CC(=O)Nc1ccc(O)cc1" --protein protein.pdb
    python examples/ligand/run.py work --molecule pose.sdf --posed --protein protein.pdb

First the molecule alone: conformers by a model that serves any small molecule, beads at its rigid fragments, potentials
of the beads from the conformers, and Langevin dynamics whose frames become atoms as they come. Then the same beads
at the C-alphas of a protein, an elastic network: two models in one system. With --posed the ligand begins where its
file has it, else where it touches most C-alphas, which is a start for a demonstration, no docking.

Leaves in the folder: conformers (conformers.sdf), beads and atoms of the molecule (ligand-cg.dcd, ligand-aa.dcd,
ligand-aa.sdf) and of both (complex-cg.dcd, complex-aa.dcd), a PDB file beside each trajectory, and figures
(summary.json).
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit
from rdkit import Chem

sys.path.append(str(Path(__file__).parents[1]))
from alphas import write_alphas

from openmm_cgvae import Backmapper, BackmapReporter, CGMapping, SystemBackmapper, boltzmann_inversion, conformers
from openmm_cgvae.cg.system import create_cg_simulation, create_cg_system, run_steps
from openmm_cgvae.chemistry.reading import as_molecule
from openmm_cgvae.io.trajectory_files import read_frames, write_topology_beside
from openmm_cgvae.metrics import intermolecular_clashes

# (S)-ibuprofen, and the C-alphas of a domain that the tests have.
DEXIBUPROFEN = "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O"
PROTEIN = Path(__file__).parents[2] / "tests" / "data" / "5k6d.pdb"
# kJ/mol; nm; amu. The elastic network of C-alphas, and wells between them and the ligand's beads.
BOND, SPRING, SPRING_NM = 20_000.0, 500.0, 0.9
CONTACT, CONTACT_NM, CUTOFF_NM = 1.5, 0.75, 1.5
MASS = 110.0
PLACES = 4000


def main():
    options = arguments()
    options.folder.mkdir(exist_ok=True)
    given = Chem.AddHs(as_molecule(options.molecule), addCoords=True)
    if options.posed and not given.GetNumConformers():
        raise SystemExit(f"--posed with --molecule {options.molecule}: a file with positions is expected")
    mol = conformers(given, options.conformers, model=options.model, seed=options.seed)
    write_sdf(options.folder / "conformers.sdf", mol, positions_of(mol))
    mapping = CGMapping.rigid_fragments(mol)
    ligand = Backmapper.load(options.model, molecule=mol, mapping=mapping)
    beads = mapping.project(positions_of(mol))
    potential = boltzmann_inversion(beads, mapping.bead_bonds, options.temperature, mapping.masses)
    summary = {"smiles": Chem.MolToSmiles(Chem.RemoveHs(mol)), "conformers": len(beads), "frames": options.frames}
    summary |= run_ligand(mol, ligand, potential, beads, options)
    pose = mapping.project(positions_of(given))[0] if options.posed else None
    summary |= run_complex(mol, ligand, potential, pose, options)
    (options.folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    for name, value in summary.items():
        print(f"{name:<38}{value}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for everything that is made; created if missing")
    parser.add_argument("--molecule", default=DEXIBUPROFEN, help="a SMILES, or a file of one molecule (dexibuprofen)")
    parser.add_argument("--posed", action="store_true", help="the molecule's file has it in its place in the protein")
    parser.add_argument("--protein", type=Path, default=PROTEIN, help="a PDB file of a protein (5K6D)")
    parser.add_argument("--model", default="ligands", help="of small molecules: bundled, or a file (ligands)")
    parser.add_argument("--protein-model", default="protein-ca", help="of C-alphas: bundled, or a file (protein-ca)")
    parser.add_argument("--conformers", type=int, default=200)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--interval", type=int, default=500, help="steps between frames (500)")
    parser.add_argument("--temperature", type=float, default=300.0, help="K (300)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="few conformers and frames")
    options = parser.parse_args()
    if options.quick:
        options.conformers, options.frames, options.interval = 30, 4, 200
    return options


def positions_of(mol):
    """Positions of a molecule's conformers in nm, (conformers, atoms, 3)."""
    return np.array([conformer.GetPositions() for conformer in mol.GetConformers()]) / 10


def run_ligand(mol, ligand, potential, beads, options):
    """The molecule alone: beads of the run, its atoms, and what they are like."""
    simulation = create_cg_simulation(ligand.mapping, potential, options.temperature, seed=options.seed)
    coarse, atoms, seconds = run(simulation, ligand, "ligand", options)
    write_sdf(options.folder / "ligand-aa.sdf", mol, atoms)
    bonds = np.array(ligand.mapping.bead_bonds, dtype=int).reshape(-1, 2)
    return {
        "ligand_beads": ligand.n_beads,
        "ligand_atoms": ligand.n_atoms,
        "ligand_seconds_of_run": seconds,
        "ligand_beads_moved_at_most_nm": farthest(ligand.mapping.project(atoms), coarse),
        "ligand_same_stereo": same_stereo(mol, atoms),
        "ligand_atom_bonds_nm": extremes(atom_bonds(mol, atoms)),
        "bead_bonds_of_conformers_nm": extremes(lengths(beads, bonds)),
        "bead_bonds_of_run_nm": extremes(lengths(coarse, bonds)),
    }


def run_complex(mol, ligand, potential, pose, options):
    """The molecule beside a protein: beads of the run, atoms by two models, and what they are like."""
    alphas = write_alphas(options.protein, options.folder / "protein-ca.pdb")
    protein = Backmapper.load(options.protein_model, alphas)
    native = app.PDBFile(str(alphas)).getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    # The ligand is first, so that its forces, which number their beads from 0, stay as they are.
    start = touching(potential.starts_nm[0], native, options.seed) if pose is None else pose
    both = app.Modeller(ligand.cg_topology(), start * unit.nanometer)
    both.add(protein.cg_topology(), native * unit.nanometer)
    system = create_cg_system(ligand.mapping, potential)
    add_protein(system, protein.cg_topology(), native, ligand.n_beads)
    simulation = langevin(both, system, min(potential.time_step_ps, 0.01), options)
    backmapper = SystemBackmapper(both.topology, {"ligand": ligand, "protein": protein})
    coarse, atoms, seconds = run(simulation, backmapper, "complex", options)
    found, n, k = backmapper.mapping.project(atoms), ligand.n_beads, ligand.n_atoms
    return {
        "complex_beads": backmapper.n_beads,
        "complex_atoms": backmapper.n_atoms,
        "complex_seconds_of_run": seconds,
        "complex_ligand_beads_moved_at_most_nm": farthest(found[:, :n], coarse[:, :n]),
        "complex_alphas_moved_at_most_nm": farthest(found[:, n:], coarse[:, n:]),
        "complex_same_stereo": same_stereo(mol, atoms[:, :k]),
        "ligand_from_nearest_alpha_nm": extremes(nearest(coarse[:, :n], coarse[:, n:])),
        "complex_frames_with_clashes": int(np.count_nonzero(intermolecular_clashes(atoms, backmapper.topology))),
    }


def run(simulation, backmapper, name, options):
    """Run the beads and write the atoms as they go; beads and atoms of all frames in nm, and seconds."""
    started, folder = time.perf_counter(), options.folder
    coarse, atoms = (folder / f"{name}-{kind}.dcd" for kind in ("cg", "aa"))
    simulation.reporters.append(app.DCDReporter(str(coarse), options.interval))
    with BackmapReporter(atoms, options.interval, backmapper, seed=options.seed, overwrite=True) as reporter:
        simulation.reporters.append(reporter)
        run_steps(simulation, options.frames * options.interval, progress=True)
    simulation.reporters.clear()
    seconds = time.perf_counter() - started
    write_topology_beside(coarse, backmapper.cg_topology())
    write_topology_beside(atoms, backmapper.topology)
    return read_frames(coarse, backmapper.cg_topology()), read_frames(atoms, backmapper.topology), seconds


def langevin(both, system, step, options):
    """A simulation of both, overlaps minimised away."""
    integrator = openmm.LangevinMiddleIntegrator(options.temperature, 1.0, step)
    integrator.setRandomNumberSeed(options.seed)
    simulation = app.Simulation(both.topology, system, integrator, openmm.Platform.getPlatformByName("Reference"))
    simulation.context.setPositions(both.positions)
    simulation.minimizeEnergy()
    simulation.context.setVelocitiesToTemperature(options.temperature, options.seed)
    return simulation


def touching(beads, alphas, seed):
    """Beads (N, 3) turned and moved to where their wells with the C-alphas are deepest, of many random places."""
    random, best = np.random.default_rng(seed), (np.inf, None)
    for _ in range(PLACES):
        turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
        turn *= np.linalg.det(turn)  # no reflection
        outward = random.normal(size=3)
        place = alphas[random.integers(len(alphas))] + outward / np.linalg.norm(outward) * random.uniform(0.6, 1.2)
        moved = (beads - beads.mean(0)) @ turn.T + place
        ratios = (CONTACT_NM / np.linalg.norm(moved[:, None] - alphas, axis=-1)) ** 6
        best = min(best, (float((ratios**2 - 2 * ratios).sum()), moved), key=lambda found: found[0])
    return best[1]


def add_protein(system, topology, native, first):
    """Add C-alphas as an elastic network to a system of `first` beads, and wells between the two."""
    for _ in native:
        system.addParticle(MASS)
    springs = openmm.HarmonicBondForce()
    bonds = {tuple(sorted((i.index, j.index))) for i, j in topology.bonds()}
    distances = np.linalg.norm(native[:, None] - native, axis=-1)
    for i, j in np.argwhere(np.triu(distances < SPRING_NM, 1)).tolist():
        springs.addBond(first + i, first + j, distances[i, j], BOND if (i, j) in bonds else SPRING)
    wells = openmm.CustomNonbondedForce(f"{CONTACT} * (ratio^2 - 2 * ratio); ratio = ({CONTACT_NM} / r)^6")
    wells.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffNonPeriodic)
    wells.setCutoffDistance(CUTOFF_NM)
    for _ in range(system.getNumParticles()):
        wells.addParticle([])
    wells.addInteractionGroup(range(first), range(first, system.getNumParticles()))
    for force in (springs, wells):
        system.addForce(force)


def write_sdf(path, mol, positions):
    """Write structures (frames, atoms, 3) in nm of a molecule, a record each."""
    with Chem.SDWriter(str(path)) as writer:
        for made in with_positions(mol, positions):
            writer.write(made)


def same_stereo(mol, positions):
    """Share of structures whose stereo marks, read from the positions, are those of the molecule."""
    wanted = Chem.MolToSmiles(Chem.RemoveHs(mol))
    right = []
    for made in with_positions(mol, positions):
        Chem.AssignStereochemistryFrom3D(made)
        right.append(Chem.MolToSmiles(Chem.RemoveHs(made)) == wanted)
    return float(np.mean(right))


def with_positions(mol, positions):
    """The molecule with each of the structures (frames, atoms, 3) in nm as its only conformer."""
    for places in positions:
        made, conformer = Chem.Mol(mol), Chem.Conformer(len(places))
        made.RemoveAllConformers()
        conformer.SetPositions(np.ascontiguousarray(places * 10, dtype=float))
        made.AddConformer(conformer)
        yield made


def atom_bonds(mol, positions):
    """Lengths of the bonds between heavy atoms."""
    pairs = [(bond.GetBeginAtom(), bond.GetEndAtom()) for bond in mol.GetBonds()]
    heavy = [(a.GetIdx(), b.GetIdx()) for a, b in pairs if min(a.GetAtomicNum(), b.GetAtomicNum()) > 1]
    return lengths(positions, np.array(heavy, dtype=int).reshape(-1, 2))


def lengths(positions, pairs):
    return np.linalg.norm(positions[:, pairs[:, 0]] - positions[:, pairs[:, 1]], axis=-1)


def nearest(points, others):
    """For every frame the least distance of two sets of points, (frames, n, 3) and (frames, m, 3)."""
    return np.linalg.norm(points[:, :, None] - others[:, None], axis=-1).min((1, 2))


def farthest(points, others):
    return float(np.linalg.norm(points - others, axis=-1).max())


def extremes(values):
    """Least, mean and greatest; None of no values, as a molecule of one bead has no bonds."""
    return [round(float(f(values)), 4) for f in (np.min, np.mean, np.max)] if values.size else None


if __name__ == "__main__":
    main()
