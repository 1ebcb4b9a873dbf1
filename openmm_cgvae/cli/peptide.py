"""Build a peptide from its sequence, extended and minimised: a start for reference MD."""

from openmm_cgvae.cli.common import add_overwrite
from openmm_cgvae.cli.summary import Summary

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    parser.add_argument("sequence", metavar="SEQUENCE", help="GEWTYK, or names as in GLY-HIP-ALA")
    parser.add_argument("-o", "--output", required=True, metavar="peptide.pdb", help=".pdb or .cif")
    parser.add_argument(
        "--termini", metavar="KIND", default="capped", help="charged, neutral or capped, or two of start,end (capped)"
    )
    parser.add_argument("--seed", type=int, default=0)
    add_overwrite(parser)


def run(options):
    from openmm_cgvae.binding.words import ends
    from openmm_cgvae.preparation.peptide import build_peptide

    topology = build_peptide(
        options.sequence, options.output, termini=ends(options.termini), seed=options.seed, overwrite=options.overwrite
    )
    rows = [("atoms", topology.getNumAtoms()), ("output", options.output)]
    return Summary(rows, note=f"Make reference MD of it with\n  openmm-cgvae sample-reference {options.output} -o md")
