"""From a model of torsions and a training of what refines its samples to a model file of both."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from openmm_cgvae.core.errors import ModelFileError, SettingsError
from openmm_cgvae.core.output import check_output
from openmm_cgvae.ensembles.refineconfig import REFINE_SETTINGS, RefineConfig
from openmm_cgvae.ensembles.refinetrainer import load_refine_network
from openmm_cgvae.ensembles.torsionexport import KIND
from openmm_cgvae.io.bundled import resolve_model
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.ligands.model import rebuild_ligand
from openmm_cgvae.training.folder import last_figures, stored_settings

__all__ = ["export_refined", "is_refinement_training", "refined_base"]

FIGURES = ("rmsd_before", "rmsd_after", "distances_before", "distances_after")


def is_refinement_training(folder: str | Path) -> bool:
    """Whether a folder holds a training of what refines samples."""
    return set(asdict(RefineConfig())) == set(stored_settings(folder))


def refined_base(name_or_path: str | Path | None) -> ModelFile:
    """Read the model whose samples are refined.

    Raises
    ------
    SettingsError
        If none is given.
    ModelFileError
        If it is not one of torsions of any small molecule.
    """
    if name_or_path is None:
        raise SettingsError("relaxed samples given without --start: give the model whose samples they are (ligands)")
    file = ModelFile.load(resolve_model(name_or_path))
    if file.kind != KIND:
        raise ModelFileError(f"--start of kind {file.kind!r} given: a model of kind {KIND!r} is expected")
    return file


def export_refined(
    base: ModelFile, folder: str | Path, path: str | Path, name: str | None = None, overwrite: bool = False
) -> ModelFile:
    """Export a model with the averaged network of a `RefineTrainer` behind it.

    Parameters
    ----------
    base : ModelFile
        See `refined_base`; a refinement that it has is replaced.
    folder : path
        Of the training.
    path : path
        Model file to write.
    name : str, optional
        What the model is called in its metadata.
    overwrite : bool

    Returns
    -------
    ModelFile

    Raises
    ------
    TrainingError
        If there is no checkpoint of such a training.
    """
    path = check_output(path, overwrite)
    network, config, progress = load_refine_network(folder)
    settings: dict[str, Any] = {**base.metadata["model"], "refinement": config.network}
    state = {k: v for k, v in base.state.items() if not k.startswith("refinement.")}
    state |= {f"refinement.network.{k}": v for k, v in network.state_dict().items()}
    training = {k: v for k, v in asdict(config).items() if k not in REFINE_SETTINGS}
    known = {
        "name": name or path.stem,
        "model": settings,
        "refinement": {
            "training": {**training, "updates": progress["update"], "samples_seen": progress["seen"]},
            "data": {"sha256": progress["data_sha256"]},
            "validation": last_figures(folder, FIGURES),
        },
    }
    module = torch.jit.script(rebuild_ligand(settings, state))
    file = ModelFile(module, base.mapping, base.potential, {**base.metadata, **known})
    file.save(path, overwrite=overwrite)
    return file
