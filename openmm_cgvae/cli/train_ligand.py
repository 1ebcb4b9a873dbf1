"""Train a model of any small molecule: what ``train`` does with conformer ensembles."""

import zipfile
from pathlib import Path

from openmm_cgvae.core.errors import SettingsError

__all__ = ["of_ligands", "train_ligand"]

# ``--set network=...``; the first by default.
NETWORKS = ("torsions", "coarsenconf")


def of_ligands(options):
    """Whether the data of `add_reference` are an archive that ``sample-conformers`` makes."""
    members = _members(options.trajectories)
    return "approximate_positions.npy" in members or _of_relaxations(members)


def _of_relaxations(members):
    return {"start.npy", "end.npy"} <= set(members)


def _members(paths):
    """Names in the archive that is given alone, none of other data."""
    if len(paths) != 1 or Path(paths[0]).suffix != ".npz":
        return []
    try:
        return zipfile.ZipFile(paths[0]).namelist()
    except (OSError, zipfile.BadZipFile):
        return []


def train_ligand(options, changes):
    """Train, or go on, and export; `changes` are settings that were given by name, and which ``network``."""
    if _of_relaxations(_members(options.trajectories)):
        _train_refinement(options, changes)
        return
    _check(options, "start")
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


def _train_refinement(options, changes):
    """Train what refines the samples of a model, and export both as one."""
    _check(options)
    from openmm_cgvae.ensembles.refineconfig import RefineConfig
    from openmm_cgvae.ensembles.refineexport import export_refined, refined_base
    from openmm_cgvae.ensembles.refinetrainer import RefineTrainer
    from openmm_cgvae.ensembles.relaxations import PackedRelaxations
    from openmm_cgvae.models.config import config_from_dict

    base, folder = refined_base(options.start), Path(options.output)
    config = config_from_dict(RefineConfig, dict(changes))
    RefineTrainer(PackedRelaxations.load(options.trajectories[0]), folder, config).run(options.minutes)
    path = folder / "model.pt"
    export_refined(base, folder, path, options.name or folder.name, overwrite=True)
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
