"""Energy per residue after 50 steps of minimisation, over that of the minimised native structure.

    python benchmarks/protein_energy.py chains.npz --peers FOLDER --model protein-ca

On the complete chains of the subset of ``proteins.py`` of --shortest to --longest residues; amber14 with GBn2, cutoff
1.2 nm, hydrogens as in the native structure, which is minimised for ten times as many steps.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from peers import PEERS
from proteins import RESULTS, built_by, built_by_model, subset

from openmm_cgvae.atomistic.proteinenergy import ProteinEnergy
from openmm_cgvae.metrics.residueshapes import present_slots
from openmm_cgvae.proteins.chains import PackedChains

ITERATIONS, NATIVE_ITERATIONS = 50, 500


def main():
    """Measure the rows asked for, write them beside those there are, print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chains", type=Path, help="packed chains (chains.npz)")
    parser.add_argument("--shortest", type=int, default=0, help="shortest chain")
    parser.add_argument("--longest", type=int, default=130, help="longest chain (default: 130 residues)")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="structures of peers, as proteins.py keeps them")
    parser.add_argument("--model", help="name or file of a model of this package")
    parser.add_argument("--output", type=Path, default=RESULTS / "protein-energy.json")
    args = parser.parse_args()
    chains = [
        chain
        for chain in subset(list(PackedChains.load(args.chains).subset("test")))
        if args.shortest <= len(chain.residue_types) <= args.longest
        and np.array_equal(chain.mask, present_slots(chain.residue_types))
    ]
    result = json.loads(args.output.read_text()) if args.output.exists() else {"native": {}, "rows": {}}
    rows = _rows(args)
    for chain in chains:
        energy = ProteinEnergy(chain.residue_types, chain.atoms, chain.mask, chain.connected)
        if chain.name not in result["native"]:
            result["native"][chain.name] = energy(chain.atoms, NATIVE_ITERATIONS).minimized
        for name, builder in rows.items():
            row = result["rows"].setdefault(name, {})
            if chain.name not in row and (built := builder(chain)) is not None:
                row[chain.name] = vars(energy(built[0][0], ITERATIONS))
                args.output.write_text(json.dumps(result, indent=1) + "\n")
    for name, row in result["rows"].items():
        over = {key: [row[chain][key] - result["native"][chain] for chain in row] for key in ("initial", "minimized")}
        print(f"{name}: {len(row)} chains, kJ/mol per residue over the minimised native structure, medians: "
              f"{np.median(over['initial']):.3g} before, {np.median(over['minimized']):.3g} after")  # fmt: skip


def _rows(args):
    """Name of each row to the function that builds a chain."""
    rows = {"crystal": lambda chain: (chain.atoms[None], chain.mask, None)}
    if args.peers:
        rows |= {peer: built_by(peer, None, args.peers) for peer in PEERS}
    if args.model:
        rows[args.model] = built_by_model(args.model)
    return rows


if __name__ == "__main__":
    main()
