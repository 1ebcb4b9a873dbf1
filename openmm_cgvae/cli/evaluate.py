"""Compare samples of a model with reference MD in every respect; of a model of any protein, with crystals.

A model of any protein takes MD of one protein, with its atoms as --top, or structures: PDB or mmCIF files, or packed
chains, of which it takes the test split. Beads are made of every chain, and the chain is built from them.
"""

from contextlib import ExitStack
from dataclasses import fields

from openmm_cgvae.cli.common import add_model, add_overwrite, add_resume, add_runs, add_scheduler, add_topology
from openmm_cgvae.cli.pages import command_source, write_page
from openmm_cgvae.cli.summary import STDOUT, Summary
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.output import check_output, complete_output

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    parser.add_argument(
        "trajectories", nargs="+", metavar="AA.dcd", help="MD the model has not seen, a run each; or protein structures"
    )
    add_topology(parser, "all atoms", required=False)
    add_model(parser)
    parser.add_argument("--report", metavar="out.html", help="gets a page that shows them, and the structures")
    parser.add_argument("--samples", type=int, default=8, metavar="K", help="all-atom structures a frame (8)")
    add_runs(parser)
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
    from openmm_cgvae.io.cluster import cluster_client
    from openmm_cgvae.io.journal import Journal, Steps
    from openmm_cgvae.pretrained.measured import Measurement

    wanted = Measurement(**{field.name: getattr(options, field.name) for field in fields(Measurement)})
    with ExitStack() as stack:
        journal = None
        if outputs:
            journal = stack.enter_context(
                Journal(outputs[0], wanted.settings(), options.resume, options.overwrite, outputs, partial=False)
            )
        client = stack.enter_context(cluster_client(options.scheduler))
        facts, head, rows, subject = wanted.measure(Steps(journal), client)
        done = Summary(rows, facts, head)
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
