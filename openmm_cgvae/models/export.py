"""The module stored in a model file: nm in, nm out, independent of this package."""

import torch
from torch import nn

from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.models.projection import BeadProjection

__all__ = ["ExportedModel", "script_model"]

# Numbers in the largest array of what is decoded at once: 1 MB in single precision, which stays in the level 2 cache of
# the one core that works at it (see benchmarks/pipeline.py). A GPU has threads for more.
CPU_NUMBERS, CUDA_NUMBERS = 1 << 18, 1 << 26


class ExportedModel(nn.Module):
    """A `CGVAE` or a baseline at its public boundary: beads in nm, float32 or float64, and the noise to use."""

    def __init__(self, model: BeadProjection):
        super().__init__()
        self.model = model
        self.n_atoms = int(model.assignment.shape[0])
        self.n_beads = int(model.projection.shape[0])
        self.latent = model.latent
        # May be set to False on a loaded module, for samples as the networks give them.
        self.bounded = model.bounded
        self.angstrom_per_nm = float(ANGSTROM_PER_NM)
        self.numbers = model.numbers
        self.cpu_numbers, self.cuda_numbers = CPU_NUMBERS, CUDA_NUMBERS

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
        decoded: list[torch.Tensor] = []
        for part, its_noise in zip(self.parts(X), self.parts(noise)):  # noqa: B905 (TorchScript has no strict)
            decoded.append(self.model.displaced(part, its_noise))
        dx = torch.cat(decoded)
        if self.bounded:
            dx = self.model.bound(X, dx)
        return self.placed(beads, dx)

    @torch.jit.export
    def reconstruct(self, atoms: torch.Tensor) -> torch.Tensor:
        """Reconstruct all-atom structures (B, n, 3) in nm; of a `CGVAE`, from the posterior mean."""
        return torch.cat([self.reconstructed(part) for part in self.parts(atoms)])

    def reconstructed(self, atoms: torch.Tensor) -> torch.Tensor:
        """As `reconstruct`, at once."""
        first = atoms[:, :1]
        beads = self.model.project(atoms - first)
        centre = beads.mean(1, keepdim=True)
        x = (atoms - first - centre) * self.angstrom_per_nm
        X = (beads - centre) * self.angstrom_per_nm
        return self.placed(beads + first, self.model.rebuilt(x, X))

    def parts(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Split x (B, ...) into the parts that are decoded at once (bounds take all frames together)."""
        numbers = self.cuda_numbers if x.is_cuda else self.cpu_numbers
        return x.split(max(1, numbers // self.numbers))

    def placed(self, beads: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
        """Beads in nm plus displacements in Angstrom, recentred once more in the precision of the beads."""
        dx = self.model.recentred(displacement.to(beads.dtype) / self.angstrom_per_nm)
        return beads[:, self.model.assignment] + dx


def script_model(model):
    """Compile a trained model to TorchScript.

    Parameters
    ----------
    model : CGVAE or Baseline

    Returns
    -------
    torch.jit.ScriptModule
        `ExportedModel`.
    """
    return torch.jit.script(ExportedModel(model).eval())
