"""The module that a model file of CoarsenConf holds: nm in, nm out, and no need of this package."""

import torch
from torch import nn

from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.ligands.coarsegraph import CoarseGraph
from openmm_cgvae.ligands.coarsenconf import CoarsenConf, CoarsenConfConfig
from openmm_cgvae.ligands.coarsening import N_ROWS
from openmm_cgvae.models.config import config_from_dict

__all__ = ["CoarsenConfModel", "rebuild_coarsenconf"]


class CoarsenConfModel(nn.Module):
    """p(x | R) of any small molecules, which are arguments: tensors of `CoarseGraph` by name."""

    def __init__(self, model: CoarsenConf):
        super().__init__()
        self.model = model
        self.latent = model.latent
        self.angstrom_per_nm = float(ANGSTROM_PER_NM)

    def forward(self, molecules, approximate, noise):
        # type: (dict[str, Tensor], Tensor, Tensor) -> Tensor
        """Sample structures.

        Parameters
        ----------
        molecules : dict of str to Tensor
            Of a `CoarseGraph`; several molecules or conformers are one disjoint graph.
        approximate : Tensor, shape (n, 3)
            nm, each molecule about its own centre.
        noise : Tensor, shape (N, 3, latent)
            Unit Gaussian.

        Returns
        -------
        Tensor, shape (n, 3)
            nm, in the precision and the frame of `approximate`.
        """
        places = self.angstrom(approximate)
        x = self.model.sample(self.graph(molecules), places, noise.to(places.dtype))
        return x.to(approximate.dtype) / self.angstrom_per_nm

    @torch.jit.export
    def reconstruct(self, molecules, approximate, atoms):
        # type: (dict[str, Tensor], Tensor, Tensor) -> Tensor
        """Build structures (n, 3) in nm from the posterior's mean of these atoms, in the frame of the approximate."""
        graph, places = self.graph(molecules), self.angstrom(approximate)
        mean, _ = self.model.encode(graph, places, self.angstrom(atoms))
        return self.model.decode(graph, places, mean).to(approximate.dtype) / self.angstrom_per_nm

    def angstrom(self, positions: torch.Tensor) -> torch.Tensor:
        """Positions in nm as Angstrom, in the precision of the weights."""
        return (positions * self.angstrom_per_nm).to(self.model.embedding.weight.dtype)

    def graph(self, molecules: dict[str, torch.Tensor]) -> CoarseGraph:
        """The graph of tensors by name."""
        return CoarseGraph(
            molecules["fields"], molecules["bead"], molecules["owner"], molecules["step"], molecules["near"],
            molecules["near_kind"], molecules["linked"], molecules["anchor"], molecules["anchor_weight"],
            molecules["bridge"], molecules["rotors"],
        )  # fmt: skip


def rebuild_coarsenconf(settings: dict, state: dict[str, torch.Tensor]) -> CoarsenConfModel:
    """Build a `CoarsenConfModel` of these settings with these weights, in evaluation mode."""
    model = CoarsenConfModel(CoarsenConf(config_from_dict(CoarsenConfConfig, settings), N_ROWS))
    model.load_state_dict(state)
    return model.eval()
