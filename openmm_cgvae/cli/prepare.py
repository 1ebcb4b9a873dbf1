"""Make a dataset file from reference MD, or from proteins, to train on a machine with torch and numpy alone."""

from openmm_cgvae.cli.common import add_overwrite, add_reference, load_dataset
from openmm_cgvae.cli.summary import Summary
from openmm_cgvae.cli.trainingdata import load_chains, of_proteins
from openmm_cgvae.core.output import check_output

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    add_reference(parser)
    parser.add_argument("-o", "--output", required=True, metavar="data.npz", help="dataset file")
    add_overwrite(parser)


def run(options):
    check_output(options.output, options.overwrite)
    if of_proteins(options):
        chains = load_chains(options)
        chains.save(options.output, options.overwrite)
        splits = zip(("train", "validation", "test"), chains.description["chains_train_validation_test"], strict=True)
        return Summary([*((f"chains, {name}", n) for name, n in splits), ("output", options.output)])
    dataset = load_dataset(options)
    dataset.save(options.output)
    counts = [("frames", len(dataset.positions)), ("atoms", dataset.spec.n_atoms), ("beads", dataset.spec.n_beads)]
    return Summary([*counts, ("output", options.output)])
