"""The module that a model file for any small molecule holds; no need of this package."""

import torch
from torch import Tensor, nn

from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.ligands.sampler import LigandSampler
from openmm_cgvae.ligands.torsionnet import LigandNetwork

__all__ = ["LigandModel", "rebuild_ligand"]


class LigandModel(nn.Module):
    """p(x | molecule, approximate conformers) of any small molecule; `take` says of which.

    Parameters
    ----------
    network : LigandNetwork
    """

    def __init__(self, network: LigandNetwork):
        super().__init__()
        self.sampler = LigandSampler(network)
        self.angstrom_per_nm = float(ANGSTROM_PER_NM)
        # May be set on a loaded module.
        self.temperature = 1.0

    @torch.jit.export
    def take(self, molecule: dict[str, Tensor]) -> None:
        """Take another molecule, given as `openmm_cgvae.conformers.binding.ligand_tensors` gives it."""
        self.sampler.take(molecule)

    @torch.jit.export
    def n_noise(self) -> int:
        """Random numbers of a sample."""
        return self.sampler.n_noise()

    @torch.jit.export
    def n_bases(self) -> int:
        """Approximate conformers of the molecule."""
        return self.sampler.n_bases

    def forward(self, noise: Tensor, base: Tensor) -> tuple[Tensor, Tensor]:
        """Sample conformers.

        Parameters
        ----------
        noise : Tensor, shape (S, n_noise)
            Unit Gaussian.
        base : int Tensor, shape (S,)
            Number of the approximate conformer of each sample.

        Returns
        -------
        x : Tensor, shape (S, N, 3)
            nm.
        energy : Tensor, shape (S,)
            kJ/mol, up to a constant of the molecule.
        """
        _, x, energy = self.sampler(noise, base, self.temperature)
        return x / self.angstrom_per_nm, energy


def rebuild_ligand(settings: dict, state: dict[str, Tensor]) -> LigandModel:
    """Build a `LigandModel` of these settings with these weights, without a molecule, in evaluation mode."""
    model = LigandModel(LigandNetwork(**settings))
    own = model.state_dict()
    model.load_state_dict({name: value for name, value in state.items() if name in own})
    return model.eval()
