"""What a model of small molecules gains by more molecules: one training for each number of them, measured alike.

    python benchmarks/learning_curve.py ensembles.npz WORK --molecules 100 400 1655    (repeat to go on)

Smaller parts are within larger ones, and every training sees as many conformers. Validation molecules are measured, of
``--references`` where given (an archive of `sample-conformers`, with more seeds than those that are trained on).
"""

import argparse
import json
from pathlib import Path

import numpy as np
from proteins import RESULTS

from openmm_cgvae.ensembles.packed import PackedEnsembles
from openmm_cgvae.ensembles.torsionconfig import TorsionConfig
from openmm_cgvae.ensembles.torsionexport import export_ligand_model
from openmm_cgvae.ensembles.torsiontrainer import TorsionTrainer
from openmm_cgvae.evaluation.conformers.evaluation import ConformerSettings, evaluate_conformers
from openmm_cgvae.evaluation.conformers.generators import named_generator
from openmm_cgvae.io.modelfile import ModelFile

FIGURES = ("coverage_recall_0.75", "coverage_precision_0.75", "amr_recall", "amr_precision", "worst")


def main():
    """Train and measure each number of molecules that is not in the results yet, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ensembles", type=Path, help="with splits train and validation")
    parser.add_argument("work", type=Path)
    parser.add_argument("--molecules", type=int, nargs="+", default=[100, 200, 400, 800, 1655])
    parser.add_argument("--conformers", type=int, default=150_000, help="that a training sees (150000)")
    parser.add_argument("--references", type=Path, help="of validation molecules (the ensembles)")
    parser.add_argument("--output", type=Path, default=RESULTS / "learning-curve.json")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    ensembles = PackedEnsembles.load(args.ensembles)
    references = PackedEnsembles.load(args.references) if args.references else ensembles
    rows = json.loads(args.output.read_text()) if args.output.exists() else {}
    for n in args.molecules:
        if str(n) not in rows:
            rows[str(n)] = _measured(ensembles, references, n, args)
            args.output.write_text(json.dumps(rows, indent=1) + "\n")
        print(n, {name: round(value, 3) for name, value in rows[str(n)].items()}, flush=True)


def _measured(ensembles, references, n, args):
    path = args.work / f"{n}.pt"
    if not path.exists():
        trainer = TorsionTrainer(part(ensembles, n), args.work / f"{n}", TorsionConfig(conformers=args.conformers))
        trainer.run()
        export_ligand_model(trainer.folder, path)
    settings = ConformerSettings(generators=("model",), split="validation")
    generators = {"model": named_generator(str(path), trust=True)}
    results = evaluate_conformers(references, args.work / f"{n}-evaluation", settings, generators=generators)
    found = results["ensembles"]["all"]["model"]
    entropies = ModelFile.load(path).metadata["validation"]
    return {**entropies, **{name: found[f"{name}_mean_over_molecules"] for name in FIGURES}}


def part(ensembles, n):
    """`n` training molecules, and all of validation."""
    train = list(ensembles.subset("train"))
    order = np.random.default_rng(0).permutation(len(train))[:n]
    return PackedEnsembles.packed([*(train[k] for k in sorted(order)), *ensembles.subset("validation")])


if __name__ == "__main__":
    main()
