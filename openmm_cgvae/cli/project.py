"""Project an all-atom trajectory to a model's beads."""

from openmm_cgvae.cli.common import add_model, add_overwrite, add_topology, check_with_topology
from openmm_cgvae.cli.proteins import projection

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    parser.add_argument("trajectory", metavar="AA.dcd", help="all-atom trajectory")
    add_topology(parser, "all atoms")
    add_model(parser)
    parser.add_argument("-o", "--output", required=True, metavar="cg.dcd", help="CG trajectory (.dcd, .xtc, .pdb)")
    parser.add_argument("--stride", type=int, default=1, metavar="n", help="use every n-th frame (1)")
    add_overwrite(parser)


def run(options):
    check_with_topology(options.output, options.overwrite, [options.trajectory, options.top])
    from openmm_cgvae.backmapping.model import Model
    from openmm_cgvae.backmapping.trajectory import project_trajectory
    from openmm_cgvae.io.trajectory_files import load_topology, write_topology_beside

    topology = load_topology(options.top)
    mapping = projection(Model.load(options.model), topology)
    n = project_trajectory(
        options.trajectory, topology, mapping, options.output, options.stride, overwrite=options.overwrite
    )
    write_topology_beside(options.output, mapping.cg_topology())
    print(f"{n} frames of {mapping.n_beads} beads in {options.output}")
