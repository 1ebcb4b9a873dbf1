"""Compare samples of a model with reference MD in every respect; of a model of any protein, with crystals.

A model of any protein takes structures in place of MD: PDB or mmCIF files, or packed chains, of which it takes the test
split. Beads are made of every chain, and the chain is built from them.
"""

from contextlib import ExitStack

from openmm_cgvae.cli.common import (
    add_model,
    add_overwrite,
    add_resume,
    add_salvage,
    add_scheduler,
    add_topology,
    print_table,
)
from openmm_cgvae.cli.pages import command_source, write_and_tell
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.output import check_output, complete_output, write_json

__all__ = ["add_arguments", "run"]

# Residues of a protein chain that is evaluated, at least.
SHORTEST = 5


def add_arguments(parser):
    parser.add_argument(
        "trajectories", nargs="+", metavar="AA.dcd", help="MD the model has not seen, a run each; or protein structures"
    )
    add_topology(parser, "all atoms", required=False)
    add_model(parser)
    parser.add_argument("--json", metavar="out.json", help="gets all figures")
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
    if options.json is None and options.report is None:
        raise SettingsError("neither --json nor --report given: give one, or both, for the figures")
    outputs = [path for path in (options.json, options.report) if path]
    for path in outputs:
        check_output(path, options.overwrite or options.resume, options.trajectories)
    from openmm_cgvae.backmapping.model import Model
    from openmm_cgvae.io.journal import Journal, Steps

    model = Model.load(options.model, trust=options.trust)
    with (
        Journal(outputs[0], _settings(options), options.resume, options.overwrite, outputs, partial=False) as journal,
        ExitStack() as stack,
    ):
        steps = Steps(journal)
        found = _of_proteins(options, model, steps) if model.of_any_molecule else _of_molecule(options, model, steps)
        figures = {"model": options.model, "reference": options.trajectories, **found}
        temporaries = {path: stack.enter_context(complete_output(path)) for path in outputs}
        if options.json:
            write_json(temporaries[options.json], figures)
        if not model.of_any_molecule:
            print_table(list(_rows(figures)))
        if options.report:
            write_and_tell(options.report, _subject(options, model, found), temporaries[options.report])
        journal.complete(*temporaries.values())


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


def _subject(options, model, found):
    """What the page shows: the evaluation, or the longest protein chain."""
    from openmm_cgvae.evaluation.subject import of_evaluation, of_longest

    sources = [("model", options.model), ("reference", ", ".join(options.trajectories)), *command_source(options)]
    if model.of_any_molecule:
        chains = _chains(options.trajectories)
        return of_longest(model, chains, options.model, options.samples, options.seed, sources=sources)
    return of_evaluation(found, str(model.metadata.get("name", options.model)), sources=sources)


def _of_proteins(options, model, steps):
    """Figures of `protein_summary` by row; prints them as a table."""
    from openmm_cgvae.evaluation.proteins import evaluate_proteins, model_builder
    from openmm_cgvae.metrics.proteins import protein_table
    from openmm_cgvae.proteins.beadweights import MAPPINGS

    chains, mapping = _chains(options.trajectories), MAPPINGS[model.metadata["mapping"]]
    wanted = {"sample": {"samples": options.samples}}
    if options.representative:
        wanted["representative"] = {"representative": True}
    rows = {
        name: evaluate_proteins(chains, model_builder(model.bind, mapping, seed=options.seed, **how), steps)
        for name, how in wanted.items()
    }
    print(protein_table(rows))
    return {"rows": rows, "chains": [chain.name for chain in chains]}


def _chains(paths):
    """Protein chains of structures, or the test split of packed ones."""
    from openmm_cgvae.core.errors import DataError
    from openmm_cgvae.preparation.atomrecords import is_structure
    from openmm_cgvae.preparation.crystalchains import chains_of_file
    from openmm_cgvae.proteins.chains import PackedChains

    chains = []
    for path in paths:
        if path.endswith(".npz"):
            chains += PackedChains.load(path).subset("test")
        elif is_structure(path):
            chains += chains_of_file(path, shortest=SHORTEST, complete=0.0)[0]
        else:
            raise DataError(
                f"{path} given for a model of any protein: PDB or mmCIF files, or packed chains are expected"
            )
    if not chains:
        raise DataError(f"no protein chain of {SHORTEST} residues or more with its backbone in {', '.join(paths)}")
    return chains


def _of_molecule(options, model, steps):
    """All figures of `evaluate`."""
    import numpy as np

    from openmm_cgvae.evaluation.evaluate import evaluate
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
    with cluster_client(options.scheduler) as client:
        return evaluate(
            backmapper,
            reference,
            runs if len(np.unique(runs)) > 1 else None,
            options.samples,
            options.seed,
            not options.no_minimize,
            client=client,
            steps=steps,
        )


def _rows(figures):
    """All but the single torsions, each with its floor or with what MD itself scores in brackets."""
    from openmm_cgvae.core.representation import shown_value
    from openmm_cgvae.evaluation.evaluate import figure_rows

    for name, value, other, kind in figure_rows(figures):
        yield name, shown_value(value) + ("" if other is None else f" ({kind} {shown_value(other)})")
