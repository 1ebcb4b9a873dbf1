"""C-alpha beads of held-out proteins to heavy atoms: ours and peers, by the same figures, on the same chains.

    python benchmarks/proteins.py chains.npz --model protein-ca
    python benchmarks/proteins.py chains.npz --peers FOLDER --pulchra pypulchra --faspr FASPR --cgback cgback

Structures of peers stay in FOLDER, one PDB file a chain, and are not built again; a peer that has none and whose
program is not given has no row, one that has some says how many. Rows of earlier calls are kept in the JSON file.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from peers import PEERS, build, read_pdb

from openmm_cgvae.metrics.deviations import diversity, protein_rmsd
from openmm_cgvae.metrics.proteins import LONG, protein_figures, protein_summary, protein_table
from openmm_cgvae.molecule.residues import HEAVY_ATOMS, RESIDUE_NAMES, VARIANT_TYPES
from openmm_cgvae.training.chains import PackedChains

SEED = 20
# Chains of the subset: of a common size, and above 300 residues.
SHORT, MANY_SHORT, MANY_LONG = (55, 290), 30, 5
RESULTS = Path(__file__).parent / "results"


def main():
    """Measure the rows asked for, write them beside those there are, print the table."""
    args = _arguments()
    chains = list(PackedChains.load(args.chains).subset("test"))
    chosen = chains if args.all else subset(chains)
    output = args.output or RESULTS / ("proteins-all.json" if args.all else "proteins.json")
    result = json.loads(output.read_text()) if output.exists() else {"rows": {}}
    result |= {"seed": SEED, "chains": [chain.name for chain in chosen]}
    for name, measure in _rows(args, chosen):
        if row := measure():
            complete = row["chains"] == len(chosen)
            kept = {key: value for key, value in result["rows"].items() if key.split(" (")[0] != name}
            label = name if complete else f"{name} ({row['chains']} of {len(chosen)} chains)"
            result["rows"] = kept | {label: row}
            output.write_text(json.dumps(result, indent=1) + "\n")
    print(protein_table(result["rows"]))
    print(f"\nChains above {LONG} residues\n\n{protein_table(result['rows'], long=True)}")


def subset(chains, seed=SEED):
    """Unbroken chains to compare slow peers on: 30 of 55 to 290 residues and 5 above 300, by seed."""
    rng = np.random.default_rng(seed)
    whole = sorted((chain for chain in chains if chain.connected[1:].all()), key=lambda chain: chain.name)
    short = [chain for chain in whole if SHORT[0] <= len(chain.residue_types) <= SHORT[1]]
    long = [chain for chain in whole if len(chain.residue_types) > LONG]
    return [part[k] for part, n in ((short, MANY_SHORT), (long, MANY_LONG)) for k in rng.permutation(len(part))[:n]]


def summarised(chains, structures):
    """Summary of structures, each (atoms, mask, CPU seconds or None, further samples), None where a chain has none."""
    figures, lengths = [], []
    for chain, structure in zip(chains, structures, strict=True):
        if structure is None:
            continue
        atoms, mask, seconds, samples = structure
        parts = (chain.residue_types, atoms, chain.atoms, chain.mask, chain.connected)
        figures.append(protein_figures(*parts, mask))
        if seconds:
            figures[-1]["residues_per_second"] = (len(chain.residue_types), seconds)
        if len(samples) > 1:
            figures[-1] |= of_samples(chain, samples, chain.mask & mask)
        lengths.append(len(chain.residue_types))
    return protein_summary(figures, lengths) if figures else None


def of_samples(chain, samples, mask):
    """Least RMSD of several samples (s, N, 14, 3), and how they spread."""
    rmsd = protein_rmsd(chain.residue_types, samples, chain.atoms, mask)["all"]
    spread = diversity(chain.residue_types, samples, chain.atoms, mask)
    return {"rmsd_best": (float(rmsd.min()), 1), "diversity": (spread, 1)}


def built_by(peer, program, chains, folder):
    """Structures of a peer, from the folder or, given its program, built now."""
    for chain in chains:
        if not program and not (folder / peer / f"{chain.name}.json").exists():
            yield None
            continue
        path, seconds = build(peer, program, chain, folder)
        yield *read_pdb(path, chain.residue_types), seconds, ()


def built_by_model(model, chains, samples=1, **options):
    """Structures of a model of this package; CPU seconds of one sample a chain, to which others are added."""
    from openmm_cgvae import Backmapper

    for number, chain in enumerate(chains):
        backmapper = Backmapper.load(model, bead_topology(chain))
        beads = chain.atoms[None, :, 1] / 10
        if not number:
            backmapper.sample(beads, seed=0, **options)
        started = time.process_time()
        positions = backmapper.sample(beads, seed=number, **options)[0, 0]
        seconds = time.process_time() - started
        atoms, mask = heavy_atoms(positions, backmapper.topology)
        several = backmapper.sample(beads, samples, seed=number, **options)[0] if samples > 1 else ()
        yield atoms, mask, seconds, np.array([heavy_atoms(x, backmapper.topology)[0] for x in several])


def programs_of(args):
    """The program of each peer."""
    return {"pulchra": args.pulchra, "cgback": args.cgback} | {peer: args.faspr for peer in PEERS if "faspr" in peer}


def bead_topology(chain):
    """C-alpha beads as an OpenMM topology, a chain for each unbroken part."""
    from openmm import app

    topology, part = app.Topology(), None
    for kind, connected in zip(chain.residue_types, chain.connected, strict=True):
        part = part if part and connected else topology.addChain()
        residue = topology.addResidue(RESIDUE_NAMES[kind], part)
        topology.addAtom("CA", app.element.carbon, residue)
    return topology


def heavy_atoms(positions, topology):
    """Atoms (N, 14, 3) in Angstrom and mask (N, 14) from positions in nm of an OpenMM topology."""
    rows = []
    for atom in topology.atoms():
        names = HEAVY_ATOMS[VARIANT_TYPES[atom.residue.name]] if atom.residue.name in VARIANT_TYPES else ()
        if atom.name in names:
            rows.append((atom.index, atom.residue.index, names.index(atom.name)))
    index, residue, slot = np.array(rows).T
    atoms, mask = np.zeros((topology.getNumResidues(), 14, 3)), np.zeros((topology.getNumResidues(), 14), dtype=bool)
    atoms[residue, slot], mask[residue, slot] = np.asarray(positions)[index] * 10, True
    return atoms, mask


def _rows(args, chains):
    """Name of each row, and a function that measures it."""
    yield "crystal", lambda: summarised(chains, ((chain.atoms, chain.mask, None, ()) for chain in chains))
    if args.peers:
        programs = programs_of(args)
        for peer in PEERS:
            yield peer, lambda peer=peer: summarised(chains, built_by(peer, programs[peer], chains, args.peers))
    if args.model:
        yield args.model, lambda: summarised(chains, built_by_model(args.model, chains, args.samples))
        if args.representative:
            options = {"representative": True}
            yield (
                f"{args.model}, representative",
                lambda: summarised(chains, built_by_model(args.model, chains, **options)),
            )


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chains", type=Path, help="packed chains (chains.npz)")
    parser.add_argument("--all", action="store_true", help="all test chains instead of the subset")
    parser.add_argument("--model", help="name or file of a model of this package")
    parser.add_argument("--representative", action="store_true", help="the single best guess of the model too")
    parser.add_argument("--samples", type=int, default=1, help="of the model, for its diversity and best of samples")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="structures of peers, built if missing")
    parser.add_argument("--pulchra", metavar="PROGRAM", help="PULCHRA, called with -i and -o (PyPI: pypulchra)")
    parser.add_argument("--faspr", metavar="PROGRAM", help="FASPR (PyPI: in the folder of pyfaspr)")
    parser.add_argument("--cgback", metavar="PROGRAM", help="CGBack (PyPI: cgback)")
    parser.add_argument("--output", type=Path, help="JSON file; in benchmarks/results if omitted")
    return parser.parse_args()


if __name__ == "__main__":
    main()
