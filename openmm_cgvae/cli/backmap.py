"""Turn a saved CG trajectory into an all-atom one."""

import time
from pathlib import Path

from openmm_cgvae.cli.anyprotein import add_protein
from openmm_cgvae.cli.common import (
    add_overwrite,
    add_reading,
    add_resume,
    add_sampling,
    add_scheduler,
    check_with_topology,
    make_minimizer,
    reading,
    skipped_rows,
)
from openmm_cgvae.cli.pages import command_source, write_page
from openmm_cgvae.cli.summary import Summary
from openmm_cgvae.cli.system import add_system, load_backmapper
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.output import check_output

__all__ = ["add_arguments", "run"]

# As `backmap_trajectory` calls them too.
PASSED = ("overwrite", "resume", "partial", "correlation_time", "wrap", "on_bad_frame", "ensemble", "rank_by")


def add_arguments(parser):
    parser.add_argument(
        "trajectory", nargs="+", metavar="cg.dcd", help="CG trajectory with the model's beads; several are read as one"
    )
    add_system(parser)
    parser.add_argument(
        "-o", "--output", required=True, metavar="aa.dcd", help="all-atom trajectory (.dcd, .xtc, .nc, .h5, .pdb, .cif)"
    )
    add_sampling(parser)
    parser.add_argument(
        "--ensemble", choices=["together", "files", "best"], default="together",
        help="samples of a frame one after the other (default), each in a file of its own, or the best alone",
    )  # fmt: skip
    parser.add_argument(
        "--rank-by", choices=["energy", "clash"], help="what is best (energy with --minimize, else clash)"
    )
    add_protein(parser)
    parser.add_argument(
        "--correlation-time", type=float, metavar="ps", help="keep frames closer than this alike (every one on its own)"
    )
    parser.add_argument("--report", metavar="out.html", help="gets a page that shows and judges the structures")
    parser.add_argument("--wrap", action="store_true", help="translate molecules into the periodic box")
    add_reading(parser)
    add_resume(parser)
    add_scheduler(parser)
    add_overwrite(parser)


def run(options):
    inputs = [*options.trajectory, *filter(None, [options.top])]
    check_with_topology(options.output, options.overwrite, inputs, options.resume or options.partial)
    if options.report and options.ensemble == "files":
        raise SettingsError("--report and --ensemble files given: a page is of one file, leave one of them out")
    if options.report:
        check_output(options.report, options.overwrite or options.resume or options.partial, inputs)
    from openmm_cgvae.backmapping.trajectory import backmap_trajectory
    from openmm_cgvae.io.cluster import cluster_client

    backmapper = load_backmapper(options)
    minimizer = make_minimizer(options, backmapper)
    started = time.perf_counter()
    with cluster_client(options.scheduler) as client:
        summary = backmap_trajectory(
            options.trajectory, backmapper, options.output, options.samples, options.seed, minimizer=minimizer,
            write_topology=True, client=client, **reading(options), **{name: getattr(options, name) for name in PASSED},
        )  # fmt: skip
    seconds = time.perf_counter() - started
    structures = summary.n_frames * summary.n_samples
    written = summary.n_frames if options.ensemble == "best" else structures
    place = " to ".join(str(file) for file in dict.fromkeys([summary.files[0], summary.files[-1]]))
    rows = [("structures", f"{written} in {place}"), ("seed", summary.seed)]
    rows += skipped_rows(summary.skipped)
    if getattr(backmapper, "consistency", "exact") == "sound":
        mean, most = summary.bead_shift_nm
        rows.append(("beads moved, nm", f"{mean:.4f} on average, {most:.4f} at most"))
    rows.append(("structures/s", round(structures / seconds)))
    if minimizer is not None:
        before, after = summary.median_energies()
        rows.append(("median energy, kJ/mol", f"{before:.5g} before, {after:.5g} after minimisation"))
        rows.append(("left unminimised", summary.n_failed))
    if options.report:
        rows.append(write_page(options.report, _subject(options, backmapper, summary)))
    return Summary(rows, {"output": options.output, "seconds": seconds, **summary.to_dict()})


def _subject(options, backmapper, summary):
    """What the page shows: the structures that were written."""
    import numpy as np

    from openmm_cgvae.evaluation.subject import of_structures
    from openmm_cgvae.io.thinning import read_structures

    n_samples = 1 if options.ensemble == "best" else summary.n_samples
    structures, frames = read_structures([options.output], backmapper.topology, n_samples=n_samples)
    energies = {}
    if summary.energies_before and options.ensemble != "best":
        each = (summary.energies_before, summary.energies_after)
        energies = {
            name: np.concatenate(values) / backmapper.n_atoms
            for name, values in zip(("sampled", "minimised"), each, strict=True)
        }
    sources = [("model", ", ".join(options.model)), ("beads", ", ".join(options.trajectory)), *command_source(options)]
    return of_structures(
        backmapper.topology, structures, backmapper, title=Path(options.output).name, numbers=frames, energies=energies,
        sources=sources,
    )  # fmt: skip
