"""Conformers fitted to beads by their torsions, place and orientation."""

import torch
from torch import Tensor, nn

from openmm_cgvae.geometry.turning import bond_axes, turned, turned_by_all
from openmm_cgvae.geometry.vectors import cross

__all__ = ["BeadFit", "best_rotation", "rotation_of", "squared_misses"]

# Eigenvalues of the quaternion matrix that are so near the largest, as a part of it, leave the orientation open.
OPEN = 1e-4


def rotation_of(quaternion: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of quaternions (..., 4), w first, of any length."""
    w, x, y, z = (quaternion / quaternion.square().sum(-1, keepdim=True).clamp_min(1e-12).sqrt()).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def quaternion_matrix(points: Tensor, targets: Tensor) -> Tensor:
    """Symmetric matrices (S, 4, 4) whose largest eigenvalue is the overlap of points (S, n, 3) with targets after the
    best rotation, and its eigenvector the quaternion of that (Horn 1987)."""
    m = torch.matmul(points.transpose(1, 2), targets)
    xx, xy, xz = m[:, 0].unbind(-1)
    yx, yy, yz = m[:, 1].unbind(-1)
    zx, zy, zz = m[:, 2].unbind(-1)
    rows = [
        xx + yy + zz, yz - zy, zx - xz, xy - yx,
        yz - zy, xx - yy - zz, xy + yx, zx + xz,
        zx - xz, xy + yx, yy - xx - zz, yz + zy,
        xy - yx, zx + xz, yz + zy, zz - xx - yy,
    ]  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (4, 4)).double()


def best_rotation(points: Tensor, targets: Tensor, undecided: float = OPEN) -> Tensor:
    """Rotations (S, 3, 3) that bring centred points (S, n, 3) nearest to centred targets.

    Where they leave an orientation open, as of one point, or of points in line, the least rotation of those that fit.
    """
    values, vectors = torch.linalg.eigh(quaternion_matrix(points, targets))
    scale = values.abs().amax(-1, keepdim=True) * undecided + 1e-9
    fitting = (values >= values[:, -1:] - scale).to(vectors.dtype)
    # The identity's part in the space of the quaternions that fit.
    found = torch.matmul(vectors, (vectors[:, 0] * fitting).unsqueeze(-1)).squeeze(-1)
    lost = found.square().sum(-1, keepdim=True) < 1e-12
    return rotation_of(torch.where(lost, vectors[:, :, -1], found)).to(points.dtype)


def squared_misses(points: Tensor, targets: Tensor) -> Tensor:
    """Sums (S,) of squared distances of points (S, n, 3) from targets after the best superposition."""
    points, targets = points - points.mean(1, keepdim=True), targets - targets.mean(1, keepdim=True)
    overlap = torch.linalg.eigvalsh(quaternion_matrix(points, targets))[:, -1].to(points.dtype)
    return (points.square().sum((1, 2)) + targets.square().sum((1, 2)) - 2.0 * overlap).clamp_min(0.0)


class BeadFit(nn.Module):
    """Gauss-Newton steps on torsions, translation and rotation that bring M x to beads.

    Parameters
    ----------
    steps : int
    """

    def __init__(self, steps: int = 8):
        super().__init__()
        self.steps = steps
        # Ridge in square Angstrom: torsions that beads do not tell of stay where they are.
        self.ridge, self.largest = 0.02, 0.6
        self.register_buffer("matrix", torch.zeros(0, 0), persistent=False)

    def take(self, molecule: dict[str, Tensor]) -> None:
        """Take another mapping: ``matrix`` (beads, N)."""
        self.matrix = molecule["matrix"]

    def superposed(self, x: Tensor, beads: Tensor) -> Tensor:
        """Atoms (S, N, 3) with their beads brought nearest to those given (S, B, 3)."""
        own = torch.matmul(self.matrix, x)
        centre, target = own.mean(1, keepdim=True), beads.mean(1, keepdim=True)
        rotation = best_rotation(own - centre, beads - target)
        return torch.matmul(x - centre, rotation.transpose(1, 2)) + target

    def turning_misses(self, x: Tensor, beads: Tensor, bond: Tensor, moved: Tensor, angles: Tensor) -> Tensor:
        """Squared misses (S, J) of beads (S, B, 3) after atoms (S, N, 3) beyond a bond are turned by angles (S, J)."""
        origin, axis = bond_axes(x, bond)
        share = self.matrix * moved.to(x.dtype)
        weight = share.sum(1)
        still = torch.matmul(self.matrix - share, x)
        # Turning is linear about the origin: parts of beads turn as points do.
        arms = torch.matmul(share, x - origin.unsqueeze(1))
        turning = turned(arms + origin.unsqueeze(1), origin, axis, angles) - origin[:, None, None]
        there = still.unsqueeze(1) + turning + (weight.unsqueeze(1) * origin.unsqueeze(1)).unsqueeze(1)
        targets = beads.unsqueeze(1).expand_as(there)
        return squared_misses(there.flatten(0, 1), targets.flatten(0, 1)).unflatten(0, angles.shape)

    def forward(self, x: Tensor, torsions: Tensor, beads: Tensor, bonds: Tensor,
                moved: Tensor) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Fit atoms (S, N, 3), with torsions (T, S), to beads (S, B, 3); `bonds` and `moved` as of `turned_by_all`."""
        x = self.superposed(x, beads)
        free = torch.zeros_like(torsions)
        for _ in range(self.steps):
            x, torsions = self.step(x, torsions, beads, bonds, moved, free, free, self.largest)
        return x, torsions

    def step(self, x: Tensor, torsions: Tensor, beads: Tensor, bonds: Tensor, moved: Tensor, slope: Tensor,
             stiffness: Tensor, largest: float) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Atoms and torsions after one step down half the squared misses plus an energy of the torsions.

        Parameters
        ----------
        slope, stiffness : Tensor, shape (T, S)
            First derivatives of the energy, and second ones of at least 0, where squared Angstrom are its unit.
        largest : float
            Radian by which a torsion moves at most.
        """
        n_tokens = bonds.shape[0]
        jacobian = self.slopes(x, bonds, moved)
        missed = (beads - torch.matmul(self.matrix, x)).flatten(1)
        down = torch.matmul(jacobian, missed.unsqueeze(-1)).squeeze(-1)
        others = [down.shape[1] - n_tokens, down.shape[0]]
        down = down - torch.cat([slope, torch.zeros(others, dtype=x.dtype, device=x.device)]).transpose(0, 1)
        ridge = torch.cat([stiffness, torch.zeros(others, dtype=x.dtype, device=x.device)]) + self.ridge
        square = torch.matmul(jacobian, jacobian.transpose(1, 2)) + torch.diag_embed(ridge.transpose(0, 1))
        by = torch.linalg.solve(square, down.unsqueeze(-1)).squeeze(-1)
        angles = by[:, :n_tokens].clamp(-largest, largest).transpose(0, 1)
        x = self.superposed(turned_by_all(x, bonds, moved, angles), beads)
        return x, torsions + angles

    def slopes(self, x: Tensor, bonds: Tensor, moved: Tensor) -> Tensor:
        """Change of beads with each torsion, rotation and translation: (S, T + 6, 3 B)."""
        rows: list[Tensor] = []
        for k in range(bonds.shape[0]):
            origin, axis = bond_axes(x, bonds[k])
            arm = (x - origin.unsqueeze(1)) * moved[k].to(x.dtype).unsqueeze(-1)
            rows.append(torch.matmul(self.matrix, cross(axis.unsqueeze(1).expand_as(arm), arm, -1)))
        beads = torch.matmul(self.matrix, x)
        arm = beads - beads.mean(1, keepdim=True)
        for k in range(3):
            axis = torch.zeros_like(arm)
            axis[:, :, k] = 1.0
            rows.append(cross(axis, arm, -1))
            rows.append(axis)
        return torch.stack(rows, 1).flatten(2)
