"""Radial basis and the convolutions of the paper, in factored form.

Every message of the paper is a sum over neighbours of (radial filter) o (node feature). With a filter linear in
the radial functions, W(IJ) = sum_k rbf_k(d_IJ) w_k, what belongs to the centre leaves the sum and the rest is a
matrix product; no tensor of one row an edge and nine filters a row is ever made.
"""

import math

import torch
from torch import nn

__all__ = ["BeadConvolution", "RadialBasis", "mlp", "neighbour_sum", "pair_vectors", "signed_volumes"]


ACTIVATION_LAYERS = {"swish": nn.SiLU, "relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "elu": nn.ELU}


def mlp(n_in: int, n_hidden: int, n_out: int, activation: str = "swish") -> nn.Sequential:
    """Two linear layers with an activation between."""
    return nn.Sequential(nn.Linear(n_in, n_hidden), ACTIVATION_LAYERS[activation](), nn.Linear(n_hidden, n_out))


def pair_vectors(points: torch.Tensor):
    """Distances and unit vectors between all points.

    Parameters
    ----------
    points : Tensor, shape (B, n, 3)

    Returns
    -------
    distance : Tensor, shape (B, n, n)
        With 1 on the diagonal, where there is no pair.
    unit : Tensor, shape (B, n, n, 3)
        (x_j - x_i) / d_ij, zero on the diagonal.
    """
    vector = points.unsqueeze(1) - points.unsqueeze(2)
    # The small term lets coincident points give zero vectors and finite gradients.
    eye = torch.eye(points.shape[1], dtype=points.dtype, device=points.device)
    distance = torch.sqrt(vector.square().sum(-1) + eye + 1e-8)
    return distance, vector / distance.unsqueeze(-1)


def signed_volumes(points: torch.Tensor, first: torch.Tensor, second: torch.Tensor, third: torch.Tensor):
    """a . (b x c) / (|b| |c|): how far a reaches to the side of the plane of b and c.

    Parameters
    ----------
    points, first, second, third : Tensor, shape (B, m, 3)
        a, b, c are `first`, `second`, `third` minus `points`.

    Returns
    -------
    Tensor, shape (B, m)
        A length; it changes sign under reflection.
    """
    a, b, c = first - points, second - points, third - points
    scale = torch.sqrt((b.square().sum(-1) + 1e-8) * (c.square().sum(-1) + 1e-8))
    return (a * torch.linalg.cross(b, c)).sum(-1) / scale


class RadialBasis(nn.Module):
    """sin(k pi d / d_cut) / d for k = 1..K under a cosine cutoff, and the cutoff itself (paper, appendix D).

    The last function stands for the bias of the filter, so that every term of a message vanishes at the cutoff.
    """

    def __init__(self, n_radial: int, cutoff: float):
        super().__init__()
        self.cutoff = float(cutoff)
        self.register_buffer("wave_numbers", torch.arange(1, n_radial + 1) * (math.pi / cutoff), persistent=False)

    def forward(self, distance: torch.Tensor) -> torch.Tensor:
        """(...) in Angstrom to (..., K + 1)."""
        inside = (distance < self.cutoff).to(distance.dtype)
        envelope = (0.5 * (torch.cos(distance * (math.pi / self.cutoff)) + 1.0) * inside).unsqueeze(-1)
        d = distance.unsqueeze(-1)
        return torch.cat([torch.sin(d * self.wave_numbers.to(distance.dtype)) / d * envelope, envelope], dim=-1)

    def pairs(self, distance: torch.Tensor) -> torch.Tensor:
        """As `forward` for (B, n, n) distances, zero on the diagonal: a point is not its own neighbour."""
        others = 1.0 - torch.eye(distance.shape[1], dtype=distance.dtype, device=distance.device)
        return self.forward(distance) * others.unsqueeze(-1)


def neighbour_sum(rbf: torch.Tensor, weight: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """sum_j (sum_k rbf_ijk weight_ktf) source_jtcf, by whichever order makes the smaller intermediate.

    Parameters
    ----------
    rbf : Tensor, shape (B, m, n, K)
    weight : Tensor, shape (K, T, F)
        T filters.
    source : Tensor, shape (B, n, T, C, F)
        C components under each filter.

    Returns
    -------
    Tensor, shape (B, m, T, C, F)
    """
    batch, m, n, k = rbf.shape
    filters, components, features = source.shape[2], source.shape[3], source.shape[4]
    if m <= k:
        # Few points: the filters of all pairs are smaller than every source under every radial function.
        pairs = torch.matmul(rbf, weight.reshape(k, -1)).reshape(batch, m, n, filters, 1, features)
        return (pairs * source.unsqueeze(1)).sum(2)
    spread = (source.unsqueeze(2) * weight.unsqueeze(2)).reshape(batch, n * k, -1)
    summed = torch.bmm(rbf.reshape(batch, m, n * k), spread)
    return summed.reshape(batch, m, filters, components, features)


class BeadConvolution(nn.Module):
    """SchNet-like message passing, Eq. (2) and (4): h_i + L4(h_i o sum_j L3(RBF(d_ij)) o h_j).

    The paper applies L4 to every edge, L4(h_i o h_j). Here it is taken after the sum, which is the same for a
    linear L4 and costs n evaluations instead of n^2.
    """

    def __init__(self, features: int, n_radial: int, activation: str = "swish"):
        super().__init__()
        self.filter = nn.Parameter(torch.randn(n_radial + 1, features) / math.sqrt(n_radial + 1))
        self.update = mlp(features, features, features, activation)

    def forward(self, h: torch.Tensor, rbf: torch.Tensor) -> torch.Tensor:
        """Node features (B, n, F) and radial functions (B, n, n, K + 1) to (B, n, F)."""
        neighbours = neighbour_sum(rbf, self.filter.unsqueeze(1), h[:, :, None, None])
        return h + self.update(h * neighbours[:, :, 0, 0])
