"""Beads of held-out proteins to heavy atoms: ours and peers, by the same figures, on the same chains.

    python benchmarks/proteins.py chains.npz --model protein-ca
    python benchmarks/proteins.py chains.npz --peers FOLDER --pulchra pypulchra --faspr FASPR --cgback cgback

Structures of peers stay in FOLDER, one PDB file a chain, and are not built again; a peer that has none and whose
program is not given has no row, one that has some says how many. Rows of earlier calls are kept in the JSON file.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from peers import PEERS, build, read_pdb

from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.evaluation.proteins import evaluate_proteins, model_builder
from openmm_cgvae.metrics.proteins import LONG, protein_table
from openmm_cgvae.proteins.chains import PackedChains

SEED = 20
# Chains of the subset: of a common size, and above 300 residues.
SHORT, MANY_SHORT, MANY_LONG = (55, 290), 30, 5
RESULTS = Path(__file__).parent / "results"


def main():
    """Measure the rows asked for, write them beside those there are, print the table."""
    args = _arguments()
    chains = list(PackedChains.load(args.chains).subset("test"))
    chosen = chains if args.all else subset(chains)
    parts = ["proteins", *([] if args.mapping == "ca" else [args.mapping]), *(["all"] if args.all else [])]
    output = args.output or RESULTS / f"{'-'.join(parts)}.json"
    result = json.loads(output.read_text()) if output.exists() else {"rows": {}}
    result |= {"seed": SEED, "chains": [chain.name for chain in chosen]}
    for name, builder in _rows(args).items():
        if row := evaluate_proteins(chosen, builder):
            built = "" if row["chains"] == len(chosen) else f" ({row['chains']} of {len(chosen)} chains)"
            result["rows"] = with_row(result["rows"], name, name + built, row)
            output.write_text(json.dumps(result, indent=1) + "\n")
    print(protein_table(result["rows"]))
    print(f"\nChains above {LONG} residues\n\n{protein_table(result['rows'], long=True)}")


def with_row(rows, name, label, row):
    """The rows with one more, or in place of what it was before, when fewer chains may have been built."""
    known = {key.split(" (")[0]: key for key in rows}
    if name not in known:
        return rows | {label: row}
    return {label if key == known[name] else key: row if key == known[name] else value for key, value in rows.items()}


def subset(chains, seed=SEED):
    """Unbroken chains to compare slow peers on: 30 of 55 to 290 residues and 5 above 300, by seed."""
    rng = np.random.default_rng(seed)
    whole = sorted((chain for chain in chains if chain.connected[1:].all()), key=lambda chain: chain.name)
    short = [chain for chain in whole if SHORT[0] <= len(chain.residue_types) <= SHORT[1]]
    long = [chain for chain in whole if len(chain.residue_types) > LONG]
    return [part[k] for part, n in ((short, MANY_SHORT), (long, MANY_LONG)) for k in rng.permutation(len(part))[:n]]


def built_by(peer, program, folder):
    """A function that builds a chain as a peer does, from the folder or, given its program, now."""

    def build_chain(chain):
        if not program and not (folder / peer / f"{chain.name}.json").exists():
            return None
        path, seconds = build(peer, program, chain, folder)
        atoms, mask = read_pdb(path, chain.residue_types)
        return atoms[None], mask, seconds

    return build_chain


def built_by_model(name, mapping="ca", samples=1, **options):
    """A function that builds a chain as a model of this package does."""
    return model_builder(Model.load(name).bind, mapping, samples, **options)


def programs_of(args):
    """The program of each peer."""
    return {peer: args.faspr if "faspr" in peer else getattr(args, peer) for peer in PEERS}


def _rows(args):
    """Name of each row to the function that builds a chain."""
    rows = {"crystal": lambda chain: (chain.atoms[None], chain.mask, None)}
    if args.peers:
        rows |= {peer: built_by(peer, program, args.peers) for peer, program in programs_of(args).items()}
    if args.model:
        rows[args.model] = built_by_model(args.model, args.mapping, args.samples)
        if args.representative:
            rows[f"{args.model}, representative"] = built_by_model(args.model, args.mapping, representative=True)
    return rows


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chains", type=Path, help="packed chains (chains.npz)")
    parser.add_argument("--all", action="store_true", help="all test chains instead of the subset")
    parser.add_argument("--model", help="name or file of a model of this package")
    parser.add_argument("--mapping", default="ca", help="beads that the model is of: ca, com, martini3 or martini2")
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
