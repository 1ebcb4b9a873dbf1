"""Project an all-atom trajectory to a model's beads."""

from openmm_cgvae.cli.common import (
    add_model,
    add_overwrite,
    add_reading,
    add_rename,
    add_resume,
    add_topology,
    check_with_topology,
    reading,
)
from openmm_cgvae.cli.summary import Summary

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    parser.add_argument("trajectory", nargs="+", metavar="AA.dcd", help="all-atom trajectory; several are read as one")
    add_topology(parser, "all atoms")
    add_model(parser)
    parser.add_argument(
        "-o", "--output", required=True, metavar="cg.dcd", help="CG trajectory (.dcd, .xtc, .nc, .h5, .pdb, .cif)"
    )
    add_reading(parser)
    add_rename(parser)
    add_resume(parser)
    add_overwrite(parser)


def run(options):
    inputs = [*options.trajectory, options.top]
    check_with_topology(options.output, options.overwrite, inputs, options.resume or options.partial)
    from openmm_cgvae.backmapping.model import Model
    from openmm_cgvae.backmapping.projection import projection
    from openmm_cgvae.backmapping.trajectory import project_trajectory
    from openmm_cgvae.formats.structures import load_topology

    topology = load_topology(options.top)
    mapping = projection(Model.load(options.model, trust=options.trust), topology)
    n = project_trajectory(
        options.trajectory, topology, mapping, options.output, overwrite=options.overwrite, **reading(options),
        resume=options.resume, partial=options.partial, write_topology=True,
    )  # fmt: skip
    return Summary([("frames", n), ("beads", mapping.n_beads), ("output", options.output)])
