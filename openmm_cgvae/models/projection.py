"""Base class of models that place atoms on beads with M x = X."""

import torch
from torch import nn

from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["BeadProjection"]


class BeadProjection(nn.Module):
    """Base of the models of one molecule, whose atoms keep M x = X; what `ExportedModel` asks of each.

    A subclass gives `displaced` and `rebuilt`, and may give `bound`. Lengths are in Angstrom.

    Parameters
    ----------
    spec : MoleculeSpec
    latent : int
        Noise numbers a bead.

    Attributes
    ----------
    bounded : bool
        Whether `bound` changes positions.
    numbers : int
        Elements per structure in the largest array that `displaced` allocates.
    """

    def __init__(self, spec: MoleculeSpec, latent: int):
        super().__init__()
        self.latent, self.bounded, self.numbers = latent, False, 3 * spec.n_atoms
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

    def displaced(self, X: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Sample displacements (B, n, 3) of atoms from beads (B, N, 3) about their centre, by noise (B, N, latent)."""
        raise NotImplementedError

    def rebuilt(self, x: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
        """Displacements (B, n, 3) that reconstruct atoms x (B, n, 3) on their beads X (B, N, 3)."""
        raise NotImplementedError

    def bound(self, X: torch.Tensor, dx: torch.Tensor) -> torch.Tensor:
        """Project local geometry of displacements (B, n, 3) into the training range; unchanged in the base class."""
        return dx
