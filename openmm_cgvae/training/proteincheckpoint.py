"""What a training of a model for any protein leaves in its folder."""

import json
from pathlib import Path

from openmm_cgvae.core.errors import TrainingError, one_line
from openmm_cgvae.core.output import write_json
from openmm_cgvae.io.tensors import load_tensors
from openmm_cgvae.proteins.builder import Builder
from openmm_cgvae.proteins.chains import PackedChains
from openmm_cgvae.proteins.crystalgeometry import BUILDER, ProteinGeometry
from openmm_cgvae.proteins.torsionnet import TorsionNetwork
from openmm_cgvae.training.folder import averaged_weights, read_state
from openmm_cgvae.training.proteinconfig import ProteinConfig

__all__ = ["is_protein_training", "load_trained_network", "read_data", "write_data"]


def is_protein_training(folder: str | Path) -> bool:
    """Whether a folder holds a training of a model for any protein."""
    try:
        return "config" in load_tensors(Path(folder) / "checkpoint.pt", "checkpoint", "train", TrainingError)
    except Exception:
        return (Path(folder) / "geometry.pt").exists()


def load_trained_network(folder: str | Path, geometry: ProteinGeometry):
    """Read the averaged network of a checkpoint.

    Parameters
    ----------
    folder : path
    geometry : ProteinGeometry
        Its tables take the place of those in the checkpoint.

    Returns
    -------
    network : TorsionNetwork
        In evaluation mode.
    config : ProteinConfig
    progress : dict
        ``update``, ``seen`` (residues), ``seconds``, ``data_sha256``.

    Raises
    ------
    TrainingError
        If there is no checkpoint, or it is damaged.
    """
    path = Path(folder) / "checkpoint.pt"
    try:
        state = read_state(folder)
        config = ProteinConfig(**state["config"])
        weights = {k: v for k, v in averaged_weights(state).items() if not k.startswith(BUILDER)}
        weights |= {BUILDER + k: v for k, v in geometry.builder.items()}
        c = config
        network = TorsionNetwork(Builder(), c.width, c.layers, c.known_layers, c.neighbours, c.bins, c.mapping)
        network.load_state_dict(weights)
        progress = {name: state.get(name) for name in ("update", "seen", "seconds", "data_sha256")}
    except Exception as error:
        if not path.exists():
            raise
        raise TrainingError(f"{path} is not a checkpoint of this package ({one_line(error)})") from error
    return network.eval(), config, progress


def write_data(folder: str | Path, chains: PackedChains, **more) -> dict:
    """Note in a folder what it is trained on, for the model file; returns what was written."""
    known = chains.description | more
    write_json(Path(folder) / "data.json", known)
    return known


def read_data(folder: str | Path) -> dict | None:
    """Read what `write_data` wrote; None if it did not."""
    path = Path(folder) / "data.json"
    return json.loads(path.read_text()) if path.exists() else None
