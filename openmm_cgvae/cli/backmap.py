"""Turn a saved CG trajectory into an all-atom one."""

import time

from openmm_cgvae.cli.anyprotein import add_protein
from openmm_cgvae.cli.common import (
    add_overwrite,
    add_reading,
    add_resume,
    add_sampling,
    add_scheduler,
    check_with_topology,
    make_minimizer,
    print_table,
    skipped_rows,
)
from openmm_cgvae.cli.system import add_system, load_backmapper

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    parser.add_argument(
        "trajectory", nargs="+", metavar="cg.dcd", help="CG trajectory with the model's beads; several are read as one"
    )
    add_system(parser)
    parser.add_argument(
        "-o", "--output", required=True, metavar="aa.dcd", help="all-atom trajectory (.dcd, .xtc, .pdb, .cif)"
    )
    add_sampling(parser)
    add_protein(parser)
    parser.add_argument(
        "--correlation-time", type=float, metavar="ps", help="keep frames closer than this alike (every one on its own)"
    )
    parser.add_argument("--wrap", action="store_true", help="translate molecules into the periodic box")
    add_reading(parser)
    add_resume(parser)
    add_scheduler(parser)
    add_overwrite(parser)


def run(options):
    inputs = [*options.trajectory, *filter(None, [options.top])]
    check_with_topology(options.output, options.overwrite, inputs, options.resume or options.partial)
    from openmm_cgvae.backmapping.trajectory import backmap_trajectory
    from openmm_cgvae.core.cluster import cluster_client
    from openmm_cgvae.molecule.renaming import parse_renaming

    backmapper = load_backmapper(options)
    minimizer = make_minimizer(options, backmapper)
    started = time.perf_counter()
    with cluster_client(options.scheduler) as client:
        summary = backmap_trajectory(
            options.trajectory,
            backmapper,
            options.output,
            options.samples,
            options.seed,
            options.stride,
            minimizer,
            options.overwrite,
            correlation_time=options.correlation_time,
            wrap=options.wrap,
            salvage=options.salvage,
            frame_interval=options.frame_interval,
            on_bad_frame=options.on_bad_frame,
            rename=parse_renaming(options.rename),
            resume=options.resume,
            partial=options.partial,
            write_topology=True,
            client=client,
        )
    seconds = time.perf_counter() - started
    structures = summary.n_frames * summary.n_samples
    rows = [("structures", f"{structures} in {options.output}"), ("seed", summary.seed)]
    rows += skipped_rows(summary.skipped)
    if getattr(backmapper, "consistency", "exact") == "sound":
        mean, most = summary.bead_shift_nm
        rows.append(("beads moved, nm", f"{mean:.4f} on average, {most:.4f} at most"))
    rows.append(("structures/s", f"{structures / seconds:.0f}"))
    if minimizer is not None:
        before, after = summary.median_energies()
        rows.append(("median energy, kJ/mol", f"{before:.5g} before, {after:.5g} after minimisation"))
        rows.append(("left unminimised", summary.n_failed))
    print_table(rows)
