"""Run a model's CG system in OpenMM and write all-atom frames as it goes."""

from dataclasses import asdict

from openmm_cgvae.cli.common import (
    add_model,
    add_overwrite,
    add_sampling,
    check_with_topology,
    make_minimizer,
    run_rows,
    skipped_rows,
)
from openmm_cgvae.cli.summary import Summary
from openmm_cgvae.core.errors import SettingsError

__all__ = ["add_arguments", "run"]

# What `run_and_backmap` calls arguments.
PASSED = {name: name for name in ("seed", "overwrite", "resume", "checkpoint", "temperature", "friction", "platform",
                                  "copies", "box")}  # fmt: skip
PASSED |= {"timeStep": "time_step", "correlationTime": "correlation_time", "onBadFrame": "on_bad_frame"}


def add_arguments(parser):
    add_model(parser)
    parser.add_argument(
        "--potential", metavar="FILE", help="instead of the model's own (see cg-forcefield, learn-forcefield)"
    )
    parser.add_argument("--steps", type=int, required=True, metavar="n", help="steps in all, those before --resume too")
    parser.add_argument("--report-interval", type=int, required=True, metavar="m", help="steps between frames")
    parser.add_argument("-o", "--output", required=True, metavar="aa.dcd", help="all-atom trajectory")
    parser.add_argument("--cg-output", metavar="cg.dcd", help="write the beads as well")
    add_sampling(parser)
    parser.add_argument("--temperature", type=float, metavar="K", help="the reference MD's if omitted")
    parser.add_argument("--friction", type=float, default=1.0, metavar="1/ps", help="of the Langevin thermostat (1)")
    parser.add_argument("--time-step", type=float, metavar="ps", help="the potential's own estimate if omitted")
    parser.add_argument("--platform", metavar="NAME", help="OpenMM platform")
    parser.add_argument("--copies", type=int, default=1, metavar="n", help="molecules, in a periodic box (1)")
    parser.add_argument(
        "--box", type=float, nargs="+", metavar="nm", help="one or three edge lengths, or nine numbers of three vectors"
    )
    parser.add_argument(
        "--correlation-time", type=float, metavar="ps", help="keep consecutive frames alike, against flicker"
    )
    parser.add_argument("--checkpoint", metavar="FILE", help="written every 20,000 steps or so, and at the end")
    parser.add_argument("--resume", action="store_true", help="go on from --checkpoint, appending to the outputs")
    add_overwrite(parser)


def run(options):
    for output in filter(None, (options.output, options.cg_output)):
        check_with_topology(output, options.overwrite or options.resume)
    from openmm_cgvae.backmapping.model import Model
    from openmm_cgvae.cg.learned import load_potential
    from openmm_cgvae.io.trajectory_files import write_topology_beside
    from openmm_cgvae.simulation.run import run_and_backmap, whole_system

    model = Model.load(options.model, trust=options.trust)
    if model.of_any_molecule:
        raise SettingsError(
            f"{options.model} is of any protein and has no CG potential: run your own CG simulation in OpenMM with a "
            "BackmapReporter, as examples/protein/run.py does"
        )
    backmapper = model.bind()
    whole = whole_system(backmapper, options.copies, options.box)
    summary = run_and_backmap(
        backmapper, options.steps, options.report_interval, options.output, options.cg_output,
        nSamples=options.samples, minimizer=make_minimizer(options, whole),
        potential=options.potential and load_potential(options.potential, options.trust),
        **{name: getattr(options, word) for name, word in PASSED.items()},
    )  # fmt: skip
    write_topology_beside(options.output, whole.topology)
    if options.cg_output is not None:
        write_topology_beside(options.cg_output, whole.cg_topology())
    frames = f"{summary.n_frames} of {options.samples} structures each, in {options.output}"
    unminimised = [("left unminimised", summary.n_failed)] if options.minimize else []
    more = (*unminimised, *skipped_rows(summary.skipped))
    return Summary(run_rows(frames, summary.steps, summary.seconds, summary.seed, *more), asdict(summary))
