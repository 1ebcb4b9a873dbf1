"""Message passing between residues, and distributions of their torsions."""

import torch
from torch import nn
from torch.nn.functional import silu

from openmm_cgvae.proteins.builder import N_TORSIONS
from openmm_cgvae.proteins.sidechains import N_CHI

__all__ = ["ResidueLayer", "TorsionHeads"]

# Mean number of neighbours that count, which keeps sums of messages near 1.
SCALE = 8.0


class ResidueLayer(nn.Module):
    """h_i + W sum_j w_ij s(A h_i + B h_j + C e_ij), and a network of every residue on its own.

    The matrix W of a two-layer network on edges leaves the sum, so that edges cost one product with their own few
    features.

    Parameters
    ----------
    width : int
    edge_features : int
    """

    def __init__(self, width: int, edge_features: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.pair = nn.Linear(width, 2 * width)
        self.edge = nn.Linear(edge_features, width, bias=False)
        self.gather = nn.Linear(width, width)
        self.middle = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, 3 * width)
        self.out = nn.Linear(3 * width, width)
        self.width, self.scale = width, SCALE

    def forward(self, h, edges, rows, weight):
        # type: (Tensor, Tensor, Tensor, Tensor) -> Tensor
        """Features (R, F), edges (R, K, E), neighbours (R, K) and their weights (R, K) to features (R, F)."""
        own, other = self.pair(self.norm(h)).split(self.width, dim=1)
        message = self.edge(edges) + own.unsqueeze(1) + torch.nn.functional.embedding(rows, other)
        gathered = torch.bmm(weight.unsqueeze(1), silu(message)).squeeze(1)
        h = h + self.gather(gathered / self.scale)
        return h + self.out(silu(self.hidden(self.middle(h))))


class TorsionHeads(nn.Module):
    """Distributions of every residue's torsions over bins; each side-chain torsion is conditioned on those before it.

    Parameters
    ----------
    width : int
    bins : int
        Of a full turn.
    """

    def __init__(self, width: int, bins: int):
        super().__init__()
        self.width, self.bins = width, bins
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, N_TORSIONS * width)
        self.logits = nn.Parameter(torch.randn(N_TORSIONS, width, bins) * 0.02)
        self.bias = nn.Parameter(torch.zeros(N_TORSIONS, bins))
        # Embedding of the bin of torsion m for each later torsion k of the side chain.
        self.told = nn.Parameter(torch.randn(N_CHI, N_CHI, bins, width) * 0.1)

    def features(self, h: torch.Tensor) -> torch.Tensor:
        """(R, F) to (R, torsions, F), without the terms of earlier torsions."""
        return self.hidden(self.norm(h)).unflatten(1, (-1, self.width))

    def tell(self, k: int, m: int, bins: torch.Tensor) -> torch.Tensor:
        """Features (R, F) for side-chain torsion k from the bins (R,) of an earlier torsion m < k."""
        return torch.nn.functional.embedding(bins, self.told[k, m])

    def scores(self, torsion: int, features: torch.Tensor) -> torch.Tensor:
        """Logits (R, bins) of a torsion from its features (R, F)."""
        return torch.addmm(self.bias[torsion], silu(features), self.logits[torsion])
