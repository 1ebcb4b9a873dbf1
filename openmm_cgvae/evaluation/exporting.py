"""From a checkpoint and its dataset to a model file that says how good it is."""

import math
from dataclasses import asdict

import numpy as np

from openmm_cgvae.backmapping.backmapper import Backmapper, bead_spread
from openmm_cgvae.core.errors import TrainingError
from openmm_cgvae.core.output import check_output
from openmm_cgvae.evaluation.evaluate import evaluate
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.models.config import TrainingConfig
from openmm_cgvae.models.export import script_model
from openmm_cgvae.training import load_trained, split_runs
from openmm_cgvae.training.baselines import BaselineConfig, fit_baseline

__all__ = ["export_baseline", "export_model", "held_out_figures", "model_file"]


def export_model(checkpoint, dataset, path, name=None, overwrite=False, measure="test"):
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
    measure : {"test", "validation", None}
        Runs to sample, and to store what `evaluate` says of them. Settings are to be compared on the validation runs;
        the test runs are for the figures of the final model.

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
    file = model_file(
        script_model(model),
        dataset,
        parts,
        name=name or path.stem,
        model=summary["model"],
        training={**training, "epochs_done": summary["epoch"]},
    )
    measured = {"test": parts[2], "validation": parts[1], None: ()}[measure]
    if len(measured):
        file.metadata["held_out"] = {"part": measure, **held_out_figures(file, dataset, measured)}
    file.save(path, overwrite=overwrite)
    return file


def export_baseline(kind, dataset, path, name=None, config=None, max_minutes=math.inf, overwrite=False):
    """Fit a baseline as a model would be trained, and write its model file with its held-out figures.

    Parameters
    ----------
    kind : {"linear", "mlp", "geometric"}
    dataset : Dataset
        Its runs are split as `TrainingConfig` does by default.
    path : path
        Model file to write.
    name : str, optional
        What the model is called in its metadata.
    config : BaselineConfig, optional
    max_minutes : float
        Stop after the epoch that ends after this.
    overwrite : bool

    Returns
    -------
    ModelFile
    """
    path, config, split = check_output(path, overwrite), config or BaselineConfig(), TrainingConfig()
    parts = split_runs(dataset.runs, split.validation_fraction, split.test_fraction, split.seed)
    module = fit_baseline(kind, dataset, parts[0], config, max_minutes, progress=True)
    known = {"kind": kind, **asdict(config), "epochs_done": module.model.epochs_done}
    file = model_file(module, dataset, parts, name=name or path.stem, baseline=known)
    file.metadata["held_out"] = held_out_figures(file, dataset, parts[2])
    file.save(path, overwrite=overwrite)
    return file


def model_file(module, dataset, parts, **metadata):
    """Put a scripted model together with what its dataset tells of it.

    Parameters
    ----------
    module : torch.jit.ScriptModule
        What `script_model` or `fit_baseline` gives.
    dataset : Dataset
    parts : sequence of int array
        Frames trained on, of validation and of test.
    **metadata
        What else is known.

    Returns
    -------
    ModelFile
    """
    spec, description = dataset.spec, dataset.description
    beads = spec.projection.astype(np.float32) @ dataset.positions
    known = {
        "kind": "baseline" if "baseline" in metadata else "cgvae",
        "n_atoms": spec.n_atoms,
        "n_beads": spec.n_beads,
        "handedness": spec.handedness.tolist(),
        "temperature_k": description["temperature"],
        "bead_spread_nm": float(bead_spread(beads).mean()),
        "data": {
            "sha256": dataset.sha256,
            "frames": len(dataset.positions),
            "runs": len(np.unique(dataset.runs)),
            "frames_train_validation_test": [len(part) for part in parts],
        },
    }
    return ModelFile(module, description["mapping"], description["potential"], known | metadata, spec.to_arrays())


def held_out_figures(file, dataset, frames, n_samples=8, seed=0):
    """Evaluate a model file on frames of a dataset, without energies and speed."""
    runs = dataset.runs[frames]
    figures = evaluate(
        Backmapper(file),
        dataset.positions[frames],
        runs if len(np.unique(runs)) > 1 else None,
        n_samples=n_samples,
        seed=seed,
        minimize=False,
        progress=False,
    )
    # Speed depends on the machine, not on the model.
    del figures["frames_per_second"]
    return figures
