"""The module of a model for any protein, from settings and weights."""

import torch

from openmm_cgvae.proteins.builder import Builder
from openmm_cgvae.proteins.model import ProteinModel
from openmm_cgvae.proteins.relaxation import bound_tables
from openmm_cgvae.proteins.torsionnet import TorsionNetwork

__all__ = ["SETTINGS", "rebuild_protein"]

# Settings of `TorsionNetwork` that a model file keeps.
SETTINGS = ("width", "layers", "known_layers", "neighbours", "bins", "mapping")


def rebuild_protein(settings: dict, state: dict[str, torch.Tensor]) -> ProteinModel:
    """Build a `ProteinModel` of these settings with these weights, without a protein, in evaluation mode."""
    network = TorsionNetwork(Builder(), **{name: settings[name] for name in SETTINGS})
    model = ProteinModel(network, bound_tables(state))
    own = model.state_dict()
    model.load_state_dict({name: value for name, value in state.items() if name in own})
    return model.eval()
