"""What a training by updates leaves in its folder: settings, averaged weights, and the last line of its log."""

import csv
from pathlib import Path
from typing import Any

from openmm_cgvae.core.errors import TrainingError
from openmm_cgvae.io.tensors import load_tensors

__all__ = ["averaged_weights", "last_figures", "read_state", "stored_settings"]


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


def averaged_weights(state: dict[str, Any]) -> dict[str, Any]:
    """State dict of the averaged network in a checkpoint's state."""
    return {k.removeprefix("module."): v for k, v in state["average"].items() if k.startswith("module.")}


def last_figures(folder: str | Path, names: tuple[str, ...]) -> dict[str, float]:
    """Figures of these names in the last line of a folder's ``training.csv``; an empty dict if there is none."""
    path = Path(folder) / "training.csv"
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: float(rows[-1][name]) for name in names} if rows else {}
