"""Checkpoints of a training run, and the models that are made of their weights."""

import logging
from pathlib import Path

import numpy as np
import torch

from openmm_cgvae.core.errors import SettingsError, TrainingError, one_line
from openmm_cgvae.core.fingerprint import check_same_folder
from openmm_cgvae.core.output import complete_output
from openmm_cgvae.io.tensors import load_tensors, save_tensors
from openmm_cgvae.models.cgvae import CGVAE
from openmm_cgvae.models.config import ModelConfig, config_from_dict
from openmm_cgvae.molecule.spec import MoleculeSpec
from openmm_cgvae.training.distributed import from_first, rank

__all__ = ["load_start", "load_trained", "model_with_weights", "read_checkpoint", "write_checkpoint"]

logger = logging.getLogger(__name__)

# Parts that may be initialised anew when starting from another model.
REPLACEABLE = {
    "view of places": "encoder.place_",
    "prior": "prior.",
    "part for contacts": ".contacts.",
    "refinement": "refinement.",
}


def write_checkpoint(path, spec, state):
    """Write a dict of states, and the molecule they are of; the first process does."""
    if rank() > 0:
        return
    arrays = {name: torch.as_tensor(array) for name, array in spec.to_arrays().items()}
    with complete_output(path) as temporary:
        save_tensors(temporary, {**state, "spec": arrays})


def read_checkpoint(path, spec, identity, device):
    """Read what `write_checkpoint` wrote of the same run; the first process does, for all.

    Parameters
    ----------
    path : path
    spec : MoleculeSpec
    identity : dict
        What two runs must share to be one run, under that name in the checkpoint.
    device : torch.device

    Returns
    -------
    dict or None
        None where there is no checkpoint.

    Raises
    ------
    SettingsError
        If it is of another molecule or run.
    TrainingError
        If it is none.
    """
    content = from_first(path.read_bytes() if rank() == 0 and path.exists() else None)
    if content is None:
        return None
    try:
        state = _read(path, content)
        saved = {name: value.cpu().numpy() for name, value in state["spec"].items()}
        same_molecule = all(np.array_equal(saved[name], own) for name, own in spec.to_arrays().items())
        known = dict(state["identity"])
    except Exception as error:
        raise TrainingError(f"{path} cannot be read ({one_line(error)}): remove it") from error
    check_same_folder(identity | {"same molecule": same_molecule}, known | {"same molecule": True}, path)
    return state


def _read(path, content=None):
    return load_tensors(path, "checkpoint", "'openmm-cgvae train'", TrainingError, content)


def load_start(model, start):
    """Load the weights of an earlier model; what is taken from the data, such as bounds, it need not have.

    A prior, a refinement, its part for contacts, or an encoder's view of places of another kind or size starts anew.

    Raises
    ------
    SettingsError
        If any other part is of another kind or size.
    """
    own = model.state_dict()
    # TorchScript's dict also holds what ours computes anew; bounds come from the data.
    start = {k: v for k, v in start.items() if k in own and not k.startswith("bounds.")}
    unlike = [k for k, v in start.items() if own[k].shape != v.shape]
    unlike += [k for k, _ in model.named_parameters() if k not in start]
    for part, mark in REPLACEABLE.items():
        if any(mark in k for k in unlike):
            logger.warning("the model to start from has another %s: this one starts anew", part)
            start = {k: v for k, v in start.items() if mark not in k}
            unlike = [k for k in unlike if mark not in k]
    if unlike:
        raise SettingsError(
            f"the model to start from differs in {unlike[0]} and {len(unlike) - 1} more weights: give one of the same "
            "molecule, mapping and model settings"
        )
    model.load_state_dict({**own, **start})


def load_trained(path):
    """Read the averaged model of a checkpoint.

    Returns
    -------
    model : CGVAE
        In evaluation mode.
    spec : MoleculeSpec
    summary : dict
        ``model`` and ``training`` settings, ``data_sha256``, ``epoch``.

    Raises
    ------
    TrainingError
        If the file is missing or not a checkpoint.
    """
    try:
        state = _read(path)
        spec = MoleculeSpec.from_arrays({name: value.numpy() for name, value in state["spec"].items()})
        identity = state["identity"]
        average = {k.removeprefix("module."): v for k, v in state["average"].items() if k.startswith("module.")}
        config = config_from_dict(ModelConfig, identity["model"])
        model = model_with_weights(spec, config, state["finished"] or average)
    except Exception as error:
        if not Path(path).exists():
            raise TrainingError(f"checkpoint {path} does not exist: train first with 'openmm-cgvae train'") from error
        raise TrainingError(f"{path} is not a checkpoint of this package ({one_line(error)})") from error
    return model, spec, {**identity, "epoch": state["epoch"]}


def model_with_weights(spec, config, weights):
    """A `CGVAE` to use, on the CPU and in evaluation mode."""
    model = CGVAE(spec, config)
    model.load_state_dict(weights)
    # Trained in single precision, but M itself is known to double.
    model.projection.copy_(torch.as_tensor(spec.projection))
    return model.eval()
