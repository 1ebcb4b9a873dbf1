"""Train a model of any small molecule: what ``train`` does with conformer ensembles."""

import zipfile
from pathlib import Path

from openmm_cgvae.core.errors import SettingsError

__all__ = ["ligand_training", "of_ligands"]

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


def ligand_training(options, changes):
    """The trainer of settings given by name, and of which ``network``."""
    from openmm_cgvae.conformers.ensembles import PackedEnsembles
    from openmm_cgvae.models.config import config_from_dict

    settings, trainer = _parts(changes.pop("network", NETWORKS[0]))
    config = config_from_dict(settings, changes)
    return trainer(PackedEnsembles.load(options.trajectories[0]), Path(options.output), config)


def _parts(network):
    """Settings and trainer of a network, by its name."""
    if network == "coarsenconf":
        from openmm_cgvae.conformers.coarseconfig import CoarsenConfTraining
        from openmm_cgvae.conformers.coarsetraining import CoarsenConfTrainer

        return CoarsenConfTraining, CoarsenConfTrainer
    if network != "torsions":
        raise SettingsError(f"network={network!r} given: one of {', '.join(NETWORKS)} is expected")
    from openmm_cgvae.conformers.torsionconfig import TorsionConfig
    from openmm_cgvae.conformers.torsiontrainer import TorsionTrainer

    return TorsionConfig, TorsionTrainer
