"""Compare samples of a model with reference MD in every respect; of a model of any protein, with crystals.

A model of any protein takes structures in place of MD: PDB or mmCIF files, or packed chains, of which it takes the test
split. Beads are made of every chain, and the chain is built from them.
"""

from functools import partial

from openmm_cgvae.cli.common import add_model, add_overwrite, add_salvage, add_scheduler, add_topology
from openmm_cgvae.cli.pages import command_source, write_page
from openmm_cgvae.cli.summary import Summary
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.output import check_output

__all__ = ["add_arguments", "run"]

# Residues of a protein chain that is evaluated, at least.
SHORTEST = 5


def add_arguments(parser):
    parser.add_argument(
        "trajectories", nargs="+", metavar="AA.dcd", help="MD the model has not seen, a run each; or protein structures"
    )
    add_topology(parser, "all atoms", required=False)
    add_model(parser)
    parser.add_argument("--report", metavar="out.html", help="gets a page that shows them, and the structures")
    parser.add_argument("--samples", type=int, default=8, metavar="K", help="all-atom structures a frame (8)")
    parser.add_argument("--stride", type=int, default=1, metavar="n", help="use every n-th frame (1)")
    parser.add_argument(
        "--run-frames", type=int, metavar="n", help="frames a run (before the stride), where a file holds several"
    )
    add_salvage(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="same seed, same figures (0)")
    parser.add_argument("--no-minimize", action="store_true", help="leave out the energies")
    parser.add_argument("--representative", action="store_true", help="of any protein: the single best guess too")
    add_scheduler(parser)
    add_overwrite(parser)


def run(options):
    if options.report is not None:
        check_output(options.report, options.overwrite, options.trajectories)
    from openmm_cgvae.backmapping.model import Model

    model = Model.load(options.model, trust=options.trust)
    measured = _of_proteins if model.of_any_molecule else _of_molecule
    found, head, rows, subject = measured(options, model)
    if options.report:
        sources = [("model", options.model), ("reference", ", ".join(options.trajectories)), *command_source(options)]
        rows.append(write_page(options.report, subject(sources=sources)))
    return Summary(rows, {"model": options.model, "reference": options.trajectories, **found}, head)


def _of_proteins(options, model):
    """Figures of `protein_summary`, headings and rows of their table, and what makes the `Subject` of a page."""
    from openmm_cgvae.evaluation.proteins import chains_of_paths, evaluate_proteins, model_builder
    from openmm_cgvae.evaluation.subject import of_longest
    from openmm_cgvae.metrics.proteins import protein_rows
    from openmm_cgvae.proteins.beadweights import MAPPINGS

    chains, mapping = chains_of_paths(options.trajectories, SHORTEST), MAPPINGS[model.metadata["mapping"]]
    wanted = {"sample": {"samples": options.samples}}
    if options.representative:
        wanted["representative"] = {"representative": True}
    found = {
        name: evaluate_proteins(chains, model_builder(model.bind, mapping, seed=options.seed, **how))
        for name, how in wanted.items()
    }
    head, *rows = protein_rows(found)
    subject = partial(of_longest, model, chains, options.model, options.samples, options.seed)
    return {"rows": found, "chains": [chain.name for chain in chains]}, head, rows, subject


def _of_molecule(options, model):
    """The same of `evaluate`."""
    import numpy as np

    from openmm_cgvae.core.representation import shown_value
    from openmm_cgvae.evaluation.evaluate import evaluate, figure_rows
    from openmm_cgvae.evaluation.subject import of_evaluation
    from openmm_cgvae.formats.structures import load_topology
    from openmm_cgvae.io.cluster import cluster_client
    from openmm_cgvae.preparation.dataset import read_reference

    if options.top is None:
        raise SettingsError("--top is missing: give the all-atom topology (PDB) of the trajectories")
    topology = load_topology(options.top)
    backmapper = model.bind()
    backmapper.mapping.check_topology(topology)
    reference, runs = read_reference(
        options.trajectories, topology, options.stride, options.run_frames, options.salvage
    )
    runs = runs if len(np.unique(runs)) > 1 else None
    with cluster_client(options.scheduler) as client:
        found = evaluate(
            backmapper, reference, runs, options.samples, options.seed, not options.no_minimize, client=client
        )
    # Each with its floor, or with what MD itself scores, in brackets.
    rows = [
        (name, shown_value(value) + ("" if other is None else f" ({kind} {shown_value(other)})"))
        for name, value, other, kind in figure_rows(found)
    ]
    return found, (), rows, partial(of_evaluation, found, str(model.metadata.get("name", options.model)))
