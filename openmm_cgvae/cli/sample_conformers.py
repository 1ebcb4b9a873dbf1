"""Make reference conformer ensembles of small molecules to train on: ETKDGv3 minimised with MMFF94s, resumable."""

from dataclasses import fields

from openmm_cgvae.cli.summary import Summary
from openmm_cgvae.core.output import existing_folder

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    parser.add_argument("molecules", nargs="+", metavar="FILE", help="SMILES (.smi) or SDF, split by scaffold")
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="repeat the command to go on")
    parser.add_argument("--held-out", nargs="+", default=[], metavar="FILE", help="of these, test scaffolds alone")
    parser.add_argument(
        "--leave-out", nargs="+", default=[], metavar="FILE", help="never take a structure that is in these"
    )
    parser.add_argument("--most-molecules", type=int, metavar="n", help="of one file, at most")
    parser.add_argument(
        "--splits", nargs="+", default=["train", "validation", "test"], metavar="SPLIT",
        help="sample these only; another process may sample others at the same time",
    )  # fmt: skip
    parser.add_argument("--pack", action="store_true", help="pack the parts that are there, sample nothing")
    parser.add_argument(
        "--gfn2", action="store_true", help="then minimise low minima again with GFN2-xTB, to gfn2.npz (needs tblite)"
    )
    parser.add_argument("--seeds", type=int, default=60, metavar="n", help="ETKDGv3 conformers a molecule (60)")
    parser.add_argument("--test-seeds", type=int, default=150, metavar="n", help="the same for test molecules (150)")
    parser.add_argument("--window", type=float, default=25.0, metavar="kJ/mol", help="above the lowest minimum (25)")
    parser.add_argument("--prune", type=float, default=0.1, metavar="A", help="RMSD of one and the same minimum (0.1)")
    parser.add_argument("--most", type=int, default=100, metavar="n", help="minima kept of a molecule (100)")
    parser.add_argument("--approximate", type=int, default=10, metavar="n", help="raw conformers kept beside (10)")
    parser.add_argument("--seed", type=int, default=0)


def run(options):
    from openmm_cgvae.preparation.ensembleparts import (
        GFN2,
        chosen_molecules,
        pack_parts,
        reoptimise_parts,
        sample_ensembles,
    )
    from openmm_cgvae.preparation.ensembles import EnsembleProtocol

    folder = existing_folder(options.output)
    if not options.pack:
        protocol = EnsembleProtocol(**{f.name: getattr(options, f.name) for f in fields(EnsembleProtocol)})
        molecules = chosen_molecules(
            options.molecules, options.held_out, options.leave_out, options.most_molecules, options.seed
        )
        sample_ensembles(molecules, folder, protocol, options.seed, options.splits)
    ensembles = pack_parts(folder)
    rows = [_packed(ensembles, folder / "ensembles.npz")]
    if options.gfn2:
        # Test molecules first, of which there are fewest.
        reoptimise_parts(folder, sorted(options.splits))
        rows.append(_packed(pack_parts(folder, GFN2), folder / "gfn2.npz"))
    return Summary(rows)


def _packed(ensembles, path):
    """Save ensembles; return the row that says what they are."""
    ensembles.save(path, overwrite=True)
    counts = ", ".join(f"{len(ensembles.subset(split))} of {split}" for split in ("train", "validation", "test"))
    return str(path), f"{len(ensembles)} molecules ({counts}), {ensembles.n_conformers.sum()} conformers"
