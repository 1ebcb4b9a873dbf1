"""Show a model or what it made: one HTML page with a verdict, structures in 3D, and every figure.

With a model alone, its bundled reference is used. With --reference, structures are sampled for the beads of that MD
(or, of a model of any protein, of that PDB file) and compared with it. Structures that were made before, as those of
backmap, are taken as they are.
"""

from dataclasses import fields

from openmm_cgvae.cli.common import add_overwrite, add_runs, add_topology, add_trust
from openmm_cgvae.cli.pages import command_source, write_page
from openmm_cgvae.cli.summary import Summary
from openmm_cgvae.core.output import check_output

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    parser.add_argument("structures", nargs="*", metavar="AA.dcd", help="all-atom structures made before")
    parser.add_argument("-o", "--output", required=True, metavar="report.html", help="the page to write")
    parser.add_argument("--model", metavar="NAME_OR_FILE", help="a bundled model or a model file")
    add_trust(parser)
    add_topology(parser, "all atoms", required=False)
    parser.add_argument(
        "--reference", nargs="+", default=[], metavar="MD.dcd",
        help="MD of the same atoms to compare with, a run each; of a model of any protein a PDB or mmCIF file",
    )  # fmt: skip
    add_runs(parser)
    parser.add_argument("--samples", type=int, metavar="K", help="structures a frame: to sample (4), or given (1)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="same seed, same page (0)")
    parser.add_argument(
        "--evaluation", metavar="out.json", help="figures of evaluate, which are then not measured again"
    )
    parser.add_argument("--training", metavar="FOLDER", help="of a training, whose curves are drawn")
    parser.add_argument("--energies", type=int, metavar="n", help="minimise n structures for their energies (none)")
    parser.add_argument("--title", help="of the page")
    add_overwrite(parser)


def run(options):
    output = check_output(options.output, options.overwrite, [*options.structures, *options.reference])
    from openmm_cgvae.pretrained.requested import Request

    given = {field.name: getattr(options, field.name) for field in fields(Request)}
    subject = Request(**given).subject(*command_source(options))
    if options.energies is not None:
        from openmm_cgvae.evaluation.energies import measure_energies

        measure_energies(subject, options.energies)
    return Summary([write_page(output, subject)])
