"""Run a model's CG system in OpenMM and write all-atom frames as it goes."""

from openmm_cgvae.cli.common import (
    add_model,
    add_overwrite,
    add_sampling,
    check_with_topology,
    make_minimizer,
    print_table,
)

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    add_model(parser)
    parser.add_argument("--steps", type=int, required=True, metavar="n", help="steps to run")
    parser.add_argument("--report-interval", type=int, required=True, metavar="m", help="steps between frames")
    parser.add_argument("-o", "--output", required=True, metavar="aa.dcd", help="all-atom trajectory")
    parser.add_argument("--cg-output", metavar="cg.dcd", help="write the beads as well")
    add_sampling(parser)
    parser.add_argument("--temperature", type=float, metavar="K", help="the reference MD's if omitted")
    parser.add_argument("--friction", type=float, default=1.0, metavar="1/ps", help="of the Langevin thermostat (1)")
    parser.add_argument("--time-step", type=float, metavar="ps", help="the potential's own estimate if omitted")
    parser.add_argument("--platform", metavar="NAME", help="OpenMM platform")
    add_overwrite(parser)


def run(options):
    check_with_topology(options.output, options.overwrite)
    if options.cg_output is not None:
        check_with_topology(options.cg_output, options.overwrite)
    from openmm_cgvae.app.run import run_and_backmap
    from openmm_cgvae.backmapper import Backmapper
    from openmm_cgvae.trajectory_files import write_topology_beside

    backmapper = Backmapper.load(options.model)
    summary = run_and_backmap(
        backmapper,
        options.steps,
        options.report_interval,
        options.output,
        options.cg_output,
        nSamples=options.samples,
        seed=options.seed,
        minimizer=make_minimizer(options, backmapper),
        overwrite=options.overwrite,
        temperature=options.temperature,
        friction=options.friction,
        timeStep=options.time_step,
        platform=options.platform,
    )
    write_topology_beside(options.output, backmapper.topology)
    if options.cg_output is not None:
        write_topology_beside(options.cg_output, backmapper.cg_topology())
    rows = [
        ("frames", f"{summary.n_frames} of {options.samples} structures each, in {options.output}"),
        ("steps/s", f"{options.steps / summary.seconds:.0f}"),
        ("seed", summary.seed),
    ]
    if options.minimize:
        rows.append(("left unminimised", summary.n_failed))
    print_table(rows)
