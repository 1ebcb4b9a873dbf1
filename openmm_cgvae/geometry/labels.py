"""Restores the labels of equivalent substituents, such as the two hydrogens of a CH2 group."""

import torch
from torch import nn

from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["AlikePairs"]


class AlikePairs(nn.Module):
    """Swaps equivalent substituents (such as CH2 hydrogens) whose labels are inverted.

    The loss cannot correct such an inversion, because the two atoms would have to pass through each other. Both belong
    to one bead with the same weight, so M x is unchanged.

    Parameters
    ----------
    spec : MoleculeSpec
    """

    def __init__(self, spec: MoleculeSpec):
        super().__init__()
        self.bind(spec)

    def bind(self, spec: MoleculeSpec) -> None:
        """Take another molecule."""
        corners, pairs = torch.tensor(spec.alike_pairs[:, :3]), torch.tensor(spec.alike_pairs[:, 3:])
        self.register_buffer("corners", corners.t().flatten(), persistent=False)
        self.register_buffer("ordered", pairs.t().flatten(), persistent=False)
        self.register_buffer("exchanged", pairs.flip(1).t().flatten(), persistent=False)

    def forward(self, dx: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Displacements (B, n, 3) of atoms x (B, n, 3) from their beads, with every pair on its own side."""
        centre, one, other = x[:, self.corners].chunk(3, 1)
        pair = dx[:, self.ordered]
        first, second = pair.chunk(2, 1)
        normal = torch.cross(one - centre, other - centre, dim=2)
        wrong = (normal * (first - second)).sum(2, keepdim=True) < 0
        placed = torch.where(wrong.repeat(1, 2, 1), dx[:, self.exchanged], pair)
        return dx.index_copy(1, self.ordered, placed)
