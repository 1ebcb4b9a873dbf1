"""The equivariant decoder: Eq. (5), (6) and (8) of the paper, factored, and channel selection."""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import linear

from openmm_cgvae.geometry.types import as_types, n_types
from openmm_cgvae.geometry.vectors import cross, dot, squared_length
from openmm_cgvae.models.config import ModelConfig
from openmm_cgvae.models.layers import RadialBasis, laid_out, mlp, neighbour_sum
from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["Decoder"]


class BeadGraph(NamedTuple):
    """Neighbours of every bead, or all beads where `neighbours` is None.

    `rbf` is (B, N, M, K + 1); `rbf_unit` is rbf times the unit vectors, (B, 3 N, M, K + 1); `envelope` is the last of
    the radial functions, (B, N, M).
    """

    rbf: torch.Tensor
    rbf_unit: torch.Tensor
    envelope: torch.Tensor
    neighbours: torch.Tensor | None
    neighbours_unit: torch.Tensor | None


def bead_graph(rbf, unit, neighbours):
    # type: (Tensor, Tensor, Tensor | None) -> BeadGraph
    """From what `RadialBasis.graph` returns."""
    planes = (rbf.transpose(2, 3).unsqueeze(2) * unit.transpose(2, 3).unsqueeze(3)).flatten(1, 2)
    repeated = None if neighbours is None else neighbours.repeat_interleave(3, dim=1)
    return BeadGraph(rbf, laid_out(planes), rbf[..., -1].contiguous(), neighbours, repeated)


class Message(nn.Module):
    """Features plus their increments of Eq. (5), with the centre bead's factors taken out of the sums.

    sum_J W2 o (V_I x Vbar_J) = V_I x sum_J W2 o Vbar_J, and likewise for W3, W6, W7, W9. The filters are
    W_t(IJ) = L1_t(RBF(d_IJ)) o L2_t(H_J) with L1 linear, so that L2_t(H_J) o V_J is the source of a matrix product.
    The pseudoscalar sum, which the paper leaves without a filter, is weighted by the cutoff envelope, so that all
    terms vanish at the cutoff.

    Vectors start at zero and appear after the first layer, pseudovectors after the second; after the last layer
    only vectors are read. The terms that are zero, or that nobody reads, are not computed.

    Parameters
    ----------
    config : ModelConfig
    layer : int
        Place in the decoder.
    """

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        F = config.features
        self.has_vectors = layer > 0
        self.has_pseudovectors = layer > 1
        self.last = layer == config.decoder_layers - 1
        self.features = F
        self.node = mlp(F, F, 9 * F, config.activation)
        self.filter = nn.Parameter(torch.randn(config.radial + 1, 9, F) / math.sqrt(config.radial + 1))

    def summed(self, t, count, hidden, source, rbf, neighbours):
        # type: (int, int, Tensor, Tensor | None, Tensor, Tensor | None) -> Tensor
        """sum_J W o source_J for `count` filters from number t on: (B, N, count, C, F)."""
        rows = slice(t * self.features, (t + count) * self.features)
        phi = linear(hidden, self.node[2].weight[rows], self.node[2].bias[rows]).unflatten(2, (count, 1, -1))
        weight = self.filter[:, t : t + count]
        return neighbour_sum(rbf, weight, phi if source is None else phi * source.unsqueeze(2), neighbours)

    def forward(self, H, Hbar, V, Vbar, graph):
        # type: (Tensor, Tensor, Tensor, Tensor, BeadGraph) -> tuple[Tensor, Tensor, Tensor, Tensor]
        """Add the messages to H, Hbar (B, N, F) and V, Vbar (B, N, 3, F)."""
        hidden = self.node[1](self.node[0](H))
        rbf, near, Hb = graph.rbf, graph.neighbours, Hbar.unsqueeze(2)
        # W1 goes with H; W2, W3, W7, W8 with Vbar; W5, W6, W9 with V; W4 with the unit vectors.
        new_H = H + self.summed(0, 1, hidden, H.unsqueeze(2), rbf, near)[:, :, 0, 0]
        units = self.summed(3, 1, hidden, None, graph.rbf_unit, graph.neighbours_unit).reshape(V.shape)
        if not self.has_vectors:
            return new_H, Hbar, units, Vbar
        vectors = self.summed(4, 1 if self.last else 2, hidden, V, rbf, near)
        new_V = V + units + vectors[:, :, 0]
        if self.has_pseudovectors:
            crossed, scaled = self.summed(1, 2, hidden, Vbar, rbf, near).unbind(2)
            new_V = torch.addcmul(new_V, Hb, scaled) + cross(V, crossed, 2)
        if self.last:
            return new_H, Hbar, new_V, Vbar
        scaled = self.summed(8, 1, hidden, V, rbf, near)[:, :, 0]
        new_Vbar = torch.addcmul(cross(V, vectors[:, :, 1], 2), Hb, scaled)
        if not self.has_pseudovectors:
            return new_H, Hbar, new_V, new_Vbar
        crossed, mixed = self.summed(6, 2, hidden, Vbar, rbf, near).unbind(2)
        new_Vbar = new_Vbar + cross(Vbar, crossed, 2) + mixed + Vbar
        return new_H, Hbar + self.pseudoscalars(V, Vbar, graph), new_V, new_Vbar

    def pseudoscalars(self, V, Vbar, graph):
        # type: (Tensor, Tensor, BeadGraph) -> Tensor
        """sum_J V_J . Vbar_J under the envelope, (B, N, F)."""
        product = dot(V, Vbar, 2)
        if graph.neighbours is None:
            return torch.bmm(graph.envelope, product)
        ones = torch.ones_like(self.filter[:1, :1])
        return neighbour_sum(graph.rbf[..., -1:], ones, product[:, :, None, None], graph.neighbours)[:, :, 0, 0]


class Update(nn.Module):
    """The PaiNN update of Eq. (8), which mixes vector channels and couples H and V; V alone in the last layer."""

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        F = config.features
        self.last = layer == config.decoder_layers - 1
        self.mix = nn.Linear(F, 2 * F, bias=False)
        self.node = mlp(2 * F, F, 3 * F, config.activation)

    def forward(self, H, V):
        # type: (Tensor, Tensor) -> tuple[Tensor, Tensor]
        """Update H (B, N, F) and V (B, N, 3, F)."""
        alpha, beta = self.mix(V).chunk(2, dim=-1)
        length = torch.sqrt(squared_length(beta, 2) + 1e-8)
        hidden = self.node[1](self.node[0](torch.cat([H, length], dim=-1)))
        if self.last:
            rows = slice(2 * H.shape[2], 3 * H.shape[2])
            vector = linear(hidden, self.node[2].weight[rows], self.node[2].bias[rows])
            return H, torch.addcmul(V, vector.unsqueeze(2), alpha)
        scalar, product, vector = self.node[2](hidden).chunk(3, dim=-1)
        return H + scalar + product * dot(alpha, beta, 2), torch.addcmul(V, vector.unsqueeze(2), alpha)


class Decoder(nn.Module):
    """Beads and latents to the displacement of every atom from its bead."""

    def __init__(self, spec: MoleculeSpec, config: ModelConfig):
        super().__init__()
        F = config.features
        self.handed = 1.0 if config.handed else 0.0
        self.enter = nn.Linear(config.latent or F, F)
        self.bead_embedding = nn.Parameter(torch.randn(n_types(spec.bead_types, spec.n_beads), F) * 0.5)
        self.radial = RadialBasis(config.radial, config.bead_cutoff_angstrom)
        self.messages = nn.ModuleList([Message(config, i) for i in range(config.decoder_layers)])
        self.updates = nn.ModuleList([Update(config, i) for i in range(config.decoder_layers)])
        self.features = F
        self.bind(spec)

    def bind(self, spec: MoleculeSpec) -> None:
        """Take another molecule, whose types the tables have."""
        channel = torch.as_tensor(spec.assignment) * self.features + torch.as_tensor(spec.channels)
        self.register_buffer("channel", channel)
        self.register_buffer("bead_types", as_types(spec.bead_types, spec.n_beads), persistent=False)

    def vectors(self, X: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Vector features of the beads, of which `select` gives every atom one.

        Parameters
        ----------
        X : Tensor, shape (B, N, 3)
            Beads in Angstrom; distances are taken in their precision, the rest is done in that of `z`.
        z : Tensor, shape (B, N, latent)

        Returns
        -------
        Tensor, shape (B, N, 3, F)
        """
        graph = bead_graph(*self.radial.graph(X, z.dtype))
        H = self.enter(z) + self.bead_embedding.index_select(0, self.bead_types)
        Hbar = torch.full_like(H, self.handed)
        V = torch.zeros_like(H).unsqueeze(2).repeat(1, 1, 3, 1)
        Vbar = torch.zeros_like(V)
        for message, update in zip(self.messages, self.updates):  # noqa: B905 (TorchScript has no strict)
            H, Hbar, V, Vbar = message(H, Hbar, V, Vbar, graph)
            H, V = update(H, V)
        return V

    def select(self, V: torch.Tensor) -> torch.Tensor:
        """Channel selection: (B, N, 3, F) to displacements (B, n, 3) from the bead in Angstrom, not recentred."""
        return V.transpose(2, 3).reshape(V.shape[0], -1, 3)[:, self.channel]

    def forward(self, X: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Beads (B, N, 3) in Angstrom and latents (B, N, latent) to displacements (B, n, 3), not recentred."""
        return self.select(self.vectors(X, z))
