"""The paper's prior p(z | X): a diagonal Gaussian a bead."""

import torch
from torch import nn

from openmm_cgvae.geometry.vectors import signed_volumes
from openmm_cgvae.models.config import ModelConfig
from openmm_cgvae.models.layers import BeadConvolution, RadialBasis, mlp
from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["BeadVolumes", "GaussianPrior"]


class BeadVolumes(nn.Module):
    """One signed volume a bead, which distances between beads cannot give; zero for fewer than 4 beads."""

    def __init__(self, spec: MoleculeSpec):
        super().__init__()
        self.bind(spec)

    def bind(self, spec: MoleculeSpec) -> None:
        """Take another molecule."""
        self.register_buffer("frames", torch.tensor(spec.bead_frames))

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Beads (B, N, 3) in Angstrom to (B, N)."""
        if self.frames.shape[0] == 0:
            return torch.zeros(X.shape[0], X.shape[1], dtype=X.dtype, device=X.device)
        f = self.frames
        return signed_volumes(X, X[:, f[:, 0]], X[:, f[:, 1]], X[:, f[:, 2]])


class GaussianPrior(nn.Module):
    """N(mu(X), sigma(X)) a bead, by message passing from the bead's composition (paper, section 4.2)."""

    def __init__(self, spec: MoleculeSpec, config: ModelConfig):
        super().__init__()
        self.n_atom_types = int(spec.atom_types.max()) + 1
        self.fingerprint = nn.Linear(self.n_atom_types + 1, config.features)
        self.volumes = BeadVolumes(spec)
        self.radial = RadialBasis(config.radial, config.bead_cutoff_angstrom)
        self.layers = nn.ModuleList(
            [BeadConvolution(config.features, config.radial, config.activation) for _ in range(config.prior_layers)]
        )
        latent = config.latent or config.features
        self.mean = mlp(config.features, config.features, latent, config.activation)
        self.log_variance = mlp(config.features, config.features, latent, config.activation)
        self.bind(spec)

    def bind(self, spec: MoleculeSpec) -> None:
        """Take another molecule, whose atom types the fingerprint has."""
        composition = torch.zeros(spec.n_beads, self.n_atom_types)
        index = (torch.as_tensor(spec.assignment), torch.as_tensor(spec.atom_types))
        composition.index_put_(index, torch.ones(spec.n_atoms), accumulate=True)
        self.register_buffer("composition", composition)
        self.volumes.bind(spec)

    def parameters_of(self, X):
        # type: (Tensor) -> tuple[Tensor, Tensor]
        """Mean and log-variance, each (B, N, latent), from beads (B, N, 3) in Angstrom.

        Distances and volumes are taken in the precision of the beads, the rest is done in that of the weights.
        """
        rbf, _, neighbours = self.radial.graph(X, self.composition.dtype)
        composition = self.composition.expand(X.shape[0], -1, -1)
        volumes = self.volumes(X).to(composition.dtype).unsqueeze(-1)
        H = self.fingerprint(torch.cat([composition, volumes], dim=-1))
        for layer in self.layers:
            H = layer(H, rbf, neighbours)
        return self.mean(H), self.log_variance(H).clamp(-12.0, 6.0)

    def forward(self, X: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Turn unit Gaussian noise (B, N, latent) into a sample of the same shape."""
        mean, log_variance = self.parameters_of(X)
        return mean + torch.exp(0.5 * log_variance) * noise
