"""From a checkpoint and its dataset to a model file that says how good it is."""

import numpy as np

from openmm_cgvae.backmapper import Backmapper, bead_spread
from openmm_cgvae.errors import TrainingError
from openmm_cgvae.evaluation import evaluate
from openmm_cgvae.modelfile import ModelFile
from openmm_cgvae.models.export import script_model
from openmm_cgvae.output import check_output
from openmm_cgvae.training import load_trained, split_runs

__all__ = ["export_model"]


def export_model(checkpoint, dataset, path, name=None, overwrite=False, measure=True):
    """Export a trained model.

    Parameters
    ----------
    checkpoint : path
        ``checkpoint.pt`` of a training folder.
    dataset : Dataset
        The one it was trained on.
    path : path
        Model file to write.
    name : str, optional
        What the model is called in its metadata.
    overwrite : bool
    measure : bool
        Sample the held-out test runs and store what `evaluate` says of them.

    Returns
    -------
    ModelFile

    Raises
    ------
    TrainingError
        If the checkpoint is of another dataset or mapping.
    """
    path = check_output(path, overwrite)
    model, spec, summary = load_trained(checkpoint)
    own = dataset.spec.to_arrays()
    same_mapping = all(np.array_equal(array, own[name]) for name, array in spec.to_arrays().items())
    if summary["data_sha256"] != dataset.sha256 or not same_mapping:
        raise TrainingError(f"{checkpoint} was trained on other data or another mapping: give its own dataset")
    training = summary["training"]
    parts = split_runs(dataset.runs, training["validation_fraction"], training["test_fraction"], training["seed"])
    projection = dataset.spec.projection.astype(np.float32)
    metadata = {
        "name": name or path.stem,
        "n_atoms": dataset.spec.n_atoms,
        "n_beads": dataset.spec.n_beads,
        "handedness": dataset.spec.handedness.tolist(),
        "temperature_k": dataset.description["temperature"],
        "bead_spread_nm": float(bead_spread(projection @ dataset.positions).mean()),
        "data": {
            "sha256": summary["data_sha256"],
            "frames": len(dataset.positions),
            "runs": len(np.unique(dataset.runs)),
            "frames_train_validation_test": [len(part) for part in parts],
        },
        "model": summary["model"],
        "training": {**training, "epochs_done": summary["epoch"]},
    }
    latent = summary["model"]["latent"] or summary["model"]["features"]
    description = dataset.description
    file = ModelFile(script_model(model, latent), description["mapping"], description["potential"], metadata)
    if measure and len(parts[2]):
        runs = dataset.runs[parts[2]]
        figures = evaluate(
            Backmapper(file),
            dataset.positions[parts[2]],
            runs if len(np.unique(runs)) > 1 else None,
            minimize=False,
            progress=False,
        )
        # A property of this machine, not of the model.
        del figures["frames_per_second"]
        file.metadata["held_out"] = figures
    file.save(path, overwrite=overwrite)
    return file
