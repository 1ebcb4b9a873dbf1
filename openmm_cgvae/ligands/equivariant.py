"""Equivariant message passing along listed edges, between any two sets of points of disjoint graphs.

The terms are those of the decoder of `models`: scalars and vectors exchange messages under radial filters (Eq. 5 of the
CGVAE paper) and mix at every point (its Eq. 8). Edges are listed, since molecules of a batch differ in size, and
vector products are vectors: proper rotations are all that is asked, so that mirror images may differ.
"""

import math
from typing import NamedTuple

import torch
from torch import nn

from openmm_cgvae.geometry.neighbours import owned_pairs
from openmm_cgvae.geometry.vectors import cross, dot, squared_length
from openmm_cgvae.models.layers import RadialBasis, mlp

__all__ = ["EdgeFeatures", "Edges", "VectorLayer", "VectorMessages", "VectorUpdate", "kinds_of_pairs"]

# About the number of neighbours of an atom, which keeps sums of messages near 1.
NEIGHBOURS = 8.0


class Edges(NamedTuple):
    """Messages go from rows `source` to rows `target`, (E,); with `features` (E, K) and unit vectors (E, 3).

    The unit vectors point from target to source.
    """

    source: torch.Tensor
    target: torch.Tensor
    features: torch.Tensor
    unit: torch.Tensor


class EdgeFeatures(nn.Module):
    """Radial functions of edges, and their kind under the envelope: the `features` and unit vectors of `Edges`.

    Parameters
    ----------
    radial : int
        K.
    cutoff : float
        Angstrom.
    kinds : int
        Kinds of edges, counted from 1; 0 is none of them.
    """

    def __init__(self, radial: int, cutoff: float, kinds: int):
        super().__init__()
        self.basis = RadialBasis(radial, cutoff)
        self.cutoff, self.kinds = self.basis.cutoff, kinds
        self.width = radial + 1 + kinds

    def forward(self, vector, kinds):
        # type: (Tensor, Tensor) -> tuple[Tensor, Tensor]
        """Vectors (E, 3) in Angstrom and kinds (E,) to features (E, K + 1 + kinds) and unit vectors (E, 3)."""
        # The small term lets coincident points give zero vectors and finite gradients.
        distance = torch.sqrt(squared_length(vector) + 1e-4)
        radial = self.basis.listed(distance)
        marked = kinds.unsqueeze(1) == torch.arange(1, self.kinds + 1, device=kinds.device)
        return torch.cat([radial, marked.to(radial.dtype) * radial[:, -1:]], dim=1), vector / distance.unsqueeze(1)

    def among(self, x, owner, pairs, kinds):
        # type: (Tensor, Tensor, Tensor, Tensor) -> Edges
        """Edges of all points x (m, 3) of one owner within the cutoff; sorted `pairs` (p, 2) are of `kinds` (p,)."""
        target, source = owned_pairs(x, owner, self.cutoff)
        kind = kinds_of_pairs(pairs, kinds, x.shape[0], target, source)
        features, unit = self(x.index_select(0, source) - x.index_select(0, target), kind)
        return Edges(source, target, features, unit)


def kinds_of_pairs(pairs, kinds, size, first, second):
    # type: (Tensor, Tensor, int, Tensor, Tensor) -> Tensor
    """Kinds (E,) of pairs `first`, `second` by a sorted list of pairs (m, 2) of `size` rows; 0 where not listed."""
    if pairs.shape[0] == 0:
        return torch.zeros_like(first)
    codes, wanted = pairs[:, 0] * size + pairs[:, 1], first * size + second
    place = torch.searchsorted(codes, wanted).clamp_max(codes.shape[0] - 1)
    return torch.where(codes[place] == wanted, kinds[place], torch.zeros_like(first))


class VectorMessages(nn.Module):
    """Sums over edges of scalars and vectors of the sources, of their projections on the edge, and of the edge.

    Parameters
    ----------
    features : int
        F scalars a point.
    channels : int
        C vectors a point.
    edge_features : int
        K.
    """

    def __init__(self, features: int, channels: int, edge_features: int):
        super().__init__()
        self.widths = [features, channels, channels, channels]
        self.norm = nn.LayerNorm(features)
        self.node = mlp(features, features, sum(self.widths))
        self.filter = nn.Parameter(torch.randn(edge_features, sum(self.widths)) / math.sqrt(edge_features))
        self.read = nn.Linear(channels, features, bias=False)
        self.scale = 1.0 / NEIGHBOURS

    def forward(self, h, v, edges, n):
        # type: (Tensor, Tensor, Edges, int) -> tuple[Tensor, Tensor]
        """Scalars (m, F) and vectors (m, 3, C) of the sources to those gathered by n targets."""
        weights = torch.matmul(edges.features, self.filter) * self.node(self.norm(h)).index_select(0, edges.source)
        scalar, along, radial, carried = weights.split(self.widths, dim=1)
        vector, unit = v.index_select(0, edges.source), edges.unit.unsqueeze(2)
        told = torch.cat([scalar, along * dot(unit, vector, 1)], dim=1)
        sent = torch.addcmul(unit * radial.unsqueeze(1), vector, carried.unsqueeze(1))
        scalars = torch.zeros(n, told.shape[1], dtype=h.dtype, device=h.device).index_add(0, edges.target, told)
        vectors = torch.zeros(n, 3, v.shape[2], dtype=v.dtype, device=v.device).index_add(0, edges.target, sent)
        own, projected = (self.scale * scalars).split([self.widths[0], self.widths[1]], dim=1)
        return own + self.read(projected), self.scale * vectors


class VectorUpdate(nn.Module):
    """Every point on its own: scalars see lengths and products of vectors, vectors are mixed, gated and crossed."""

    def __init__(self, features: int, channels: int):
        super().__init__()
        self.mix = nn.Linear(channels, 3 * channels, bias=False)
        self.norm = nn.LayerNorm(features)
        self.node = mlp(features + 3 * channels, features, features + 2 * channels)
        self.widths = [features, channels, channels]

    def forward(self, h, v):
        # type: (Tensor, Tensor) -> tuple[Tensor, Tensor]
        """Scalars (n, F) and vectors (n, 3, C) to the same."""
        # About 1 at most, so that products of three of them are too.
        scale = torch.rsqrt(1.0 + squared_length(v, 1).mean(1))
        first, second, third = self.mix(v * scale.view(-1, 1, 1)).chunk(3, dim=2)
        product = cross(second, third, 1)
        length = torch.sqrt(squared_length(second, 1) + 1e-4)
        # The triple product is what tells mirror images apart.
        seen = torch.cat([self.norm(h), length, dot(first, second, 1), dot(first, product, 1)], dim=1)
        scalar, gate, turn = self.node(seen).split(self.widths, dim=1)
        return h + scalar, v + gate.unsqueeze(1) * first + turn.unsqueeze(1) * product


class VectorLayer(nn.Module):
    """Messages among the points of one set, added to what they were, and the update."""

    def __init__(self, features: int, channels: int, edge_features: int):
        super().__init__()
        self.messages = VectorMessages(features, channels, edge_features)
        self.update = VectorUpdate(features, channels)

    def forward(self, h, v, edges):
        # type: (Tensor, Tensor, Edges) -> tuple[Tensor, Tensor]
        """Scalars (n, F) and vectors (n, 3, C) to the same."""
        scalars, vectors = self.messages(h, v, edges, h.shape[0])
        return self.update(h + scalars, v + vectors)
