"""Message passing between atoms that are near in space but not along the bonds, which removes overlaps."""

from typing import NamedTuple

import torch
from torch import nn

from openmm_cgvae.geometry.neighbours import DENSE_ATOMS, listed_pairs, pairs_within
from openmm_cgvae.geometry.vectors import segment_sum, squared_length
from openmm_cgvae.models.config import ModelConfig
from openmm_cgvae.models.layers import mlp
from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["FEATURES_PER_CHANNEL", "ContactFinder", "ContactLayer"]

# Messages fade to nothing here: beyond the closest approach of any two atoms, in Angstrom.
RANGE = 3.6
# Lorentzians on the distance.
CENTRES = (0.8, 1.4, 2.0, 2.6, 3.2)
WIDTH = 0.35
# Node features for one channel of the messages, whose cost is that of all edges; on the bond graph too.
FEATURES_PER_CHANNEL = 4


class Contacts(NamedTuple):
    """Directed pairs (e,) of near atoms as rows of all frames' atoms, sorted by `atom`.

    Those of row a are number ``offsets[a]`` to ``offsets[a + 1]``, which `order` counts.
    """

    atom: torch.Tensor
    neighbour: torch.Tensor
    order: torch.Tensor
    offsets: torch.Tensor


class ContactFinder(nn.Module):
    """The pairs more than three bonds apart that are within the range of a `ContactLayer`."""

    def __init__(self, spec: MoleculeSpec):
        super().__init__()
        self.dense_atoms, self.range = DENSE_ATOMS, RANGE
        self.bind(spec)

    def bind(self, spec: MoleculeSpec) -> None:
        """Take another molecule."""
        self.n_atoms = spec.n_atoms
        i, j = torch.as_tensor(spec.near_pairs).t()
        atoms = torch.arange(spec.n_atoms)
        self.register_buffer(
            "near", torch.cat([self.coded(i, j), self.coded(j, i), self.coded(atoms, atoms)]), persistent=False
        )

    def coded(self, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        """One number for each directed pair."""
        return i * self.n_atoms + j

    def pairs(self, x: torch.Tensor) -> torch.Tensor:
        """Frame and atoms i, j of the contacts of atoms (B, n, 3), sorted by frame and i."""
        if self.n_atoms > self.dense_atoms:
            pairs = listed_pairs(x, self.range)
            return pairs[~torch.isin(self.coded(pairs[:, 1], pairs[:, 2]), self.near)]
        reach = torch.full([self.n_atoms * self.n_atoms], self.range**2, dtype=x.dtype, device=x.device)
        return pairs_within(x, reach.index_fill(0, self.near, -torch.inf).view(self.n_atoms, self.n_atoms))

    def forward(self, x: torch.Tensor) -> Contacts:
        """Contacts of atoms (B, n, 3) in Angstrom."""
        frame, i, j = self.pairs(x.detach()).unbind(1)
        atom = frame * x.shape[1] + i
        counts = torch.bincount(atom, minlength=x.shape[0] * x.shape[1])
        offsets = nn.functional.pad(torch.cumsum(counts, 0), [1, 0])
        return Contacts(atom, frame * x.shape[1] + j, torch.arange(len(atom), device=x.device), offsets)


class ContactLayer(nn.Module):
    """New features, and displacements along the vectors to near atoms, from messages that fade with the distance."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        W = config.refinement_width
        M = max(1, W // FEATURES_PER_CHANNEL)
        self.range, self.width = RANGE, WIDTH
        self.register_buffer("centres", torch.tensor(CENTRES), persistent=False)
        self.filter = nn.Parameter(torch.randn(len(CENTRES), M) / len(CENTRES) ** 0.5)
        self.ends = nn.Linear(W, 2 * M)
        self.update = mlp(W + M, W, W, config.activation)
        self.leave = nn.Linear(M, 1, bias=False)
        # Initialise as the identity.
        for parameter in (self.leave.weight, *self.update[-1].parameters()):
            nn.init.zeros_(parameter)

    def forward(self, h, x, contacts):
        # type: (Tensor, Tensor, Contacts) -> tuple[Tensor, Tensor]
        """Atom features (B, n, W) and atoms (B, n, 3) in Angstrom to new features and displacements (B, n, 3)."""
        flat = x.flatten(0, 1)
        vector = flat.index_select(0, contacts.neighbour) - flat.index_select(0, contacts.atom)
        distance = squared_length(vector).add(1e-6).sqrt().unsqueeze(1)
        fading = (1.0 - (distance / self.range).square()).clamp_min(0.0).square()
        basis = fading / (1.0 + ((distance - self.centres) / self.width).square())
        target, source = self.ends(h).flatten(0, 1).chunk(2, dim=-1)
        message = torch.matmul(basis, self.filter)
        message = message * target.index_select(0, contacts.atom) * source.index_select(0, contacts.neighbour)
        push = self.leave(message) * vector / distance
        total = segment_sum(torch.cat([message, push], dim=1), contacts.order, contacts.offsets)
        total = total.unflatten(0, (h.shape[0], h.shape[1]))
        return h + self.update(torch.cat([h, total[..., :-3]], dim=-1)), total[..., -3:]
