"""Train a model of any small molecule: what ``train`` does with conformer ensembles, and with relaxed samples."""

import zipfile
from functools import partial
from pathlib import Path

from openmm_cgvae.core.errors import SettingsError

__all__ = ["of_ligands", "train_ligand"]

# ``--set network=...``; the first by default.
NETWORKS = ("torsions", "coarsenconf")
# A member of an archive of ensembles, and of one of relaxed samples.
ENSEMBLES, RELAXATIONS = "approximate_positions.npy", "start.npy"


def of_ligands(options):
    """Whether the data of `add_reference` are an archive that ``sample-conformers`` makes."""
    return _holds(options.trajectories, ENSEMBLES) or _holds(options.trajectories, RELAXATIONS)


def _holds(paths, member):
    if len(paths) != 1 or Path(paths[0]).suffix != ".npz":
        return False
    try:
        return member in zipfile.ZipFile(paths[0]).namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def train_ligand(options, changes):
    """Train, or go on, and export; `changes` are settings that were given by name, and which ``network``."""
    from openmm_cgvae.models.config import config_from_dict

    changes, refining = dict(changes), _holds(options.trajectories, RELAXATIONS)
    _check(options, *([] if refining else ["start"]))
    parts = _refinement(options.start) if refining else _parts(changes.pop("network", NETWORKS[0]))
    archive, settings, trainer, export = parts
    config = config_from_dict(settings, changes)
    folder = Path(options.output)
    trainer(archive.load(options.trajectories[0]), folder, config).run(options.minutes)
    path = folder / "model.pt"
    export(folder, path, options.name or folder.name, overwrite=True)
    print(f"model file: {path}")


def _refinement(base):
    """Archive, settings, trainer and exporter of what refines the samples of a model."""
    from openmm_cgvae.conformers.refineconfig import RefineConfig
    from openmm_cgvae.conformers.refineexport import export_refined, refined_base
    from openmm_cgvae.conformers.refinetrainer import RefineTrainer
    from openmm_cgvae.conformers.relaxations import PackedRelaxations

    return PackedRelaxations, RefineConfig, RefineTrainer, partial(export_refined, refined_base(base))


def _parts(network):
    """Archive, settings, trainer and exporter of a network, by its name."""
    from openmm_cgvae.conformers.ensembles import PackedEnsembles

    if network == "coarsenconf":
        from openmm_cgvae.conformers.coarseconfig import CoarsenConfTraining
        from openmm_cgvae.conformers.coarseexport import export_coarsenconf
        from openmm_cgvae.conformers.coarsetraining import CoarsenConfTrainer

        return PackedEnsembles, CoarsenConfTraining, CoarsenConfTrainer, export_coarsenconf
    if network != "torsions":
        raise SettingsError(f"network={network!r} given: one of {', '.join(NETWORKS)} is expected")
    from openmm_cgvae.conformers.torsionconfig import TorsionConfig
    from openmm_cgvae.conformers.torsionexport import export_ligand_model
    from openmm_cgvae.conformers.torsiontrainer import TorsionTrainer

    return PackedEnsembles, TorsionConfig, TorsionTrainer, export_ligand_model


def _check(options, *more):
    """Refuse what only models of one molecule, or of proteins, have, and more."""
    names = ("epochs", "baseline", "compile", "top", "run_frames", *more)
    given = [name for name in names if getattr(options, name)]
    given += ["preset"] if options.preset != "small" else []
    given += ["device"] if options.device != "cpu" else []
    given += ["mapping"] if options.mapping != "residue" else []
    if given:
        name = given[0].replace("_", "-")
        raise SettingsError(f"--{name} given, which models of small molecules do not have: leave it out (or use --set)")
