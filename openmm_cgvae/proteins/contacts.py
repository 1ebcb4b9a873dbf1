"""Overlaps between heavy atoms of different residues."""

import torch
from torch import nn

from openmm_cgvae.proteins.graph import at_rows
from openmm_cgvae.proteins.sidechains import AMINO_ACIDS, ATOM_NAMES, N_SLOTS

__all__ = ["Crowding"]

# Closest distances in Angstrom of heavy atoms that are not bonded, by elements; polar ones may share a hydrogen.
CLOSEST = {
    "CC": 3.3,
    "CN": 3.1,
    "CO": 3.0,
    "NN": 2.75,
    "NO": 2.6,
    "OO": 2.5,
    "CS": 3.4,
    "NS": 3.2,
    "OS": 3.1,
    "SS": 2.0,
}
# Side chains with an overlap of more than this are drawn again.
CROWDED = 0.45


class Crowding(nn.Module):
    """Overlaps of side chains with the atoms of neighbouring residues."""

    def __init__(self):
        super().__init__()
        kinds = torch.zeros(len(AMINO_ACIDS), N_SLOTS, dtype=torch.long)
        there = torch.zeros(len(AMINO_ACIDS), N_SLOTS, dtype=torch.bool)
        for number, residue in enumerate(AMINO_ACIDS):
            for slot, name in enumerate(ATOM_NAMES[residue]):
                kinds[number, slot], there[number, slot] = "CNOS".index(name[0]), True
        closest = torch.tensor([[CLOSEST["".join(sorted(a + b))] for b in "CNOS"] for a in "CNOS"])
        self.register_buffer("kinds", kinds, persistent=False)
        self.register_buffer("there", there, persistent=False)
        self.register_buffer("closest", closest, persistent=False)
        self.limit = CROWDED

    def overlaps(self, placed, chosen, atoms, types, rows, translation=None):
        # type: (Tensor, Tensor, Tensor, Tensor, Tensor, Optional[Tensor]) -> Tensor
        """Overlap in Angstrom of every side-chain atom of candidates with every atom of the neighbours.

        Parameters
        ----------
        placed : Tensor, shape (m, c, 14, 3)
            Candidates of the chosen residues.
        chosen : int Tensor, shape (m,)
        atoms : Tensor, shape (R, 14, 3)
        types : int Tensor, shape (R,)
        rows : int Tensor, shape (R, K)
        translation : Tensor, shape (R, K, 3), optional
            Of the neighbours' images.

        Returns
        -------
        Tensor, shape (m, c, 9, K, 14)
            Zero for atoms that are not there, and for C-beta of neighbours along the chain.
        """
        near = rows[chosen]
        others = at_rows(atoms, near, None if translation is None else translation[chosen])
        # Slots from 5 on: torsions do not move C-beta.
        own = placed[:, :, 5:]
        m, c, s = own.shape[0], own.shape[1], own.shape[2]
        apart = torch.cdist(own.reshape(m, c * s, 3), others.flatten(1, 2)).reshape(m, c, s, near.shape[1], -1)
        closest = self.closest.to(apart.dtype)[
            self.kinds[types[chosen]][:, 5:][:, :, None, None], self.kinds[types[near]][:, None]
        ]
        real = self.there[types[chosen]][:, 5:][:, :, None, None] & self.there[types[near]][:, None]
        real = real & (near != chosen.unsqueeze(1))[:, None, :, None]
        return (closest.unsqueeze(1) - apart).clamp_min(0.0) * real.unsqueeze(1).to(apart.dtype)

    def forward(self, placed, chosen, atoms, types, rows, known, translation=None):
        # type: (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Optional[Tensor]) -> Tensor
        """Sum of squared overlaps (m, c) of candidates (m, c, 14, 3) with backbones and with side chains known (R,)."""
        overlap = self.overlaps(placed, chosen, atoms, types, rows, translation)
        # Of a neighbour without side chain yet, atoms up to C-beta.
        side = torch.arange(atoms.shape[1], device=atoms.device) > 4
        seen = known[rows[chosen]].unsqueeze(-1) | ~side
        return (overlap.square() * seen[:, None, None].to(overlap.dtype)).sum((2, 3, 4))

    def crowded(self, atoms, types, rows, translation=None):
        # type: (Tensor, Tensor, Tensor, Optional[Tensor]) -> Tensor
        """Rows of the residues whose side chains overlap others by more than the limit."""
        everyone = torch.arange(types.shape[0], device=types.device)
        found: list[torch.Tensor] = []
        for part in everyone.split(512):
            overlap = self.overlaps(atoms[part].unsqueeze(1), part, atoms, types, rows, translation)
            found.append(part[overlap.flatten(1).amax(1) > self.limit])
        return torch.cat(found)
