"""The model file of a training folder, whatever was trained in it."""

from pathlib import Path

from openmm_cgvae.conformers.coarseexport import export_coarsenconf, is_coarsenconf_training
from openmm_cgvae.conformers.torsionexport import export_ligand_model, is_ligand_training
from openmm_cgvae.core.errors import TrainingError
from openmm_cgvae.training.proteincheckpoint import is_protein_training

__all__ = ["export_training"]


def export_training(folder, path=None, name=None, data=None, overwrite=False, measure="test"):
    """Write the model file of a training folder.

    Parameters
    ----------
    folder : path
        What ``openmm-cgvae train`` wrote.
    path : path, optional
        ``model.pt`` in the folder if omitted.
    name : str, optional
        The folder's if omitted.
    data : path or Dataset, optional
        What a model of one molecule, or of any protein, was trained on; what the folder holds if omitted.
    overwrite : bool
    measure : {"test", "validation"}
        Held-out runs that a model of one molecule is measured on.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    TrainingError, DataError, OutputError
        If it is no such folder, of other data, or the file may not be written.
    """
    folder = Path(folder)
    path, name = Path(path or folder / "model.pt"), name or folder.name
    if not folder.is_dir() or not (data or any(folder.glob("*.pt"))):
        raise TrainingError(f"{folder} is no folder of a training: give what 'openmm-cgvae train' wrote")
    if is_coarsenconf_training(folder):
        export_coarsenconf(folder, path, name, overwrite)
    elif is_ligand_training(folder):
        export_ligand_model(folder, path, name, overwrite)
    elif is_protein_training(folder):
        from openmm_cgvae.evaluation.proteinexport import export_protein

        export_protein(folder, path, name, data, overwrite)
    else:
        from openmm_cgvae.evaluation.exporting import export_model
        from openmm_cgvae.training.dataset import Dataset

        dataset = data if isinstance(data, Dataset) else Dataset.load(data or folder / "data.npz")
        export_model(folder / "checkpoint.pt", dataset, path, name, overwrite, measure)
    return path
