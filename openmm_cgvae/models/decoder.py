"""The equivariant decoder: Eq. (5), (6) and (8) of the paper, factored, and channel selection."""

import math

import torch
from torch import nn

from openmm_cgvae.models.config import ModelConfig
from openmm_cgvae.models.layers import RadialBasis, mlp, neighbour_sum, pair_vectors
from openmm_cgvae.models.spec import MoleculeSpec

__all__ = ["Decoder"]


class Message(nn.Module):
    """The increments of Eq. (5), with the centre bead's factors taken out of the sums.

    sum_J W2 o (V_I x Vbar_J) = V_I x sum_J W2 o Vbar_J, and likewise for W3, W6, W7, W9. The filters are
    W_t(IJ) = L1_t(RBF(d_IJ)) o L2_t(H_J) with L1 linear, so that L2_t(H_J) o V_J is the source of a matrix product.
    The pseudoscalar sum, which the paper leaves without a filter, is weighted by the cutoff envelope, so that all
    terms vanish at the cutoff.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        F = config.features
        self.features = F
        self.node = mlp(F, F, 9 * F, config.activation)
        self.filter = nn.Parameter(torch.randn(config.radial + 1, 9, F) / math.sqrt(config.radial + 1))

    def forward(self, H, Hbar, V, Vbar, rbf, rbf_unit):
        # type: (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]
        """Return the increments of H, Hbar (B, N, F) and V, Vbar (B, N, 3, F).

        `rbf` is (B, N, N, K + 1); `rbf_unit` is rbf times the unit vectors, (B, 3 N, N, K + 1).
        """
        phi = self.node(H).unflatten(2, (9, 1, self.features))
        w = self.filter
        # Filters by source: W1 for H; W2, W3, W7, W8 for Vbar; W5, W6, W9 for V; W4 for the unit vectors.
        dH = neighbour_sum(rbf, w[:, 0:1], phi[:, :, 0:1] * H[:, :, None, None])[:, :, 0, 0]
        bars = neighbour_sum(rbf, w[:, [1, 2, 6, 7]], phi[:, :, [1, 2, 6, 7]] * Vbar.unsqueeze(2))
        vectors = neighbour_sum(rbf, w[:, [4, 5, 8]], phi[:, :, [4, 5, 8]] * V.unsqueeze(2))
        edges = neighbour_sum(rbf_unit, w[:, 3:4], phi[:, :, 3:4]).reshape(V.shape)
        cross_bar, scaled_bar, bar_cross_bar, mixed_bar = bars.unbind(2)
        mixed, cross, scaled = vectors.unbind(2)

        dHbar = torch.matmul(rbf[:, :, :, -1], (V * Vbar).sum(2))
        Hb = Hbar.unsqueeze(2)
        dV = torch.linalg.cross(V, cross_bar, dim=2) + Hb * scaled_bar + edges + mixed
        dVbar = (
            torch.linalg.cross(V, cross, dim=2)
            + torch.linalg.cross(Vbar, bar_cross_bar, dim=2)
            + mixed_bar
            + Hb * scaled
        )
        return dH, dHbar, dV, dVbar


class Update(nn.Module):
    """The PaiNN update of Eq. (8), which mixes vector channels and couples H and V."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        F = config.features
        self.mix = nn.Linear(F, 2 * F, bias=False)
        self.node = mlp(2 * F, F, 3 * F, config.activation)

    def forward(self, H, V):
        # type: (Tensor, Tensor) -> tuple[Tensor, Tensor]
        """Update H (B, N, F) and V (B, N, 3, F)."""
        alpha, beta = self.mix(V).chunk(2, dim=-1)
        length = torch.sqrt(beta.square().sum(2) + 1e-8)
        scalar, product, vector = self.node(torch.cat([H, length], dim=-1)).chunk(3, dim=-1)
        H = H + scalar + product * (alpha * beta).sum(2)
        return H, V + vector.unsqueeze(2) * alpha


class Decoder(nn.Module):
    """Beads and latents to the displacement of every atom from its bead."""

    def __init__(self, spec: MoleculeSpec, config: ModelConfig):
        super().__init__()
        F = config.features
        self.handed = 1.0 if config.handed else 0.0
        self.enter = nn.Linear(config.latent or F, F)
        self.bead_embedding = nn.Parameter(torch.randn(spec.n_beads, F) * 0.5)
        self.radial = RadialBasis(config.radial, config.bead_cutoff_angstrom)
        self.messages = nn.ModuleList([Message(config) for _ in range(config.decoder_layers)])
        self.updates = nn.ModuleList([Update(config) for _ in range(config.decoder_layers)])
        channel = torch.as_tensor(spec.assignment) * F + torch.as_tensor(spec.channels)
        self.register_buffer("channel", channel)

    def forward(self, X: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Decode.

        Parameters
        ----------
        X : Tensor, shape (B, N, 3)
            Beads in Angstrom; distances are taken in their precision, the rest is done in that of `z`.
        z : Tensor, shape (B, N, latent)

        Returns
        -------
        Tensor, shape (B, n, 3)
            Displacements from the bead in Angstrom, not recentred.
        """
        batch, n = X.shape[0], X.shape[1]
        distance, unit = pair_vectors(X)
        distance, unit = distance.to(z.dtype), unit.to(z.dtype)
        rbf = self.radial.pairs(distance)
        rbf_unit = (rbf.unsqueeze(2) * unit.transpose(2, 3).unsqueeze(-1)).reshape(batch, 3 * n, n, rbf.shape[3])
        H = self.enter(z) + self.bead_embedding
        Hbar = torch.full_like(H, self.handed)
        V = torch.zeros(batch, n, 3, H.shape[2], dtype=H.dtype, device=H.device)
        Vbar = torch.zeros_like(V)
        for message, update in zip(self.messages, self.updates):  # noqa: B905 (TorchScript has no strict)
            dH, dHbar, dV, dVbar = message(H, Hbar, V, Vbar, rbf, rbf_unit)
            H, V = update(H + dH, V + dV)
            Hbar, Vbar = Hbar + dHbar, Vbar + dVbar
        return V.transpose(2, 3).reshape(batch, -1, 3)[:, self.channel]
