"""Arguments and steps that subcommands share."""

from pathlib import Path

from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.output import check_output, unfinished_folder

__all__ = [
    "add_model", "add_overwrite", "add_reading", "add_reference", "add_rename", "add_resume", "add_runs",
    "add_salvage", "add_sampling", "add_scheduler", "add_topology", "add_trust", "check_with_topology",
    "load_dataset", "make_minimizer", "reading", "run_rows", "skipped_rows",
]  # fmt: skip


def add_model(parser):
    parser.add_argument("--model", required=True, metavar="NAME_OR_FILE", help="a bundled model or a model file")
    add_trust(parser)


def add_trust(parser):
    """How a model file is loaded."""
    parser.add_argument(
        "--trust", action="store_true",
        help="run the code in the model file, which can do anything that you can, in place of this package's own",
    )  # fmt: skip


def add_topology(parser, particles, required=True):
    """``--top``, which is the topology of the input in every command."""
    name = "AA.pdb" if particles == "all atoms" else "cg.pdb"
    formats = "PDB, mmCIF, GRO, prmtop"
    parser.add_argument(
        "--top", required=required, metavar=name, help=f"topology of the input, {particles} ({formats})"
    )


def add_overwrite(parser):
    parser.add_argument("--overwrite", action="store_true", help="replace existing outputs")


def add_reading(parser):
    """How a trajectory is read that is written again, with its times."""
    parser.add_argument("--stride", type=int, default=1, metavar="n", help="use every n-th frame (1)")
    parser.add_argument(
        "--frames", metavar="a:b:n", help="use frames a to b - 1, every n-th; numbers from 0, or negative from the end"
    )
    parser.add_argument("--times", metavar="a:b", help="use frames from a to b ps")
    parser.add_argument(
        "--frame-interval", type=float, metavar="ps", help="between frames, where the file does not tell their times"
    )
    add_salvage(parser)


def reading(options):
    """What `add_reading` and `add_rename` read, as functions that read trajectories take it."""
    from openmm_cgvae.binding.renaming import parse_renaming
    from openmm_cgvae.io.selection import parse_frames, parse_times

    return {
        "stride": options.stride,
        "frames": parse_frames(options.frames),
        "times": parse_times(options.times),
        "frame_interval": options.frame_interval,
        "salvage": options.salvage,
        "rename": parse_renaming(options.rename),
    }


def add_rename(parser):
    parser.add_argument(
        "--rename",
        metavar="OLD=NEW,...",
        help="names of particles (BB, or ALA:BB) and residues in the files, by the model's; 'order' if they are in the "
        "model's order, whatever they are called",
    )


def add_runs(parser):
    """How reference MD is read."""
    parser.add_argument(
        "--run-frames", type=int, metavar="n", help="frames a run (before the stride), where a file holds several"
    )
    parser.add_argument("--stride", type=int, default=1, metavar="n", help="use every n-th frame (1)")
    add_salvage(parser)


def add_salvage(parser):
    parser.add_argument(
        "--salvage", action="store_true", help="use the complete frames of a DCD, XTC or NetCDF file that is cut off"
    )


def add_sampling(parser):
    """What every command that backmaps takes."""
    parser.add_argument("--samples", type=int, default=1, metavar="K", help="all-atom structures a frame (1)")
    parser.add_argument("--seed", type=int, metavar="S", help="same seed, same structures; random if omitted")
    parser.add_argument("--minimize", action="store_true", help="minimise each structure briefly, beads restrained")
    parser.add_argument(
        "--prmtop", metavar="FILE", help="minimise with this Amber topology instead of amber14 in vacuum"
    )
    parser.add_argument("--implicit-solvent", metavar="NAME", help="minimise in GBn2, OBC2, ... instead of vacuum")
    parser.add_argument("--iterations", type=int, metavar="n", help="of the minimisation (50; fewer are faster)")
    parser.add_argument("--workers", type=int, metavar="n", help="frames minimised at a time (see Minimizer)")
    parser.add_argument(
        "--on-bad-frame", choices=["raise", "skip"], default="raise",
        help="what becomes of frames that cannot be backmapped: an error (default), or left out and listed",
    )  # fmt: skip


def make_minimizer(options, backmapper):
    """The `Minimizer` that was asked for, or None."""
    names = ("prmtop", "implicit_solvent", "iterations", "workers")
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) is not None]
    if not options.minimize:
        if given:
            raise SettingsError(f"{', '.join(given)} given, of the minimisation: add --minimize")
        return None
    from openmm_cgvae.atomistic.minimizer import Minimizer

    return Minimizer(
        backmapper.mapping,
        options.prmtop,
        options.implicit_solvent,
        **({} if options.iterations is None else {"maxIterations": options.iterations}),
        handedness=backmapper.handedness,
        boxVectors=backmapper.topology.getPeriodicBoxVectors(),
        # Of a cluster on this machine every worker has a core.
        workers=1 if options.workers is None and getattr(options, "scheduler", None) == "local" else options.workers,
    )


def add_reference(parser):
    """Reference trajectories and their mapping, or a prepared dataset."""
    parser.add_argument(
        "trajectories", nargs="+", metavar="DATA",
        help="reference MD, a run each, or one .npz; of many proteins PDB or mmCIF files, a folder or a .txt list",
    )  # fmt: skip
    add_topology(parser, "all atoms", required=False)
    parser.add_argument(
        "--mapping", default="residue", metavar="KIND",
        help="residue (default), alpha-carbon, or a mapping's JSON file; of any protein ca (default), com, martini",
    )  # fmt: skip
    parser.add_argument("--weights", default="geometric", choices=["geometric", "mass"], help="bead weights (residue)")
    add_runs(parser)
    given = parser.group("input")
    given.add_argument("--temperature", type=float, default=300.0, metavar="K", help="of the reference MD (300)")
    parser.add_argument("--hops", type=int, default=2, help="bonds between the pairs of the graph loss, at most (2)")
    parser.add_argument(
        "--atom-types", choices=["atom", "element"], default="atom", help="an embedding an atom, or an element (paper)"
    )


def load_dataset(options):
    """The dataset of `add_reference`'s arguments."""
    from openmm_cgvae.training.dataset import Dataset

    if len(options.trajectories) == 1 and options.trajectories[0].endswith(".npz"):
        return Dataset.load(options.trajectories[0])
    if options.top is None:
        raise SettingsError("--top is missing: give the all-atom topology (PDB) of the trajectories")
    from openmm_cgvae.formats.structures import load_topology
    from openmm_cgvae.preparation.dataset import prepare_dataset, read_reference
    from openmm_cgvae.preparation.mappings import load_mapping

    topology = load_topology(options.top)
    mapping = load_mapping(options.mapping, topology, options.weights)
    positions, runs = read_reference(
        options.trajectories, topology, options.stride, options.run_frames, options.salvage
    )
    return prepare_dataset(positions, runs, mapping, options.temperature, options.hops, options.atom_types)


def add_resume(parser, partial=True):
    """What is to become of a run that was interrupted."""
    way = parser.group("run").add_mutually_exclusive_group()
    way.add_argument("--resume", action="store_true", help="go on with a run that was interrupted, if there is one")
    if partial:
        way.add_argument(
            "--partial", action="store_true", help="make the output of what an interrupted run has done, and no more"
        )


def add_scheduler(parser):
    """Where the work is done."""
    parser.add_argument(
        "--scheduler", metavar="ADDRESS",
        help="of a Dask cluster that does the work, or the file of its scheduler; 'local' for a process a core",
    )  # fmt: skip


def check_with_topology(output, overwrite, inputs=(), resume=False):
    """Refuse a trajectory, or the PDB file to be written beside it, that may not be written."""
    # Those of a run to go on with may be there: it looks whose they are.
    overwrite = overwrite or (resume and unfinished_folder(output).is_dir())
    check_output(output, overwrite, inputs)
    # As `topology_beside` of io, which is not imported before it is needed.
    if Path(output).suffix.lower() != ".pdb":
        check_output(Path(output).with_suffix(".pdb"), overwrite, inputs)


def run_rows(frames, steps, seconds, seed, *more):
    """Rows that say what a run did: its frames, speed and seed, and more."""
    return [("frames", frames), ("steps/s", round(steps / seconds)), ("seed", seed), *more]


def skipped_rows(skipped):
    """Rows for frames left out, a dict of number to reason."""
    numbers = ", ".join(map(str, list(skipped)[:10])) + (", ..." if len(skipped) > 10 else "")
    return [("frames left out", f"{len(skipped)}: {numbers}")] if skipped else []
