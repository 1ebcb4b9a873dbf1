"""X = M x: what every module that puts atoms on beads knows of its molecule."""

import torch
from torch import nn

from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["BeadProjection"]


class BeadProjection(nn.Module):
    """Base of modules whose atoms keep M x = X.

    Parameters
    ----------
    spec : MoleculeSpec
    """

    def __init__(self, spec: MoleculeSpec):
        super().__init__()
        self._bind_projection(spec)

    def _bind_projection(self, spec: MoleculeSpec) -> None:
        # Copies, since loading weights writes into the buffers.
        self.register_buffer("projection", torch.tensor(spec.projection))
        self.register_buffer("assignment", torch.tensor(spec.assignment))

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Atoms (B, n, 3) to beads (B, N, 3), X = M x."""
        return torch.matmul(self.projection.to(x.dtype), x)

    def recentred(self, dx: torch.Tensor) -> torch.Tensor:
        """Displacements (B, n, 3) with M dx = 0."""
        return dx - self.project(dx)[:, self.assignment]
