"""Choose the beads of a molecule: learned from its motion, along its backbone, or from its bonds."""

from openmm_cgvae.cli.common import add_overwrite, add_salvage, add_topology
from openmm_cgvae.cli.summary import Summary
from openmm_cgvae.core.output import check_output

__all__ = ["METHODS", "add_arguments", "run"]

# As in `openmm_cgvae.preparation.mappings`, which is too heavy to import before it is needed.
METHODS = ["autograin", "backbone", "community", "residue", "alpha-carbon"]
HEAD = ("bead", "atoms", "radius/nm", "atoms by residue")


def add_arguments(parser):
    parser.add_argument("trajectory", metavar="AA.dcd", help="all-atom trajectory; up to 1000 even frames are used")
    add_topology(parser, "all atoms")
    parser.add_argument("--method", required=True, choices=METHODS, help="how to choose the beads")
    parser.add_argument("--beads", type=int, metavar="N", help="number of beads (autograin, backbone, community)")
    parser.add_argument("--weights", default="geometric", choices=["geometric", "mass"], help="bead weights")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of autograin and backbone (0)")
    parser.add_argument("--epochs", type=int, default=1500, metavar="n", help="of autograin (1500)")
    add_salvage(parser)
    parser.add_argument("-o", "--output", required=True, metavar="mapping.json", help="for --mapping of prepare, train")
    add_overwrite(parser)


def run(options):
    check_output(options.output, options.overwrite)
    from openmm_cgvae.formats.structures import load_topology
    from openmm_cgvae.preparation.mappings import bead_rows, build_mapping, check_method, read_evenly

    check_method(options.method, options.beads, options.weights)
    topology = load_topology(options.top)
    positions = read_evenly(options.trajectory, topology, options.salvage)
    mapping = build_mapping(
        options.method, topology, positions, options.beads, options.seed, options.weights, options.epochs
    )
    mapping.save(options.output)
    rows = list(bead_rows(mapping, topology, positions))
    facts = {
        "output": options.output,
        "atoms": mapping.n_atoms,
        "beads": [dict(zip(HEAD, row, strict=True)) for row in rows],
    }
    note = f"{mapping.n_atoms} atoms on {mapping.n_beads} beads in {options.output}"
    return Summary(rows, facts, HEAD, note)
