"""Compare samples of a model with reference MD in every respect."""

import json

from openmm_cgvae.cli.common import add_model, add_overwrite, add_salvage, add_topology, print_table
from openmm_cgvae.core.output import check_output, complete_output

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    parser.add_argument("trajectories", nargs="+", metavar="AA.dcd", help="MD the model has not seen, a run each")
    add_topology(parser, "all atoms")
    add_model(parser)
    parser.add_argument("--json", required=True, metavar="out.json", help="gets all figures")
    parser.add_argument("--samples", type=int, default=8, metavar="K", help="all-atom structures a frame (8)")
    parser.add_argument("--stride", type=int, default=1, metavar="n", help="use every n-th frame (1)")
    parser.add_argument(
        "--run-frames", type=int, metavar="n", help="frames a run (before the stride), where a file holds several"
    )
    add_salvage(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="same seed, same figures (0)")
    parser.add_argument("--no-minimize", action="store_true", help="leave out the energies")
    add_overwrite(parser)


def run(options):
    output = check_output(options.json, options.overwrite)
    import numpy as np

    from openmm_cgvae.backmapping.backmapper import Backmapper
    from openmm_cgvae.evaluation.evaluate import evaluate
    from openmm_cgvae.io.structures import load_topology
    from openmm_cgvae.preparation.dataset import read_reference

    topology = load_topology(options.top)
    backmapper = Backmapper.load(options.model)
    backmapper.mapping.check_topology(topology)
    reference, runs = read_reference(
        options.trajectories, topology, options.stride, options.run_frames, options.salvage
    )
    figures = evaluate(
        backmapper,
        reference,
        runs if len(np.unique(runs)) > 1 else None,
        options.samples,
        options.seed,
        not options.no_minimize,
    )
    figures = {"model": options.model, "reference": options.trajectories, **figures}
    with complete_output(output) as temporary:
        temporary.write_text(json.dumps(figures, indent=1) + "\n")
    print_table(list(_rows(figures)))


def _rows(figures):
    """All but the single torsions, each with its floor or with what MD itself scores in brackets."""
    for name, value in figures.items():
        if isinstance(value, dict) or name.startswith("md_") or name.endswith("_floor"):
            continue
        text = ", ".join(value) if isinstance(value, list) else _shown(value)
        for other, label in ((f"{name}_floor", "floor"), (f"md_{name}", "MD")):
            if figures.get(other) is not None:
                text += f" ({label} {_shown(figures[other])})"
        yield name, text


def _shown(value):
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)
