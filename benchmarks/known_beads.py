"""Distance of sampled heavy atoms from the conformers whose beads were given, without superposition.

    python benchmarks/known_beads.py ensembles.npz --split test --only 32

The first conformers of each molecule of three beads or more are backmapped; equivalent atoms may change places.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

import openmm_cgvae as cgvae
from openmm_cgvae.chemistry.symmetry import heavy_symmetries
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.ensembles.packed import PackedEnsembles

FEWEST_BEADS, ORDERS = 3, 512


def main():
    """Measure the molecules asked for, write every structure's figure, print means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ensembles", type=Path, help="packed ensembles (.npz)")
    parser.add_argument("--split", help="train, validation or test (default: all molecules)")
    parser.add_argument("--only", type=int, help="so many molecules of the file, also those of fewer beads")
    parser.add_argument("--conformers", type=int, default=3, help="of each molecule (default: 3)")
    parser.add_argument("--samples", type=int, default=2, help="for each conformer (default: 2)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="ligands", help="name or file of a model")
    parser.add_argument("--output", type=Path, help="JSON with the figures of every molecule")
    args = parser.parse_args()
    ensembles = PackedEnsembles.load(args.ensembles)
    ensembles = list(ensembles.subset(args.split) if args.split else ensembles)[: args.only]
    model = cgvae.Model.load(args.model)
    molecules = {}
    for ensemble in progress_bar(ensembles, desc="molecules"):
        mol = ensemble.mol()
        mapping = cgvae.CGMapping.rigid_fragments(mol)
        if mapping.n_beads >= FEWEST_BEADS:
            molecules[ensemble.smiles] = measured(model.bind(molecule=mol, mapping=mapping), mol, ensemble, args)
    if args.output:
        args.output.write_text(json.dumps(molecules, indent=1) + "\n")
    for few, many, label in ((3, np.inf, "all"), (3, 3, "3 beads"), (4, np.inf, "4 beads or more")):
        rows = [row for row in molecules.values() if few <= row["beads"] <= many]
        if rows:
            off = np.concatenate([row["off_A"] for row in rows])
            error = np.std([np.mean(row["off_A"]) for row in rows]) / len(rows) ** 0.5
            print(f"{label}: {len(rows)} molecules, {len(off)} structures, heavy atoms off by {off.mean():.3f} A "
                  f"(standard error over molecules {error:.3f}), median {np.median(off):.3f} A; beads by at most "
                  f"{max(row['beads_off_nm'] for row in rows):.1e} nm; "
                  f"{np.mean([row['seconds'] for row in rows]):.2f} s a structure")  # fmt: skip


def measured(backmapper, mol, ensemble, args):
    """Figures of a molecule."""
    given = ensemble.positions[: args.conformers] / ANGSTROM_PER_NM
    beads = backmapper.mapping.project(given)
    symmetries, started = heavy_symmetries(mol, ORDERS), time.perf_counter()
    atoms = backmapper.sample(beads, args.samples, seed=args.seed)
    seconds = (time.perf_counter() - started) / atoms.shape[0] / atoms.shape[1]
    heavy = symmetries.heavy
    off = [
        np.min([np.sqrt(np.square(y[heavy[order]] - x[heavy]).sum(-1).mean()) for order in symmetries.orders])
        for x, samples in zip(given, atoms, strict=True)
        for y in samples
    ]
    missed = max(np.abs(backmapper.mapping.project(y) - beads).max() for y in atoms.swapaxes(0, 1))
    return {
        "beads": backmapper.mapping.n_beads, "seconds": seconds, "beads_off_nm": float(missed),
        "off_A": (ANGSTROM_PER_NM * np.array(off)).tolist(),
    }  # fmt: skip


if __name__ == "__main__":
    main()
