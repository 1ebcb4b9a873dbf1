"""From a training of a torsion network to a model file of any small molecule."""

from dataclasses import asdict
from pathlib import Path

import torch

from openmm_cgvae.chemistry.usable import ORGANIC
from openmm_cgvae.core.output import check_output
from openmm_cgvae.ensembles.torsionconfig import NETWORK_SETTINGS
from openmm_cgvae.ensembles.torsiontrainer import load_torsion_network
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.ligands.model import LigandModel
from openmm_cgvae.training.folder import last_figures, read_data, stored_settings

__all__ = ["BEADS", "KIND", "export_ligand_model", "is_ligand_training", "ligand_model_file"]

KIND = "ligand"
BEADS = "centres of rigid fragments"


def is_ligand_training(folder: str | Path) -> bool:
    """Whether a folder holds a training of a torsion network."""
    return "conformers" in stored_settings(folder)


def export_ligand_model(
    folder: str | Path, path: str | Path, name: str | None = None, overwrite: bool = False
) -> ModelFile:
    """Export the averaged network of a training.

    Parameters
    ----------
    folder : path
        Of a `TorsionTrainer`.
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
    path, folder = check_output(path, overwrite), Path(folder)
    network, config, progress = load_torsion_network(folder)
    training = {k: v for k, v in asdict(config).items() if k not in NETWORK_SETTINGS}
    known = {
        "name": name or path.stem,
        "training": {**training, "updates": progress["update"], "conformers_seen": progress["seen"]},
        "data": read_data(folder) or {},
        "validation": last_figures(folder, ("nothing_known", "half_known")),
    }
    file = ligand_model_file(network, config.network, known)
    file.save(path, overwrite=overwrite)
    return file


def ligand_model_file(network, settings: dict, known: dict) -> ModelFile:
    """A `ModelFile` of a `LigandNetwork` of these settings, and what is known of it."""
    metadata = {
        "kind": KIND,
        "mapping": "fragments",
        "beads": BEADS,
        "elements": sorted(ORGANIC),
        "approximate": "mmff",
        "model": settings,
        **known,
    }
    return ModelFile(torch.jit.script(LigandModel(network).eval()), {}, None, metadata)
