"""What a training folder gives: the model file, whatever was trained, and what a report on it is about."""

from pathlib import Path

from openmm_cgvae.core.errors import DataError, TrainingError
from openmm_cgvae.ensembles.coarseexport import export_coarsenconf, is_coarsenconf_training
from openmm_cgvae.ensembles.torsionexport import export_ligand_model, is_ligand_training
from openmm_cgvae.training.proteincheckpoint import is_protein_training

__all__ = ["export_training", "of_protein_training", "of_training"]

# Frames that are sampled for the page of a training, and residues of the chain that is shown.
OF_TRAINING, LONGEST = 200, 300


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
        from openmm_cgvae.training.proteinexport import export_protein

        export_protein(folder, path, name, data, overwrite)
    else:
        from openmm_cgvae.evaluation.exporting import export_model
        from openmm_cgvae.training.dataset import Dataset

        dataset = data if isinstance(data, Dataset) else Dataset.load(data or folder / "data.npz")
        export_model(folder / "checkpoint.pt", dataset, path, name, overwrite, measure)
    return path


def of_training(model, dataset, **more):
    """The `Subject` of a model of one molecule: its samples on the held-out runs of its dataset."""
    from openmm_cgvae.evaluation.subject import of_model
    from openmm_cgvae.training.dataset import split_runs

    training = model.metadata["training"]
    frames = split_runs(dataset.runs, training["validation_fraction"], training["test_fraction"], training["seed"])[2]
    return of_model(
        model.bind(), dataset.positions[frames], dataset.runs[frames], str(model.metadata["name"]), OF_TRAINING,
        figures=dict(model.metadata.get("held_out", {})), **more,
    )  # fmt: skip


def of_protein_training(model, chains, **more):
    """The `Subject` of a model of any protein: the longest usual chain that was held out (`DataError` if none was)."""
    from openmm_cgvae.evaluation.subject import of_longest

    held_out = [chain for name in ("test", "validation") for chain in chains.subset(name)]
    usual = [chain for chain in held_out if len(chain.residue_types) <= LONGEST]
    if not usual:
        raise DataError(f"no chain of up to {LONGEST} residues was held out")
    return of_longest(model, usual, str(model.metadata["name"]), **more)
