"""Sound files of results that are read back, as the package writes them."""

import json

from openmm_cgvae.evaluation.conformers.summary import SIDES
from openmm_cgvae.evaluation.conformers.validity import CHECKS

__all__ = ["CASE", "LOG", "NOTE", "RECORDS"]

FIGURES = {
    "frames": 100, "runs": 4, "samples": 8, "seed": 0, "recon_rmsd_all_angstrom": 0.5, "valid_ratio_all": 0.98,
    "tica_js": None, "torsions": {"phi ALA2": {"kind": "backbone", "divergence": 0.01, "floor": 0.008}},
}  # fmt: skip
# Of `run_benchmark`.
CASE = json.dumps({
    "mapping": "residue", "model": "cgvae", "split": "runs", "fold": 0, "data_sha256": "00ff", "beads": [[0, 1], [2]],
    "settings": {"epochs": 10}, "n_beads": 2, "residues": ["ACE", "NME"], "command": None,
    "training": {"epochs": 10, "minutes": 0.5}, "figures": FIGURES,
}).encode()  # fmt: skip
# Lines of `evaluate_conformers`, two generators on two molecules.
SPENT = {"heavy_atoms": 9, "rotatable_bonds": 2, "seconds": 1.5, "cpu_seconds": 1.25, "problem": "", "generated": 4}
COVERED = {f"coverage_{side}_{threshold}": 0.25 for side in SIDES for threshold in (0.5, 0.75)}
DISTANCES = {f"amr_{side}{end}": 0.5 for side in SIDES for end in ("", "_mean", "_max")}
ENSEMBLE = {"requested": 4, "source": "drugs", "labels_complete": True, "worst": 0.5, **COVERED, **DISTANCES}
ENSEMBLE |= {f"valid_{check}": 4 for check in CHECKS}
RECORDS = b"".join(
    json.dumps({"kind": kind, "name": kind, "generator": generator, **SPENT, **more}).encode() + b"\n"
    for kind, more in (("ensemble", ENSEMBLE), ("crystal", {"nearest": 0.7}))
    for generator in ("etkdg", "etkdg+mmff")
)
# ``data.json`` and ``training.csv`` of a training.
NOTE = b'{"sha256": "00ff", "frames": 10, "chains_train_validation_test": [8, 1, 1], "start": {"model": "ligands"}}'
LOG = b"epoch,train_loss,val_loss,seconds\n1,2.5,2.25,0.5\n2,1.5,,0.5\n"
