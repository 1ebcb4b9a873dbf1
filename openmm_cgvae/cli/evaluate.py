"""Compare samples of a model with reference MD in every respect; of a model of any protein, with crystals.

A model of any protein takes MD of one protein, with its atoms as --top, or structures: PDB or mmCIF files, or packed
chains, of which it takes the test split. Beads are made of every chain, and the chain is built from them.
"""

from contextlib import ExitStack
from functools import partial

from openmm_cgvae.cli.common import add_model, add_overwrite, add_resume, add_salvage, add_scheduler, add_topology
from openmm_cgvae.cli.pages import command_source, write_page
from openmm_cgvae.cli.summary import STDOUT, Summary
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.output import check_output, complete_output

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
    add_resume(parser, partial=False)


def run(options):
    outputs = [path for path in (options.json, options.report) if path not in (None, STDOUT)]
    if not outputs and options.resume:
        raise SettingsError("--resume given without a file to go on with: give --json FILE, --report FILE, or both")
    for path in outputs:
        check_output(path, options.overwrite or options.resume, options.trajectories)
    from openmm_cgvae.backmapping.model import Model
    from openmm_cgvae.io.journal import Journal, Steps

    model = Model.load(options.model, trust=options.trust)
    with ExitStack() as stack:
        journal = None
        if outputs:
            settings = _settings(options)
            journal = stack.enter_context(
                Journal(outputs[0], settings, options.resume, options.overwrite, outputs, partial=False)
            )
        of_crystals = model.of_any_molecule and options.top is None
        found, head, rows, subject = (_of_proteins if of_crystals else _of_molecule)(options, model, Steps(journal))
        done = Summary(rows, {"model": options.model, "reference": options.trajectories, **found}, head)
        temporaries = {path: stack.enter_context(complete_output(path)) for path in outputs}
        if options.json in temporaries:
            done.write(temporaries[options.json])
        if options.report:
            data = ("model", options.model), ("reference", ", ".join(options.trajectories))
            page = subject(sources=[*data, *command_source(options)])
            rows.append(write_page(options.report, page, temporaries[options.report]))
        if journal is not None:
            journal.complete(*temporaries.values())
    return done


def _settings(options):
    """All that the figures depend on."""
    from openmm_cgvae.core.fingerprint import file_fingerprint
    from openmm_cgvae.io.bundled import resolve_model

    names = ("samples", "stride", "run_frames", "salvage", "seed", "no_minimize", "representative", "trust")
    return {
        "model": file_fingerprint(resolve_model(options.model)),
        "trajectories": [file_fingerprint(path) for path in options.trajectories],
        "top": options.top and file_fingerprint(options.top),
        **{name: getattr(options, name) for name in names},
    }


def _of_proteins(options, model, steps):
    """Figures of `protein_summary`, headings and rows of their table, and what makes the `Subject` of a page."""
    from openmm_cgvae.evaluation.proteins import evaluate_proteins, model_builder
    from openmm_cgvae.evaluation.subject import of_longest
    from openmm_cgvae.metrics.proteins import protein_rows
    from openmm_cgvae.preparation.crystalchains import chains_of_paths
    from openmm_cgvae.proteins.beadweights import MAPPINGS

    chains, mapping = chains_of_paths(options.trajectories, SHORTEST), MAPPINGS[model.metadata["mapping"]]
    wanted = {"sample": {"samples": options.samples}}
    if options.representative:
        wanted["representative"] = {"representative": True}
    found = {
        name: evaluate_proteins(chains, model_builder(model.bind, mapping, seed=options.seed, **how), steps)
        for name, how in wanted.items()
    }
    head, *rows = protein_rows(found)
    subject = partial(of_longest, model, chains, options.model, options.samples, options.seed)
    return {"rows": found, "chains": [chain.name for chain in chains]}, head, rows, subject


def _of_molecule(options, model, steps):
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
    backmapper = None if model.of_any_molecule else model.bind()
    if backmapper is not None:
        backmapper.mapping.check_topology(topology)
    reference, runs = read_reference(
        options.trajectories, topology, options.stride, options.run_frames, options.salvage
    )
    if backmapper is None:
        from openmm_cgvae.preparation.atomprotein import bound_to_atoms

        backmapper, order = bound_to_atoms(model, topology.to_openmm(), reference[0])
        reference = reference[:, order]
    runs = runs if len(np.unique(runs)) > 1 else None
    with cluster_client(options.scheduler) as client:
        found = evaluate(
            backmapper, reference, runs, options.samples, options.seed, not options.no_minimize, client=client,
            steps=steps,
        )  # fmt: skip
    # Each with its floor, or with what MD itself scores, in brackets.
    rows = [
        (name, shown_value(value) + ("" if other is None else f" ({kind} {shown_value(other)})"))
        for name, value, other, kind in figure_rows(found)
    ]
    return found, (), rows, partial(of_evaluation, found, str(model.metadata.get("name", options.model)))
