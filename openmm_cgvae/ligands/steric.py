"""Energy between parts of a molecule that turn against one another, by tables of pairs in the form of MMFF94."""

import torch
from torch import Tensor, nn

__all__ = ["PairEnergy"]

# Buffers of the van der Waals and the electrostatic term (Halgren 1996), the latter in Angstrom.
DELTA, GAMMA, BUFFER = 0.07, 0.12, 0.05
# Distances in units of the minimum's below which the repulsion of a pair rises no further, since bonds and angles would
# give way, and the energy of its charges falls no further: opposite ones would pay for any overlap.
NEAREST, NEAREST_CHARGES = 0.4, 0.6


class PairEnergy(nn.Module):
    """Buffered 14-7 and Coulomb terms in kJ/mol; pairs that do not count have no depth and no charge.

    Parameters
    ----------
    radius, depth, charge : Tensor, shape (N, N)
        Distance of the minimum in Angstrom, its depth in kJ/mol, and the energy of the charges at 1 Angstrom.
    """

    def __init__(self):
        super().__init__()
        self.delta, self.gamma, self.buffer = DELTA, GAMMA, BUFFER
        self.nearest, self.nearest_charges = NEAREST, NEAREST_CHARGES
        for name in ("inverse", "depth", "charge"):
            self.register_buffer(name, torch.zeros(0, 0), persistent=False)

    def take(self, molecule: dict[str, Tensor]) -> None:
        """Take another molecule: ``radius``, ``depth`` and ``charge``."""
        self.inverse = 1.0 / molecule["radius"].clamp_min(0.1)
        self.depth, self.charge = molecule["depth"], molecule["charge"]

    def of_pairs(self, squares: Tensor, inverse: Tensor, depth: Tensor, charge: Tensor) -> Tensor:
        """Energies of pairs at squared distances (..., n, m) by tables (n, m)."""
        ratio = squares.clamp_min(1e-4).sqrt_().mul_(inverse).clamp_min_(self.nearest)
        distance = ratio.clamp_min(self.nearest_charges).div_(inverse)
        square = ratio * ratio
        seventh = square * square * square * ratio
        near = (1.0 + self.delta) / ratio.add_(self.delta)
        square = near * near
        power = square * square * square * near
        energy = power.mul_((1.0 + self.gamma) / seventh.add_(self.gamma) - 2.0).mul_(depth)
        return energy.add_(charge / distance.add_(self.buffer))

    def between(self, moving: Tensor, still: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Energy (S, J) of J places of moving atoms (S, J, m, 3) with atoms that stay (S, n, 3).

        `rows` (m,) and `columns` (n,) are their numbers.
        """
        centre = still.mean(1, keepdim=True)
        own, other = moving - centre.unsqueeze(1), still - centre
        n_places = own.shape[1]
        own = own.flatten(1, 2)
        squares = (own * own).sum(-1, keepdim=True) + (other * other).sum(-1).unsqueeze(1)
        squares = torch.baddbmm(squares, own, other.transpose(1, 2), alpha=-2.0).unflatten(1, (n_places, -1))
        tables = [
            table.index_select(0, rows).index_select(1, columns) for table in (self.inverse, self.depth, self.charge)
        ]
        return self.of_pairs(squares, tables[0], tables[1], tables[2]).sum((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Energy (S,) of all pairs of atoms (S, N, 3)."""
        centred = x - x.mean(1, keepdim=True)
        norms = (centred * centred).sum(-1)
        squares = norms.unsqueeze(1) + norms.unsqueeze(2)
        squares = torch.baddbmm(squares, centred, centred.transpose(1, 2), alpha=-2.0)
        return 0.5 * self.of_pairs(squares, self.inverse, self.depth, self.charge).sum((1, 2))
