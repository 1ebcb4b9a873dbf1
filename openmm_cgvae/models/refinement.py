"""Message passing on the bond graph, after channel selection: where bond lengths and angles are learned."""

import torch
from torch import nn
from torch.nn.functional import linear

from openmm_cgvae.models.config import ModelConfig
from openmm_cgvae.models.layers import mlp, squared_length
from openmm_cgvae.models.spec import MoleculeSpec

__all__ = ["Refinement"]

# Lorentzians on local distances, which are cheaper than Gaussians: centres and half-widths in Angstrom.
CENTRES = (1.0, 1.5, 2.1, 2.6, 3.4, 4.5)
WIDTHS = (0.3, 0.3, 0.4, 0.4, 0.6, 0.8)
# Beyond this a message fades away, so that a rough frame gives no large ones.
RANGE = 4.0
# With the fading constant and the fading distance.
BASIS_SIZE = len(CENTRES) + 2
# Node features for one channel of the messages, whose cost is that of all edges.
FEATURES_PER_CHANNEL = 4


def neighbour_table(spec):
    """Atoms up to three bonds from each: indices (n, D), padded with the atom itself, and a mask (n, D)."""
    rows = [[] for _ in range(spec.n_atoms)]
    for i, j in spec.near_pairs.tolist():
        rows[i].append(j)
        rows[j].append(i)
    width = max(len(row) for row in rows)
    table = torch.arange(spec.n_atoms)[:, None].repeat(1, width)
    mask = torch.zeros(spec.n_atoms, width)
    for i, row in enumerate(rows):
        table[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1.0
    return table, mask


def rows(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """``values[:, index]`` by the copying of whole rows, which is several times faster."""
    return values.index_select(1, index.flatten()).unflatten(1, index.shape)


def asinh(x: torch.Tensor) -> torch.Tensor:
    """Inverse hyperbolic sine, by functions that torch has vectorised."""
    size = x.abs()
    return torch.copysign(torch.log1p(size + x.square() / (1.0 + torch.sqrt(1.0 + x.square()))), x)


class RefinementLayer(nn.Module):
    """Scalars from, and displacements along, the vectors to the near atoms.

    The molecule is fixed, so every edge has weights of its own beside the distance filter. Cross products of the
    vectors tell a side from its mirror image; they are left out of a model that must not.
    """

    def __init__(self, n_atoms: int, n_near: int, config: ModelConfig):
        super().__init__()
        W, C = config.refinement_width, config.refinement_vectors
        M = max(1, W // FEATURES_PER_CHANNEL)
        self.handed = 1.0 if config.handed else 0.0
        self.filter = nn.Parameter(torch.randn(BASIS_SIZE, M) / BASIS_SIZE**0.5)
        self.edge = nn.Parameter(1.0 + 0.3 * torch.randn(n_atoms, n_near, M))
        self.source = nn.Linear(W, M)
        self.mix = nn.Linear(M + C, 2 * M, bias=False)
        self.update = mlp(W + 2 * M, W, W, config.activation)
        self.leave = nn.Linear(W, 2 * M + C)
        # A layer starts as the identity.
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, h, basis, unit, P, table, mask):
        # type: (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor) -> tuple[Tensor, Tensor]
        """Atom features (B, n, W), edges' basis (B, n, D, K) and unit vectors (B, n, D, 3), vectors (B, n, 3, C).

        Returns the new features and the displacements (B, n, 3) in Angstrom.
        """
        edge = self.edge * mask.unsqueeze(-1)
        message = torch.matmul(basis, self.filter) * rows(self.source(h), table) * edge
        V = torch.cat([torch.matmul(unit.transpose(2, 3), message), P], dim=-1)
        left, right = self.mix(V).chunk(2, dim=-1)
        # Products of lengths are tamed, since layers would square them again and again.
        inner = asinh((left * right).sum(2))
        h = h + self.update(torch.cat([h, message.sum(2), inner], dim=-1))
        along, across = self.leave(h).split([V.shape[3], left.shape[3]], dim=-1)
        dx = (V * along.unsqueeze(2)).sum(-1)
        if self.handed > 0.0:
            dx = dx + (torch.linalg.cross(left, right, dim=2) * across.unsqueeze(2)).sum(-1)
        return h, dx


class Refinement(nn.Module):
    """Layers on the atoms themselves, each followed by the recentring of the beads.

    An atom starts from an embedding, its bead's latent, and `refinement_vectors` mixtures of its bead's vector
    features.
    """

    def __init__(self, spec: MoleculeSpec, config: ModelConfig):
        super().__init__()
        W = config.refinement_width
        table, mask = neighbour_table(spec)
        self.register_buffer("table", table)
        self.register_buffer("mask", mask)
        self.range = RANGE
        self.register_buffer("centres", torch.tensor(CENTRES))
        self.register_buffer("widths", torch.tensor(WIDTHS))
        self.register_buffer("assignment", torch.tensor(spec.assignment))
        self.embedding = nn.Parameter(torch.randn(spec.n_atoms, W) * 0.5)
        self.enter = nn.Linear(config.latent or config.features, W)
        mixtures = torch.randn(spec.n_atoms, config.features, config.refinement_vectors)
        self.mixtures = nn.Parameter(mixtures / config.features**0.5)
        self.layers = nn.ModuleList(
            [RefinementLayer(spec.n_atoms, table.shape[1], config) for _ in range(config.refinement_layers)]
        )

    def edges(self, dx: torch.Tensor, X: torch.Tensor):
        """Basis (B, n, D, K) of the distances of near atoms, and unit vectors (B, n, D, 3)."""
        x = X.to(dx.dtype).index_select(1, self.assignment) + dx
        vector = rows(x, self.table) - x.unsqueeze(2)
        distance = torch.sqrt(squared_length(vector) + 1e-6).unsqueeze(-1)
        # The fading with distance is a Lorentzian too; the last column is it times the distance.
        centres, widths = nn.functional.pad(self.centres, [0, 2]), self.widths
        widths = nn.functional.pad(widths, [0, 2], value=self.range)
        lorentzians = torch.reciprocal(1.0 + linear(distance, (1 / widths).unsqueeze(1), -centres / widths).square())
        last = nn.functional.pad(torch.ones_like(widths[:1]), [len(widths) - 1, 0])
        return lorentzians * linear(distance, last.unsqueeze(1), 1.0 - last), vector / distance

    def mixed(self, V: torch.Tensor) -> torch.Tensor:
        """Every atom's mixtures (B, n, 3, C) of its bead's vectors, V is (B, N, 3, F)."""
        atoms_first = V.transpose(0, 1).flatten(1, 2).index_select(0, self.assignment)
        return torch.bmm(atoms_first, self.mixtures).unflatten(1, (V.shape[0], 3)).transpose(0, 1)

    def forward(
        self, dx: torch.Tensor, X: torch.Tensor, z: torch.Tensor, V: torch.Tensor, projection: torch.Tensor
    ) -> torch.Tensor:
        """Refine.

        Parameters
        ----------
        dx : Tensor, shape (B, n, 3)
            Displacements from the beads in Angstrom, M dx = 0.
        X : Tensor, shape (B, N, 3)
            Beads in Angstrom.
        z : Tensor, shape (B, N, latent)
        V : Tensor, shape (B, N, 3, F)
            The decoder's vector features.
        projection : Tensor, shape (N, n)
            M.

        Returns
        -------
        Tensor, shape (B, n, 3)
            Displacements with M dx = 0.
        """
        h = self.embedding + self.enter(z).index_select(1, self.assignment)
        P = self.mixed(V)
        for layer in self.layers:
            basis, unit = self.edges(dx, X)
            h, step = layer(h, basis, unit, P, self.table, self.mask)
            dx = dx + step
            dx = dx - torch.matmul(projection.to(dx.dtype), dx)[:, self.assignment]
        return dx
