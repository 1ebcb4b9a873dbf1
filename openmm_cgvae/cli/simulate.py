"""Run a model's CG system in OpenMM and write all-atom frames as it goes."""

import time

from openmm_cgvae.cli.common import (
    add_model,
    add_overwrite,
    add_sampling,
    check_with_topology,
    make_minimizer,
    print_table,
    write_topology,
)
from openmm_cgvae.errors import SettingsError

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
    if not 1 <= options.report_interval <= options.steps:
        given = f"--steps {options.steps} --report-interval {options.report_interval}"
        raise SettingsError(f"{given} given: an interval from 1 to the number of steps is expected")
    check_with_topology(options.output, options.overwrite)
    if options.cg_output is not None:
        check_with_topology(options.cg_output, options.overwrite)
    from openmm.app import DCDReporter

    from openmm_cgvae.app.cgsystem import create_cg_simulation, run_steps
    from openmm_cgvae.app.reporter import BackmapReporter
    from openmm_cgvae.backmapper import Backmapper

    backmapper = Backmapper.load(options.model)
    simulation = create_cg_simulation(
        backmapper.mapping,
        backmapper.cg_potential(),
        options.temperature,
        options.friction,
        options.time_step,
        options.platform,
        options.seed,
    )
    reporter = BackmapReporter(
        options.output,
        options.report_interval,
        backmapper,
        nSamples=options.samples,
        seed=options.seed,
        minimizer=make_minimizer(options, backmapper),
        overwrite=options.overwrite,
    )
    if options.cg_output is not None:
        simulation.reporters.append(DCDReporter(options.cg_output, options.report_interval))
    started = time.perf_counter()
    with reporter:
        simulation.reporters.append(reporter)
        run_steps(simulation, options.steps, progress=True)
    seconds = time.perf_counter() - started
    write_topology(options.output, backmapper.topology)
    if options.cg_output is not None:
        simulation.reporters.clear()
        write_topology(options.cg_output, backmapper.cg_topology())
    rows = [
        ("frames", f"{reporter.n_frames} of {options.samples} structures in {options.output}"),
        ("steps/s", f"{options.steps / seconds:.0f}"),
        ("seed", reporter.seed),
    ]
    if options.minimize:
        rows.append(("left unminimised", reporter.n_failed))
    print_table(rows)
