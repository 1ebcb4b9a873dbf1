"""What a training of a model for any protein leaves in its folder."""

from pathlib import Path

from openmm_cgvae.core.output import write_json
from openmm_cgvae.proteins.builder import Builder
from openmm_cgvae.proteins.chains import PackedChains
from openmm_cgvae.proteins.crystalgeometry import BUILDER, ProteinGeometry
from openmm_cgvae.proteins.torsionnet import TorsionNetwork
from openmm_cgvae.training.folder import stored_settings, trained_network
from openmm_cgvae.training.proteinconfig import ProteinConfig

__all__ = ["is_protein_training", "load_trained_network", "write_data"]


def is_protein_training(folder: str | Path) -> bool:
    """Whether a folder holds a training of a model for any protein."""
    return bool(stored_settings(folder)) or (Path(folder) / "geometry.pt").exists()


def load_trained_network(folder: str | Path, geometry: ProteinGeometry) -> tuple[TorsionNetwork, ProteinConfig, dict]:
    """Read the averaged network of a training folder, as `trained_network` does, with these tables of geometry."""

    def build(c):
        return TorsionNetwork(Builder(), c.width, c.layers, c.known_layers, c.neighbours, c.bins, c.mapping)

    tables = {BUILDER + name: table for name, table in geometry.builder.items()}
    return trained_network(folder, ProteinConfig, build, "a model for any protein", tables)


def write_data(folder: str | Path, chains: PackedChains, **more) -> dict:
    """Note in a folder what it is trained on, for the model file; returns what was written."""
    known = chains.description | more
    write_json(Path(folder) / "data.json", known)
    return known
