"""Sample conformers of small molecules: of a SMILES, or of a file (SDF, MOL2, PDB, SMILES)."""

import logging
import os
import time
from pathlib import Path

from openmm_cgvae.cli.common import add_overwrite, add_trust
from openmm_cgvae.cli.summary import Summary

__all__ = ["add_arguments", "run"]

logger = logging.getLogger(__name__)


def add_arguments(parser):
    parser.add_argument("molecules", metavar="SMILES_OR_FILE", help="a SMILES, or a file (.sdf, .smi, ...)")
    parser.add_argument("-n", type=int, default=20, metavar="n", help="conformers a molecule (20)")
    parser.add_argument("-o", "--output", required=True, metavar="out.sdf", help="a record each, by rising energy")
    parser.add_argument("--model", default="ligands", metavar="NAME_OR_FILE", help="bundled or a file (ligands)")
    add_trust(parser)
    parser.add_argument(
        "--optimize", default="none", metavar="METHOD", help="minimise what is sampled: mmff, uff or none (default)"
    )
    parser.add_argument("--prune", type=float, metavar="A", help="leave out what is nearer than this RMSD to another")
    parser.add_argument("--seed", type=int, metavar="S", help="same seed, same conformers; random if omitted")
    parser.add_argument(
        "--temperature", type=float, default=0.7, metavar="T",
        help="of torsions: 1 samples; 0.7 (default) prefers the likely",
    )  # fmt: skip
    parser.add_argument(
        "--stereo", default="sample", metavar="HOW",
        help="undefined stereo marks: sample one isomer (default) or enumerate",
    )  # fmt: skip
    parser.add_argument(
        "--charge",
        type=int,
        default=0,
        metavar="Q",
        help="net charge of molecules of a PDB file without bond orders (0)",
    )
    parser.add_argument("--allow-unknown", action="store_true", help="try elements and radicals that were never seen")
    add_overwrite(parser)


def run(options):
    from openmm_cgvae.core.checks import checked_seed
    from openmm_cgvae.core.output import check_output
    from openmm_cgvae.ensembles.generate import ConformerModel
    from openmm_cgvae.ensembles.writing import sampled_records

    # A SMILES can be longer than any name of a file, which Path.exists refuses.
    given = [Path(options.molecules)] if os.path.exists(options.molecules) else []
    output = check_output(options.output, options.overwrite, given)
    seed = checked_seed(options.seed)
    names = ("optimize", "prune", "temperature", "stereo", "allow_unknown", "charge")
    settings = {name: getattr(options, name) for name in names}
    model, started = ConformerModel.load(options.model, options.trust), time.monotonic()
    done = sampled_records(model, options.molecules, output, options.n, seed, **settings)
    seconds = time.monotonic() - started
    for place, problem in done.notes + done.problems:
        logger.warning("%s: %s", place, problem)
    rows = [("molecules", done.molecules), ("conformers", done.conformers),
            ("conformers/s", done.conformers / seconds), ("seed", seed), ("output", output)]  # fmt: skip
    facts = {"molecules": done.molecules, "conformers": done.conformers, "seconds": seconds, "seed": seed,
             "output": output, "notes": done.notes, "problems": done.problems}  # fmt: skip
    return Summary(rows, facts, status=1 if done.problems else 0)
