"""Choose the beads of a molecule: learned from its motion, along its backbone, or from its bonds."""

from openmm_cgvae.cli.common import add_overwrite, add_salvage, add_topology, print_table
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.output import check_output

__all__ = ["METHODS", "add_arguments", "check_beads", "make_mapping", "run"]

METHODS = ["autograin", "backbone", "community", "residue", "alpha-carbon"]
MAX_FRAMES = 1000


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
    check_beads(options)
    from openmm_cgvae.formats.structures import load_topology

    topology = load_topology(options.top)
    positions = _read_evenly(options.trajectory, topology, options.salvage)
    mapping = make_mapping(options, topology, positions)
    mapping.save(options.output)
    print_table(_bead_rows(mapping, topology, positions))
    print(f"{mapping.n_atoms} atoms on {mapping.n_beads} beads in {options.output}")


def check_beads(options):
    """Raise `SettingsError` where ``--method``, ``--beads`` and ``--weights`` do not go together."""
    by_residue = options.method in ("residue", "alpha-carbon")
    if by_residue and options.beads is not None:
        raise SettingsError(f"--beads is not for --method {options.method}: the residues give the number, omit it")
    if not by_residue and options.beads is None:
        raise SettingsError(f"--beads is missing: give the number of beads for --method {options.method}")
    if options.method == "alpha-carbon" and options.weights != "geometric":
        raise SettingsError("--weights is not for --method alpha-carbon: only the alpha carbons have weight, omit it")


def _read_evenly(path, topology, salvage=False):
    """At most 1000 frames at an even stride, shape (frames, n, 3), nm."""
    from openmm_cgvae.io.trajectory_files import TrajectoryReader, read_frames

    stride = -(-(TrajectoryReader(path, topology, salvage=salvage).n_frames or 1) // MAX_FRAMES)
    positions = read_frames(path, topology, stride, salvage)
    # A NetCDF file tells its number of frames only now.
    return positions[:: -(-len(positions) // MAX_FRAMES)]


def make_mapping(options, topology, positions):
    """The `CGMapping` of ``--method``, from positions (frames, n, 3) in nm."""
    from openmm_cgvae.molecule.mapping import alpha_carbon_mapping, residue_mapping
    from openmm_cgvae.molecule.mapping.autograin import autograin_mapping
    from openmm_cgvae.molecule.mapping.backbone import backbone_mapping
    from openmm_cgvae.molecule.mapping.community import community_mapping

    n, seed, weights = options.beads, options.seed, options.weights
    if options.method == "autograin":
        return autograin_mapping(topology, positions, n, seed, options.epochs, weights, progress=True)
    if options.method == "backbone":
        return backbone_mapping(topology, positions, n, seed, weights)
    if options.method == "community":
        return community_mapping(topology, n, weights, progress=True)
    if options.method == "residue":
        return residue_mapping(topology, weights)
    return alpha_carbon_mapping(topology)


def _bead_rows(mapping, topology, positions):
    """Rows of `print_table`: atoms, radius and atoms by residue of every bead."""
    import numpy as np

    offsets = positions - mapping.lift(mapping.project(positions))
    squares = (offsets.astype(float) ** 2).sum(-1).mean(0)
    rows = [("bead", "atoms  radius/nm  atoms by residue")]
    for k, bead in enumerate(mapping.beads):
        counts = {}
        for i in bead:
            residue = str(topology.atom(i).residue)
            counts[residue] = counts.get(residue, 0) + 1
        radius = np.sqrt(squares[list(bead)].mean())
        parts = ", ".join(f"{name} {count}" for name, count in counts.items())
        rows.append((mapping.names[k], f"{len(bead):5d}  {radius:9.3f}  {parts}"))
    return rows
