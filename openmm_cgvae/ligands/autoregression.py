"""The decoder of CoarsenConf: bead after bead, by messages from what is built before."""

import math

import torch
from torch import nn

from openmm_cgvae.geometry.neighbours import owned_pairs
from openmm_cgvae.geometry.vectors import cross, dot, squared_length
from openmm_cgvae.ligands.attention import AggregatedAttention
from openmm_cgvae.ligands.coarsegraph import N_AXES, UNIT, CoarseGraph, bead_axes, bead_means, bridges_of  # noqa: F401 (in type comments)
from openmm_cgvae.ligands.equivariant import EdgeFeatures, Edges, VectorMessages, VectorUpdate, kinds_of_pairs
from openmm_cgvae.ligands.hierarchy import NEAR_KINDS

__all__ = ["AutoregressiveDecoder"]


def rotated(vectors: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Vectors (m, 3) turned about axes (m, 3) by their lengths in radian (Rodrigues)."""
    angle = torch.sqrt(squared_length(turns) + 1e-12).unsqueeze(1)
    axis = turns / angle
    crossed = cross(axis, vectors, 1)
    return vectors + torch.sin(angle) * crossed + (1.0 - torch.cos(angle)) * cross(axis, crossed, 1)


class DecoderLayer(nn.Module):
    """Messages from a bead's own atoms and from built ones, the update, turns of beads and moves of their atoms."""

    def __init__(self, features: int, channels: int, edge_features: int):
        super().__init__()
        self.messages = VectorMessages(features, channels, edge_features)
        self.update = VectorUpdate(features, channels)
        self.norm = nn.LayerNorm(features)
        self.gate = nn.Linear(features, 2 * channels)
        nn.init.normal_(self.gate.weight, std=0.02)
        nn.init.zeros_(self.gate.bias)

    def forward(self, h, v, built_h, built_v, edges):
        # type: (Tensor, Tensor, Tensor, Tensor, Edges) -> tuple[Tensor, Tensor, Tensor, Tensor]
        """Scalars (m, F) and vectors (m, 3, C) of the atoms, and how each asks its bead to turn and moves, (m, 3)."""
        scalars, vectors = self.messages(torch.cat([h, built_h]), torch.cat([v, built_v]), edges, h.shape[0])
        h, v = self.update(h + scalars, v + vectors)
        turn, move = self.gate(self.norm(h)).unsqueeze(1).chunk(2, dim=2)
        return h, v, (v * turn).sum(2), (v * move).sum(2)


class AutoregressiveDecoder(nn.Module):
    """p(bead | latent, approximate conformer, beads built before).

    Parameters
    ----------
    features, channels : int
        Scalars and vectors of every atom.
    latent : int
        Vectors of a bead's latent.
    layers, radial : int
    cutoff : float
        Angstrom, of messages.
    """

    def __init__(self, features: int, channels: int, latent: int, layers: int, radial: int, cutoff: float):
        super().__init__()
        self.attention = AggregatedAttention()
        self.edge_features = EdgeFeatures(radial, cutoff, NEAR_KINDS)
        self.atoms = nn.Linear(features, features)
        self.beads = nn.Linear(features, features)
        self.built = nn.Linear(features, features)
        self.products = nn.Linear(N_AXES * (latent + 1) + latent + 1, features)
        self.vectors = nn.Linear(N_AXES + 1 + latent + channels, channels, bias=False)
        self.layers = nn.ModuleList([DecoderLayer(features, channels, self.edge_features.width) for _ in range(layers)])
        self.unit, self.cutoff, self.turn = UNIT, cutoff, math.pi / cutoff

    def forward(self, graph, h, v, H, z, rotations, placed, x, atoms, before):
        # type: (CoarseGraph, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor) -> Tensor
        """Build beads.

        Parameters
        ----------
        graph : CoarseGraph
        h, v, H : Tensor
            What the encoder of the approximate conformer says of atoms, (n, F) and (n, 3, C), and beads, (N, F).
        z : Tensor, shape (N, 3, latent)
            Latents, in the frame of the approximate conformer as `v`.
        rotations : Tensor, shape (N, 3, 3)
        placed : Tensor, shape (n, 3)
            As `placed_beads` gives them.
        x : Tensor, shape (n, 3)
            What is built, Angstrom.
        atoms : int Tensor, shape (m,)
            Those of the beads to build.
        before : int Tensor, shape (k,)
            Those that are built, of which a bead sees the ones of earlier steps.

        Returns
        -------
        Tensor, shape (m, 3)
        """
        bead = graph.bead.index_select(0, atoms)
        y = placed.index_select(0, atoms)
        turns = rotations.transpose(1, 2).index_select(0, bead)
        latents = torch.bmm(turns, z.index_select(0, bead))
        axes = bead_axes(graph, placed, x).index_select(0, atoms)
        centres = bead_means(placed, graph.bead, graph.owner.shape[0])
        selected = self.attention(y - centres.index_select(0, bead), latents)
        own, built = h.index_select(0, atoms), self.built(h.index_select(0, before))
        state = self.atoms(own) + self.beads(H.index_select(0, bead)) + self.products(self.told(axes, latents))
        told = torch.bmm(turns, v.index_select(0, atoms))
        vectors = self.vectors(torch.cat([axes, selected.unsqueeze(2) / self.unit, latents, told], dim=2))
        silent = torch.zeros(before.shape[0], 3, vectors.shape[2], dtype=vectors.dtype, device=vectors.device)
        pivots = bridges_of(graph, placed, x)[0].index_select(0, bead)
        source, target, kinds, fade = self.pairs(graph, y, x, atoms, before)
        rows, there = y, x.index_select(0, before)
        for layer in self.layers:
            every = torch.cat([rows, there])
            features, unit = self.edge_features(every.index_select(0, source) - rows.index_select(0, target), kinds)
            edges = Edges(source, target, features * fade.unsqueeze(1), unit)
            state, vectors, turn, move = layer(state, vectors, built, silent, edges)
            # A bead turns as one, by the mean of what its atoms ask.
            turns = bead_means(turn, bead, graph.owner.shape[0]).index_select(0, bead)
            rows = pivots + rotated(rows - pivots, turns) + move
        return rows

    def told(self, axes, latents):
        # type: (Tensor, Tensor) -> Tensor
        """Products of an atom's axes (m, 3, 3) and its bead's latents (m, 3, d), which no rotation changes."""
        products = torch.bmm(axes.transpose(1, 2), latents).flatten(1)
        arm, turn, bridge = axes.unbind(2)
        lengths = torch.sqrt(squared_length(latents, 1) + 1e-4)
        mine = [squared_length(arm), squared_length(turn), dot(arm, bridge, 1), squared_length(bridge)]
        return torch.cat([products, lengths, torch.stack(mine, dim=1)], dim=1)

    def pairs(self, graph, y, x, atoms, before):
        # type: (CoarseGraph, Tensor, Tensor, Tensor, Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]
        """Rows of sources (of y, then of what is built) and targets, kinds of pairs, and how far they count."""
        everything = torch.cat([atoms, before])
        molecule = graph.owner.index_select(0, graph.bead.index_select(0, everything))
        points = torch.cat([y, x.index_select(0, before)])
        target, source = owned_pairs(points, molecule, self.cutoff)
        m = atoms.shape[0]
        bead = graph.bead.index_select(0, everything)
        step = graph.step.index_select(0, bead)
        same = (source < m) & (bead[source] == bead[target])
        heard = (target < m) & (same | ((source >= m) & (step[source] < step[target])))
        target, source = target[heard], source[heard]
        size = graph.bead.shape[0]
        kinds = kinds_of_pairs(graph.near, graph.near_kind, size, everything[target], everything[source])
        distance = torch.sqrt(squared_length(points[source] - points[target]) + 1e-4)
        # Pairs are chosen once; those at the cutoff are not heard, wherever the layers move them.
        fade = 0.5 * (torch.cos(distance.clamp_max(self.cutoff) * self.turn) + 1.0)
        return source, target, kinds, fade
