"""What a training by updates leaves in its folder: settings, averaged network, its data, the last line of its log."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from openmm_cgvae.core.errors import TrainingError, one_line
from openmm_cgvae.io.metadata import DATA
from openmm_cgvae.io.results import read_log, read_record
from openmm_cgvae.io.tensors import load_tensors

__all__ = ["last_figures", "read_data", "read_state", "stored_settings", "trained_network"]


def read_state(folder: str | Path) -> dict[str, Any]:
    """Read the state in a folder's checkpoint (`TrainingError` if there is none, or it is damaged)."""
    path = Path(folder) / "checkpoint.pt"
    if not path.exists():
        raise TrainingError(f"checkpoint {path} does not exist: train first with 'openmm-cgvae train'")
    return load_tensors(path, "checkpoint", "'openmm-cgvae train'", TrainingError)


def stored_settings(folder: str | Path) -> dict[str, Any]:
    """Settings in a folder's checkpoint; an empty dict if there is none that can be read."""
    try:
        return dict(read_state(folder)["config"])
    except (TrainingError, KeyError, TypeError, ValueError):
        return {}


def trained_network(
    folder: str | Path, settings: type, build: Callable[[Any], torch.nn.Module], what: str, tables: dict | None = None
) -> tuple[torch.nn.Module, Any, dict[str, Any]]:
    """Read the averaged network of a training folder.

    Parameters
    ----------
    folder : path
    settings : type
        Dataclass of the settings of such trainings.
    build : callable
        Makes the network of these settings.
    what : str
        What such checkpoints are of, for the message.
    tables : dict of str to Tensor, optional
        Taken in the place of the checkpoint's.

    Returns
    -------
    network : torch.nn.Module
        In evaluation mode.
    config : dataclass
    progress : dict
        ``update``, ``seen`` (items), ``seconds``, ``data_sha256``.

    Raises
    ------
    TrainingError
        If there is no checkpoint, or it is damaged or of another training.
    """
    state = read_state(folder)
    try:
        config = settings(**state["config"])
        network = build(config)
        weights = {k.removeprefix("module."): v for k, v in state["average"].items() if k.startswith("module.")}
        network.load_state_dict(weights | (tables or {}))
        progress = {name: state.get(name) for name in ("update", "seen", "seconds", "data_sha256")}
    except Exception as error:
        path = Path(folder) / "checkpoint.pt"
        raise TrainingError(f"{path} is not a checkpoint of {what} ({one_line(error)})") from error
    return network.eval(), config, progress


def read_data(folder: str | Path) -> dict[str, Any] | None:
    """Read what a training notes of its data in a folder; None if it did not."""
    path = Path(folder) / "data.json"
    if not path.exists():
        return None
    return read_record(path, DATA, "note of training data", "'openmm-cgvae train'", TrainingError)


def last_figures(folder: str | Path, names: tuple[str, ...]) -> dict[str, float]:
    """Figures of these names in the last line of a folder's ``training.csv``; an empty dict if there is none."""
    path = Path(folder) / "training.csv"
    rows = read_log(path) if path.exists() else []
    if not rows:
        return {}
    if missing := [name for name in names if name not in rows[-1]]:
        raise TrainingError(f"{path} has no column {missing[0]}: remove it, or give the folder of this training")
    return {name: float(rows[-1][name]) for name in names}
