"""Message passing on the bond graph after channel selection, which learns bond lengths and angles."""

from typing import NamedTuple

import torch
from torch import nn

from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.geometry.shapes import place_order
from openmm_cgvae.geometry.types import as_types, n_types
from openmm_cgvae.geometry.vectors import Recentring, cross, segment_offsets, segment_sum, squared_length
from openmm_cgvae.models.config import ModelConfig
from openmm_cgvae.models.contacts import FEATURES_PER_CHANNEL, ContactFinder, ContactLayer
from openmm_cgvae.models.layers import mlp
from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["Refinement"]

# Lorentzians on local distances, which are cheaper than Gaussians: centres and half-widths in Angstrom.
CENTRES = (1.0, 1.5, 2.1, 2.6, 3.4, 4.5)
WIDTHS = (0.3, 0.3, 0.4, 0.4, 0.6, 0.8)
# Range in Angstrom of the messages, so that rough frames give no large ones.
RANGE = 4.0
# Including the envelope and the envelope times the distance.
BASIS_SIZE = len(CENTRES) + 2


def neighbour_table(spec):
    """Atoms up to three bonds from each, by type: indices (n, D), padded with the atom itself, and a mask (n, D)."""
    rows, order = [[] for _ in range(spec.n_atoms)], place_order(spec)
    for i, j in spec.near_pairs.tolist():
        rows[i].append(j)
        rows[j].append(i)
    rows = [sorted(row, key=order.__getitem__) for row in rows]
    width = max(len(row) for row in rows)
    table = torch.arange(spec.n_atoms)[:, None].repeat(1, width)
    mask = torch.zeros(spec.n_atoms, width)
    for i, row in enumerate(rows):
        table[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1.0
    return table, mask


def asinh(x: torch.Tensor) -> torch.Tensor:
    """Inverse hyperbolic sine, by functions that torch has vectorised."""
    size = x.abs()
    return torch.copysign(torch.log1p(size + x.square() / (1.0 + torch.sqrt(1.0 + x.square()))), x)


class Edges(NamedTuple):
    """The edges (e,) of a molecule, one for each atom of a near pair, sorted by that atom.

    `pair` and `neighbour` are an edge's pair and other atom, `slot` its row in the table of edge weights. Of a
    batch, the edges of atom i of frame b are the `rows` from ``offsets[b * n + i]`` on.
    """

    pair: torch.Tensor
    neighbour: torch.Tensor
    slot: torch.Tensor
    rows: torch.Tensor
    offsets: torch.Tensor


class RefinementLayer(nn.Module):
    """Scalars from, and displacements along, the vectors to the near atoms.

    The molecule is fixed, so every edge has its own weights in addition to the distance filter. Cross products of the
    vectors distinguish a structure from its mirror image; without handedness they are omitted. A layer with `contacts`
    repairs local geometry after atoms that are near in space have been moved apart.
    """

    def __init__(self, n_places: int, n_near: int, config: ModelConfig, contacts: bool = False):
        super().__init__()
        W, C = config.refinement_width, config.refinement_vectors
        M = max(1, W // FEATURES_PER_CHANNEL)
        self.handed = 1.0 if config.handed else 0.0
        self.filter = nn.Parameter(torch.randn(BASIS_SIZE, M) / BASIS_SIZE**0.5)
        self.edge = nn.Parameter(1.0 + 0.3 * torch.randn(n_places, n_near, M))
        self.source = nn.Linear(W, M)
        self.mix = nn.Linear(M + C, 2 * M, bias=False)
        self.update = mlp(W + 2 * M, W, W, config.activation)
        self.leave = nn.Linear(W, 2 * M + C)
        self.contacts = ContactLayer(config) if contacts else None
        # A layer starts as the identity.
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, h, basis, unit, P, edges):
        # type: (Tensor, Tensor, Tensor, Tensor, Edges) -> tuple[Tensor, Tensor]
        """Atom features (B, n, W), the pairs' basis (K, B, p), the edges' unit vectors (3, B, e), vectors (B, n, 3, C).

        Returns the new features and the displacements (B, n, 3) in Angstrom.
        """
        filters = torch.matmul(basis.flatten(1).t(), self.filter).unflatten(0, basis.shape[1:])
        weight = self.edge.flatten(0, 1).index_select(0, edges.slot)
        message = filters.index_select(1, edges.pair) * self.source(h).index_select(1, edges.neighbour) * weight
        message = message.flatten(0, 1)
        # The message, and its product with every component of the unit vectors.
        total = segment_sum(message, edges.rows, edges.offsets).view(h.shape[0], h.shape[1], -1)
        x, y, z = [segment_sum(message, edges.rows, edges.offsets, u.flatten()).view_as(total) for u in unit]
        V = torch.cat([torch.stack([x, y, z], dim=2), P], dim=-1)
        left, right = self.mix(V).chunk(2, dim=-1)
        # asinh limits the products, which successive layers would square repeatedly.
        inner = asinh((left * right).sum(2))
        h = h + self.update(torch.cat([h, total, inner], dim=-1))
        along, across = self.leave(h).split([V.shape[3], left.shape[3]], dim=-1)
        dx = (V * along.unsqueeze(2)).sum(-1)
        if self.handed > 0.0:
            dx = dx + (cross(left, right, 2) * across.unsqueeze(2)).sum(-1)
        return h, dx


class Refinement(nn.Module):
    """Layers on the atoms themselves, each followed by the recentring of the beads.

    An atom starts from an embedding, its bead's latent, and `refinement_vectors` mixtures of its bead's vector
    features.
    """

    def __init__(self, spec: MoleculeSpec, config: ModelConfig):
        super().__init__()
        W, places = config.refinement_width, n_types(spec.place_types, spec.n_atoms)
        self.n_near = neighbour_table(spec)[0].shape[1]
        self.recentred = Recentring(spec)
        self.range = RANGE
        self.register_buffer("centres", torch.tensor(CENTRES))
        self.register_buffer("widths", torch.tensor(WIDTHS))
        self.embedding = nn.Parameter(torch.randn(places, W) * 0.5)
        self.enter = nn.Linear(config.latent or config.features, W)
        mixtures = torch.randn(places, config.features, config.refinement_vectors)
        self.mixtures = nn.Parameter(mixtures / config.features**0.5)
        count, hearing = config.refinement_layers, config.refinement_contacts
        self.layers = nn.ModuleList(
            [RefinementLayer(places, self.n_near, config, k >= count - hearing) for k in range(count)]
        )
        self.find_contacts = ContactFinder(spec)
        self.bind(spec)

    def bind(self, spec: MoleculeSpec) -> None:
        """Take another molecule, whose types the tables have.

        An edge's row is that of its atom's type and its place among the atom's near atoms, in the order of their types.
        """
        table, mask = neighbour_table(spec)
        if table.shape[1] > self.n_near:
            raise SettingsError(
                f"a molecule with {table.shape[1]} atoms within 3 bonds of one given: {self.n_near} are known at most"
            )
        self.register_buffer("table", table)
        self.register_buffer("mask", mask)
        self.register_buffer("assignment", torch.tensor(spec.assignment))
        atom, column = torch.nonzero(mask).unbind(1)
        neighbour = table[atom, column]
        ends = torch.stack([torch.minimum(atom, neighbour), torch.maximum(atom, neighbour)])
        pairs, pair = torch.unique(ends, dim=1, return_inverse=True)
        types = as_types(spec.place_types, spec.n_atoms)
        arrays = {"neighbour": neighbour, "pair": pair, "first": pairs[0], "second": pairs[1], "place_types": types}
        arrays["slot"] = types[atom] * self.n_near + column
        arrays["sign"] = torch.where(atom < neighbour, 1.0, -1.0)
        arrays["offsets"] = segment_offsets(atom, spec.n_atoms)
        for name, value in arrays.items():
            self.register_buffer(name, value, persistent=False)
        self.recentred.bind(spec)
        self.find_contacts.bind(spec)

    def edges(self, batch: int) -> Edges:
        """The edges of all frames of a batch."""
        count, device = self.slot.shape[0], self.slot.device
        starts = count * torch.arange(batch, device=device).unsqueeze(1) + self.offsets[:-1]
        offsets = torch.cat([starts.flatten(), batch * self.offsets[-1:]])
        return Edges(self.pair, self.neighbour, self.slot, torch.arange(batch * count, device=device), offsets)

    def geometry(self, x):
        # type: (Tensor) -> tuple[Tensor, Tensor]
        """Basis (K, B, p) of the near pairs' distances in x (n, 3, B), and unit vectors (3, B, e) of the edges."""
        vector = (x.index_select(0, self.second) - x.index_select(0, self.first)).permute(1, 2, 0).contiguous()
        distance = torch.sqrt(squared_length(vector, 0) + 1e-6)
        # The fading with distance is a Lorentzian too; the last function is it times the distance.
        centres, widths = (
            nn.functional.pad(self.centres, [0, 2]),
            nn.functional.pad(self.widths, [0, 2], value=self.range),
        )
        basis = torch.reciprocal(1.0 + ((distance - centres[:, None, None]) / widths[:, None, None]).square())
        basis = torch.cat([basis[:-1], basis[-1:] * distance])
        return basis, (vector / distance).index_select(2, self.pair) * self.sign.to(x.dtype)

    def mixed(self, V: torch.Tensor) -> torch.Tensor:
        """Mixtures (B, n, 3, C) of the vectors V (B, N, 3, F) of each atom's bead."""
        atoms_first = V.transpose(0, 1).flatten(1, 2).index_select(0, self.assignment)
        mixtures = self.mixtures.index_select(0, self.place_types)
        return torch.bmm(atoms_first, mixtures).unflatten(1, (V.shape[0], 3)).transpose(0, 1)

    def forward(self, dx: torch.Tensor, X: torch.Tensor, z: torch.Tensor, V: torch.Tensor) -> torch.Tensor:
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

        Returns
        -------
        Tensor, shape (B, n, 3)
            Displacements with M dx = 0.
        """
        h = self.embedding.index_select(0, self.place_types) + self.enter(z).index_select(1, self.assignment)
        P, edges = self.mixed(V), self.edges(dx.shape[0])
        # Coordinates atoms first, so that indices copy rows of all frames.
        beads = X.to(dx.dtype).permute(1, 2, 0).index_select(0, self.assignment)
        dx = dx.permute(1, 2, 0)
        for layer in self.layers:
            if layer.contacts is not None:
                x = (beads + dx).permute(2, 0, 1).contiguous()
                h, step = layer.contacts(h, x, self.find_contacts(x))
                dx = self.recentred(dx + step.permute(1, 2, 0))
            basis, unit = self.geometry(beads + dx)
            h, step = layer(h, basis, unit, P, edges)
            dx = self.recentred(dx + step.permute(1, 2, 0))
        return dx.permute(2, 0, 1)
