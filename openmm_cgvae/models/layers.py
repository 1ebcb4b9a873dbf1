"""Radial basis and the convolutions of the paper, in factored form.

Every message of the paper is a sum over neighbours of (radial filter) o (node feature). With a filter linear in
the radial functions, W(IJ) = sum_k rbf_k(d_IJ) w_k, what belongs to the centre leaves the sum and the rest is a
matrix product; no tensor of one row an edge and nine filters a row is ever made.
"""

import math

import torch
from torch import nn

from openmm_cgvae.geometry.neighbours import neighbour_table
from openmm_cgvae.geometry.vectors import pair_vectors

__all__ = ["BeadConvolution", "RadialBasis", "laid_out", "mlp", "neighbour_sum", "pair_filters"]


# Up to so many beads every pair is computed; beyond, a neighbour list is made.
DENSE_POINTS = 100


ACTIVATION_LAYERS = {"swish": nn.SiLU, "relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "elu": nn.ELU}


def mlp(n_in: int, n_hidden: int, n_out: int, activation: str = "swish") -> nn.Sequential:
    """Two linear layers with an activation between."""
    return nn.Sequential(nn.Linear(n_in, n_hidden), ACTIVATION_LAYERS[activation](), nn.Linear(n_hidden, n_out))


class RadialBasis(nn.Module):
    """sin(k pi d / d_cut) / d for k = 1..K under a cosine cutoff, and the cutoff itself (paper, appendix D).

    The last function, the cutoff, takes the place of the filter's bias, so that every term of a message vanishes there.

    Parameters
    ----------
    n_radial : int
        K.
    cutoff : float
        In Angstrom.
    dense_points : int
        `graph` makes a neighbour list for more points than these.
    """

    def __init__(self, n_radial: int, cutoff: float, dense_points: int = DENSE_POINTS):
        super().__init__()
        self.n_radial = n_radial
        self.cutoff = float(cutoff)
        self.dense_points = dense_points

    def functions(self, distance: torch.Tensor, counted: torch.Tensor) -> list[torch.Tensor]:
        """The K + 1 functions of distances in Angstrom; zero where `counted` is 0."""
        phase = distance * (math.pi / self.cutoff)
        cosine = torch.cos(phase)
        envelope = 0.5 * (cosine + 1.0) * counted * (distance < self.cutoff).to(distance.dtype)
        functions = [torch.sin(phase) / distance * envelope]
        before, twice = torch.zeros_like(distance), 2.0 * cosine
        for k in range(1, self.n_radial):
            # sin((k + 1) x) = 2 cos(x) sin(k x) - sin((k - 1) x): one sine and one cosine serve all.
            functions.append(twice * functions[-1] - before)
            before = functions[k - 1]
        functions.append(envelope)
        return functions

    def forward(self, distance: torch.Tensor) -> torch.Tensor:
        """(...) in Angstrom to (..., K + 1)."""
        return torch.stack(self.functions(distance, torch.ones_like(distance)), dim=-1)

    def listed(self, distance: torch.Tensor) -> torch.Tensor:
        """As `forward` of listed pairs, (E,) to (E, K + 1), in few calls: gradients of the recursion take many."""
        phase = distance.unsqueeze(1) * (math.pi / self.cutoff)
        within = (distance < self.cutoff).to(distance.dtype).unsqueeze(1)
        envelope = 0.5 * (torch.cos(phase) + 1.0) * within
        orders = torch.arange(1, self.n_radial + 1, dtype=distance.dtype, device=distance.device)
        return torch.cat([torch.sin(phase * orders) * (envelope / distance.unsqueeze(1)), envelope], dim=1)

    def pairs(self, distance: torch.Tensor) -> torch.Tensor:
        """As `forward` for (B, n, n) distances, zero on the diagonal: a point is not its own neighbour."""
        others = 1.0 - torch.eye(distance.shape[1], dtype=distance.dtype, device=distance.device)
        return laid_out(torch.stack(self.functions(distance, others), dim=2))

    def graph(self, points, dtype):
        # type: (Tensor, int) -> tuple[Tensor, Tensor, Tensor | None]
        """Radial functions and unit vectors of the neighbours of every point.

        All points are neighbours, with radial functions that vanish beyond the cutoff, where there are at most
        `dense_points`; otherwise those within the cutoff, so that cost and memory are linear in n.

        Parameters
        ----------
        points : Tensor, shape (B, n, 3)
            In Angstrom; distances are taken in their precision.
        dtype : torch.dtype
            Of what is returned.

        Returns
        -------
        rbf : Tensor, shape (B, n, M, K + 1)
            Zero for a point itself.
        unit : Tensor, shape (B, n, M, 3)
            (x_j - x_i) / d_ij.
        neighbours : int Tensor, shape (B, n, M), or None for all
            Rows of ``points.flatten(0, 1)``.
        """
        if points.shape[1] <= self.dense_points:
            distance, unit = pair_vectors(points)
            return self.pairs(distance.to(dtype)), unit.to(dtype), None
        table = neighbour_table(points, self.cutoff)
        rows = torch.arange(table.shape[0] * table.shape[1], device=points.device).reshape(points.shape[0], -1, 1)
        vector = points.flatten(0, 1)[table] - points.unsqueeze(2)
        others = (table != rows).to(points.dtype)
        distance = torch.sqrt(vector.square().sum(-1) + (1.0 - others) + 1e-8)
        unit = vector / distance.unsqueeze(-1)
        return torch.stack(self.functions(distance.to(dtype), others.to(dtype)), dim=-1), unit.to(dtype), table


def over_radials(rbf: torch.Tensor) -> bool:
    """Whether the dense sum over radial functions is cheaper for rbf (B, m, M, K): where M is above about 2 K."""
    return rbf.shape[2] > 2 * rbf.shape[3]


def laid_out(planes: torch.Tensor) -> torch.Tensor:
    """Transpose radial functions (B, m, K, M) to (B, m, M, K), in the memory layout that the sum reads."""
    rbf = planes.transpose(2, 3)
    return rbf if over_radials(rbf) else rbf.contiguous()


def pair_filters(rbf, weight, neighbours):
    # type: (Tensor, Tensor, Tensor | None) -> Tensor | None
    """Precompute the pair filters of `neighbour_sum`, or return None where it does not use them.

    Filters (B, m, M, T, 1, F) of all pairs of few points are smaller than every source under every radial function.
    """
    if neighbours is not None or over_radials(rbf):
        return None
    return torch.matmul(rbf, weight.flatten(1)).unflatten(3, (weight.shape[1], 1, -1))


def neighbour_sum(
    rbf: torch.Tensor,
    weight: torch.Tensor,
    source: torch.Tensor,
    neighbours: torch.Tensor | None = None,
    filters: torch.Tensor | None = None,
) -> torch.Tensor:
    """sum_j (sum_k rbf_ijk weight_ktf) source_jtcf, in steps that keep intermediates small.

    Parameters
    ----------
    rbf : Tensor, shape (B, m, M, K)
    weight : Tensor, shape (K, T, F)
        T filters.
    source : Tensor, shape (B, n, T, C, F)
        C components under each filter.
    neighbours : int Tensor, shape (B, m, M), optional
        Row of ``source.flatten(0, 1)`` of each neighbour j; all n = M points if omitted.
    filters : Tensor, optional
        `pair_filters`, if made before.

    Returns
    -------
    Tensor, shape (B, m, T, C, F)
    """
    if neighbours is not None:
        return _sum_over_table(rbf, weight, source, neighbours)
    pairs = pair_filters(rbf, weight, neighbours) if filters is None else filters
    return _sum_over_radials(rbf, weight, source) if pairs is None else _sum_over_pairs(pairs, source)


def _sum_over_radials(rbf: torch.Tensor, weight: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Sum for many points: one matrix product of a point's radial functions with the sources."""
    under_each = source.unsqueeze(1) * weight[:, None, :, None]
    total = torch.bmm(rbf.transpose(2, 3).flatten(2), under_each.flatten(3).flatten(1, 2))
    return total.unflatten(2, source.shape[2:])


def _sum_over_pairs(pairs: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Sum for few points, by the filters of all pairs."""
    if pairs.numel() * source.shape[3] <= 65536:
        # Within a level 2 cache fewer calls win.
        return (pairs * source.unsqueeze(1)).sum(2)
    # Unbound at once: the gradient of every slice would be an array of zeros of the size of all.
    each_pair, each_source = pairs.unbind(2), source.unsqueeze(1).unbind(2)
    total = each_pair[0] * each_source[0]
    for j in range(1, len(each_pair)):
        total.addcmul_(each_pair[j], each_source[j])
    return total


def _sum_over_table(
    rbf: torch.Tensor, weight: torch.Tensor, source: torch.Tensor, neighbours: torch.Tensor
) -> torch.Tensor:
    """Sum over a neighbour list, one neighbour of every point at a time; for similar numbers of neighbours."""
    slots = torch.arange(1, rbf.shape[2] + 1, device=rbf.device)
    extent, order = torch.sort(((rbf[..., -1] != 0) * slots).amax(2).flatten(), descending=True)
    rows, radials, table = source.flatten(0, 1), rbf.flatten(0, 1)[order], neighbours.flatten(0, 1)[order]
    sums = torch.zeros(extent.shape + source.shape[2:], dtype=rbf.dtype, device=rbf.device)
    for start in range(0, extent.shape[0], 64):
        total = sums[start : start + 64]
        for j in range(int(extent[start])):
            pair = torch.matmul(radials[start : start + 64, j], weight.flatten(1))
            row = table[start : start + 64, j]
            total.addcmul_(pair.unflatten(1, (weight.shape[1], 1, -1)), rows.index_select(0, row))
    return sums[torch.argsort(order)].unflatten(0, rbf.shape[:2])


class BeadConvolution(nn.Module):
    """SchNet-like message passing, Eq. (2) and (4): h_i + L4(h_i o sum_j L3(RBF(d_ij)) o h_j).

    The paper applies L4 to every edge, L4(h_i o h_j). Here it is taken after the sum, which is the same for a
    linear L4 and costs n evaluations instead of n^2.
    """

    def __init__(self, features: int, n_radial: int, activation: str = "swish"):
        super().__init__()
        self.filter = nn.Parameter(torch.randn(n_radial + 1, features) / math.sqrt(n_radial + 1))
        self.update = mlp(features, features, features, activation)

    def forward(self, h: torch.Tensor, rbf: torch.Tensor, neighbours: torch.Tensor | None = None) -> torch.Tensor:
        """Node features (B, n, F) and the radial functions of `RadialBasis.graph` to (B, n, F)."""
        gathered = neighbour_sum(rbf, self.filter.unsqueeze(1), h[:, :, None, None], neighbours)
        return h + self.update(h * gathered[:, :, 0, 0])
