"""The hierarchical encoder of CoarsenConf: atoms, pooling, beads, in every layer."""

import torch
from torch import nn

from openmm_cgvae.ligands.coarsegraph import CoarseGraph, bead_means  # noqa: F401 (in type comments)
from openmm_cgvae.ligands.equivariant import EdgeFeatures, Edges, VectorLayer, VectorMessages

__all__ = ["NEAR_KINDS", "HierarchicalEncoder"]

# Kinds of pairs up to 3 bonds apart: four orders of bonds, two and three bonds apart.
NEAR_KINDS = 6


class HierarchyLayer(nn.Module):
    """Fine-grained, pooling and coarse-grained module."""

    def __init__(self, features: int, channels: int, atom_features: int, pool_features: int, bead_features: int):
        super().__init__()
        self.atoms = VectorLayer(features, channels, atom_features)
        self.pool = VectorMessages(features, channels, pool_features)
        self.beads = VectorLayer(features, channels, bead_features)

    def forward(self, h, v, H, V, atoms, pool, beads):
        # type: (Tensor, Tensor, Tensor, Tensor, Edges, Edges, Edges) -> tuple[Tensor, Tensor, Tensor, Tensor]
        h, v = self.atoms(h, v, atoms)
        scalars, vectors = self.pool(h, v, pool, H.shape[0])
        H, V = self.beads(H + scalars, V + vectors, beads)
        return h, v, H, V


class HierarchicalEncoder(nn.Module):
    """Atoms to scalars and vectors of atoms and of beads, which are the means of their atoms.

    Parameters
    ----------
    features, channels : int
        Scalars and vectors of every atom and bead.
    layers : int
    radial : int
        Radial functions.
    atom_cutoff, bead_cutoff : float
        Angstrom; atoms farther than `bead_cutoff` from their bead's centre are not heard by it.
    """

    def __init__(self, features: int, channels: int, layers: int, radial: int, atom_cutoff: float, bead_cutoff: float):
        super().__init__()
        self.features, self.channels = features, channels
        self.atom_edges = EdgeFeatures(radial, atom_cutoff, NEAR_KINDS)
        self.pool_edges = EdgeFeatures(radial, bead_cutoff, 0)
        # One kind: beads that are bonded.
        self.bead_edges = EdgeFeatures(radial, bead_cutoff, 1)
        widths = (self.atom_edges.width, self.pool_edges.width, self.bead_edges.width)
        self.layers = nn.ModuleList([HierarchyLayer(features, channels, *widths) for _ in range(layers)])

    def forward(self, h, v, x, graph):
        # type: (Tensor, Tensor, Tensor, CoarseGraph) -> tuple[Tensor, Tensor, Tensor, Tensor]
        """Encode.

        Parameters
        ----------
        h : Tensor, shape (n, F)
        v : Tensor, shape (n, 3, C)
        x : Tensor, shape (n, 3)
            Angstrom.
        graph : CoarseGraph

        Returns
        -------
        h, v, H, V : Tensor
            Of atoms as given, of beads (N, F) and (N, 3, C).
        """
        n_beads = graph.owner.shape[0]
        X = bead_means(x, graph.bead, n_beads)
        molecule = graph.owner.index_select(0, graph.bead)
        atoms = self.atom_edges.among(x, molecule, graph.near, graph.near_kind)
        beads = self.bead_edges.among(X, graph.owner, graph.linked, torch.ones_like(graph.linked[:, 0]))
        rows = torch.arange(x.shape[0], device=x.device)
        features, unit = self.pool_edges(x - X.index_select(0, graph.bead), torch.zeros_like(rows))
        pool = Edges(rows, graph.bead, features, unit)
        H = torch.zeros(n_beads, self.features, dtype=h.dtype, device=h.device)
        V = torch.zeros(n_beads, 3, self.channels, dtype=h.dtype, device=h.device)
        for layer in self.layers:
            h, v, H, V = layer(h, v, H, V, atoms, pool, beads)
        return h, v, H, V
