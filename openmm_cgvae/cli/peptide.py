"""Build a peptide from its sequence, extended and minimised: a start for reference MD."""

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    parser.add_argument("sequence", metavar="SEQUENCE", help="GEWTYK, or names as in GLY-HIP-ALA")
    parser.add_argument("-o", "--output", required=True, metavar="peptide.pdb", help=".pdb or .cif")
    parser.add_argument(
        "--termini", metavar="KIND", default="capped", help="charged, neutral or capped, or two of start,end (capped)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--overwrite", action="store_true")


def run(options):
    from openmm_cgvae.cli.anyprotein import ends
    from openmm_cgvae.preparation.peptide import build_peptide

    topology = build_peptide(
        options.sequence, options.output, termini=ends(options.termini), seed=options.seed, overwrite=options.overwrite
    )
    print(f"{topology.getNumAtoms()} atoms in {options.output}; make reference MD of it with")
    print(f"openmm-cgvae sample-reference {options.output} -o md")
