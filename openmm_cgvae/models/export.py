"""The module that a model file holds: nm in, nm out, and no need of this package."""

import torch
from torch import nn

from openmm_cgvae.models.cgvae import CGVAE
from openmm_cgvae.units import ANGSTROM_PER_NM

__all__ = ["ExportedModel", "script_model"]


class ExportedModel(nn.Module):
    """A `CGVAE` at its public boundary: bead positions in nm, float32 or float64, and the noise to use."""

    def __init__(self, model: CGVAE, latent: int):
        super().__init__()
        self.model = model
        self.n_atoms = int(model.assignment.shape[0])
        self.n_beads = int(model.projection.shape[0])
        self.latent = latent
        # May be set to False on a loaded module, for samples as the networks give them.
        self.bounded = True
        self.angstrom_per_nm = float(ANGSTROM_PER_NM)

    def forward(self, beads: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Sample all-atom structures.

        Parameters
        ----------
        beads : Tensor, shape (B, N, 3)
            nm.
        noise : Tensor, shape (B, N, latent)
            Unit Gaussian.

        Returns
        -------
        Tensor, shape (B, n, 3)
            nm, in the precision of `beads`, with M x = X.
        """
        X = (beads - beads.mean(1, keepdim=True)) * self.angstrom_per_nm
        z = self.model.prior(X, noise.to(self.model.decoder.bead_embedding.dtype))
        dx = self.model.displace(X, z)
        if self.bounded:
            dx = self.model.bound(X, dx)
        return self.placed(beads, dx)

    @torch.jit.export
    def reconstruct(self, atoms: torch.Tensor) -> torch.Tensor:
        """Encode all-atom structures (B, n, 3) in nm and decode the posterior mean, (B, n, 3) in nm."""
        first = atoms[:, :1]
        beads = self.model.project(atoms - first)
        centre = beads.mean(1, keepdim=True)
        dtype = self.model.decoder.bead_embedding.dtype
        x = ((atoms - first - centre) * self.angstrom_per_nm).to(dtype)
        X = ((beads - centre) * self.angstrom_per_nm).to(dtype)
        mean, _ = self.model.encode(x, X)
        return self.placed(beads + first, self.model.displace(X, mean))

    def placed(self, beads: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
        """Beads in nm plus displacements in Angstrom, recentred once more in the precision of the beads."""
        dx = displacement.to(beads.dtype) / self.angstrom_per_nm
        dx = dx - self.model.project(dx)[:, self.model.assignment]
        return beads[:, self.model.assignment] + dx


def script_model(model, latent):
    """Compile a trained `CGVAE` to TorchScript.

    Parameters
    ----------
    model : CGVAE
    latent : int
        Latent channels a bead.

    Returns
    -------
    torch.jit.ScriptModule
    """
    return torch.jit.script(ExportedModel(model, latent).eval())
