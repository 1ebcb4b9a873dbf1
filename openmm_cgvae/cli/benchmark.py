"""Compare CGVAE and the paper's baselines over folds (Tables 5 and 6); run it again to go on."""

import math
from dataclasses import replace

from openmm_cgvae.cli import train
from openmm_cgvae.cli.common import add_runs, add_scheduler, add_topology
from openmm_cgvae.cli.map import METHODS
from openmm_cgvae.cli.summary import Summary
from openmm_cgvae.core.output import existing_folder, write_json, write_text

__all__ = ["add_arguments", "run"]

# As in `openmm_cgvae.evaluation.benchmark`, which is too heavy to import before it is needed.
MODELS = ("linear", "mlp", "geometric", "cgvae-raw", "cgvae")
SPLITS = ("runs", "shuffled")


def add_arguments(parser):
    parser.add_argument("trajectories", nargs="+", metavar="AA.dcd", help="reference MD, a run each")
    add_topology(parser, "all atoms")
    parser.add_argument(
        "--mapping", nargs="+", required=True, metavar="METHOD:N",
        help=f"one or more of {', '.join(METHODS)} (the first three with :N beads), or mapping files",
    )  # fmt: skip
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="cases, results.json and results.md")
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="MODEL", help=f"of {', '.join(MODELS)} (all)")
    parser.add_argument("--splits", nargs="+", default=SPLITS, metavar="SPLIT", help=f"of {', '.join(SPLITS)} (both)")
    parser.add_argument("--folds", type=int, default=5, help="each held out once (5)")
    parser.add_argument("--epochs", type=int, help="of every training; if omitted, Table 3's and the preset's")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end the training of a fold after this")
    parser.add_argument("--samples", type=int, default=8, metavar="K", help="all-atom structures a test frame (8)")
    parser.add_argument("--test-frames", type=int, default=2000, metavar="n", help="measured in a fold, at most (2000)")
    parser.add_argument("--preset", default="small", help="of cgvae: small, paper-alanine-dipeptide, ... (see train)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change any setting of cgvae")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of mappings, folds, training, samples (0)")
    add_runs(parser)
    add_scheduler(parser)


def run(options):
    from openmm_cgvae.evaluation.benchmark import run_benchmark
    from openmm_cgvae.formats.structures import load_topology
    from openmm_cgvae.io.cluster import cluster_client
    from openmm_cgvae.preparation.dataset import read_reference
    from openmm_cgvae.preparation.mappings import named_mapping
    from openmm_cgvae.report.benchmark import benchmark_markdown

    settings = _settings(options)
    topology = load_topology(options.top)
    positions, runs = read_reference(
        options.trajectories, topology, options.stride, options.run_frames, options.salvage
    )
    folder = existing_folder(options.output)
    mappings = dict(named_mapping(text, topology, positions, folder, options.seed) for text in options.mapping)
    with cluster_client(options.scheduler) as client:
        results = run_benchmark(positions, runs, mappings, folder, settings, options.command_line, client=client)
    write_json(folder / "results.json", results)
    write_text(folder / "results.md", benchmark_markdown(results))
    return Summary([("cases", len(results["results"])), ("table", folder / "results.md")], results)


def _settings(options):
    from openmm_cgvae.evaluation.benchmark import BenchmarkSettings
    from openmm_cgvae.training.baselines import BaselineConfig

    model_config, training_config = train.settings(options)
    baseline_config = BaselineConfig()
    if options.epochs is not None:
        baseline_config = replace(baseline_config, epochs=options.epochs)
    return BenchmarkSettings(
        tuple(options.models),
        tuple(options.splits),
        options.folds,
        options.minutes,
        options.samples,
        options.test_frames,
        options.seed,
        baseline_config,
        model_config,
        training_config,
    )
