"""Compare generators of conformers with reference ensembles and crystal ligands; run it again to go on."""

from openmm_cgvae.cli.common import add_trust
from openmm_cgvae.cli.summary import Summary

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    parser.add_argument("ensembles", metavar="ensembles.npz", help="reference ensembles, of sample-conformers")
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="records.jsonl and results.json")
    parser.add_argument(
        "--generators", nargs="+", default=["etkdg", "etkdg+mmff"], metavar="NAME",
        help="etkdg, a bundled model or a model file; NAME+mmff is minimised (etkdg etkdg+mmff)",
    )  # fmt: skip
    add_trust(parser)
    parser.add_argument("--split", default="test", help="of the ensembles (test)")
    parser.add_argument("--only", type=int, dest="molecules", metavar="n", help="molecules measured, at most")
    parser.add_argument("--crystal", metavar="SDF", help="crystal ligands with bond orders, heavy atoms")
    parser.add_argument("--only-crystals", type=int, dest="crystals", metavar="n", help="of these, at most")
    parser.add_argument("--samples", type=int, default=20, metavar="n", help="conformers a crystal ligand (20)")
    parser.add_argument(
        "--energies", type=int, default=0, metavar="n", help="relax n conformers a molecule to compare energies (0)"
    )
    parser.add_argument("--seed", type=int, default=0)


def run(options):
    from openmm_cgvae.ensembles.packed import PackedEnsembles
    from openmm_cgvae.evaluation.conformers.evaluation import ConformerSettings, evaluate_conformers
    from openmm_cgvae.evaluation.conformers.generators import named_generator
    from openmm_cgvae.evaluation.conformers.summary import summary_rows

    settings = ConformerSettings(
        generators=tuple(options.generators),
        split=options.split,
        molecules=options.molecules,
        crystals=options.crystals,
        crystal_samples=options.samples,
        energies=options.energies,
        seed=options.seed,
    )
    generators = {name: named_generator(name, options.trust) for name in settings.generators}
    ensembles = PackedEnsembles.load(options.ensembles)
    results = evaluate_conformers(ensembles, options.output, settings, options.crystal, generators)
    return Summary(summary_rows(results), results)
