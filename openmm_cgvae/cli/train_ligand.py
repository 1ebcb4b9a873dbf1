"""Train a model of any small molecule: what ``train`` does with conformer ensembles."""

import zipfile
from pathlib import Path

from openmm_cgvae.core.errors import SettingsError

__all__ = ["of_ligands", "train_ligand"]

# ``--set network=...``; the first by default.
NETWORKS = ("torsions", "coarsenconf")


def of_ligands(options):
    """Whether the data of `add_reference` are an archive of conformer ensembles, as ``sample-conformers`` makes."""
    paths = options.trajectories
    if len(paths) != 1 or Path(paths[0]).suffix != ".npz":
        return False
    try:
        return "approximate_positions.npy" in zipfile.ZipFile(paths[0]).namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def train_ligand(options, changes):
    """Train, or go on, and export; `changes` are settings that were given by name, and which ``network``."""
    _check(options)
    from openmm_cgvae.ensembles.packed import PackedEnsembles
    from openmm_cgvae.models.config import config_from_dict

    changes = dict(changes)
    settings, trainer, export = _parts(changes.pop("network", NETWORKS[0]))
    config = config_from_dict(settings, changes)
    folder = Path(options.output)
    trainer(PackedEnsembles.load(options.trajectories[0]), folder, config).run(options.minutes)
    path = folder / "model.pt"
    export(folder, path, options.name or folder.name, overwrite=True)
    print(f"model file: {path}")


def _parts(network):
    """Settings, trainer and exporter of a network, by its name."""
    if network == "coarsenconf":
        from openmm_cgvae.ensembles.coarseconfig import CoarsenConfTraining
        from openmm_cgvae.ensembles.coarseexport import export_coarsenconf
        from openmm_cgvae.ensembles.coarsetraining import CoarsenConfTrainer

        return CoarsenConfTraining, CoarsenConfTrainer, export_coarsenconf
    if network != "torsions":
        raise SettingsError(f"network={network!r} given: one of {', '.join(NETWORKS)} is expected")
    from openmm_cgvae.ensembles.torsionconfig import TorsionConfig
    from openmm_cgvae.ensembles.torsionexport import export_ligand_model
    from openmm_cgvae.ensembles.torsiontrainer import TorsionTrainer

    return TorsionConfig, TorsionTrainer, export_ligand_model


def _check(options):
    """Refuse what only models of one molecule, or of proteins, have."""
    given = [name for name in ("epochs", "baseline", "compile", "start", "top", "run_frames") if getattr(options, name)]
    given += ["preset"] if options.preset != "small" else []
    given += ["device"] if options.device != "cpu" else []
    given += ["mapping"] if options.mapping != "residue" else []
    if given:
        name = given[0].replace("_", "-")
        raise SettingsError(f"--{name} given, which models of small molecules do not have: leave it out (or use --set)")
