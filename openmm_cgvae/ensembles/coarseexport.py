"""From a training of CoarsenConf to a model file, and back."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from openmm_cgvae.core.errors import TopologyMismatchError
from openmm_cgvae.core.output import check_output
from openmm_cgvae.ensembles.coarseconfig import CoarsenConfTraining
from openmm_cgvae.ensembles.coarsetraining import load_trained_coarsenconf
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.ligands.coarsemodel import CoarsenConfModel, rebuild_coarsenconf
from openmm_cgvae.ligands.features import ELEMENTS
from openmm_cgvae.training.folder import last_figures, stored_settings

__all__ = ["CoarsenConfKind", "export_coarsenconf", "is_coarsenconf_training"]

FIGURES = ("rebuilt_angstrom", "sampled_angstrom", "approximate_angstrom", "divergence")


class CoarsenConfKind:
    """The ``ModelKind`` of CoarsenConf (see ``openmm_cgvae.backmapping.model``)."""

    of_any_molecule = True

    @staticmethod
    def rebuild(file: ModelFile) -> CoarsenConfModel:
        """Build the module by the package's own classes."""
        return rebuild_coarsenconf(file.metadata["model"], file.state)

    @staticmethod
    def bind(file: ModelFile, topology: Any = None, **options: Any) -> Any:
        """Refuse: the model generates conformers of a molecule, its beads are no input (`TopologyMismatchError`)."""
        raise TopologyMismatchError(
            "a model of kind 'coarsenconf' given, which makes conformers and takes no beads: give one of kind "
            "'ligand' to backmap"
        )

    @staticmethod
    def serves(file: ModelFile) -> str:
        """Say which molecules the model is of."""
        return "any small molecule, from an approximate conformer"


def is_coarsenconf_training(folder: str | Path) -> bool:
    """Whether a folder holds a training of CoarsenConf."""
    return set(asdict(CoarsenConfTraining())) == set(stored_settings(folder))


def export_coarsenconf(
    folder: str | Path, path: str | Path, name: str | None = None, overwrite: bool = False
) -> ModelFile:
    """Export the averaged network of a training.

    Parameters
    ----------
    folder : path
        Of a `CoarsenConfTrainer`.
    path : path
        Model file to write.
    name : str, optional
        What the model is called in its metadata; the file's name if omitted.
    overwrite : bool

    Returns
    -------
    ModelFile

    Raises
    ------
    TrainingError
        If there is no checkpoint.
    """
    path, folder = check_output(path, overwrite), Path(folder)
    model, config, progress = load_trained_coarsenconf(folder)
    size, every = asdict(config.size), asdict(config)
    known = {
        "kind": "coarsenconf",
        "approximate": "none",
        "elements": list(ELEMENTS),
        "name": name or path.stem,
        "model": size,
        "training": {k: v for k, v in every.items() if k not in size}
        | {"updates": progress["update"], "conformers_seen": progress["seen"]},
        "data": {"sha256": progress["data_sha256"]},
        "validation": last_figures(folder, FIGURES),
    }
    file = ModelFile(torch.jit.script(CoarsenConfModel(model).eval()), {}, None, known)
    file.save(path, overwrite=overwrite)
    return file
