"""Local geometry brought inside what the training frames showed, with M x = X kept."""

import itertools

import numpy as np
import torch
from torch import nn

from openmm_cgvae.models.layers import squared_length
from openmm_cgvae.models.spec import MoleculeSpec

__all__ = ["BoundsProjection"]

# Beyond the range that training saw, in Angstrom (times the area that a neighbour sweeps, for volumes).
SLACK_ANGSTROM = 0.02
# Pairs this much farther apart than their closest approach may collide during a round.
SKIN_ANGSTROM = 0.5
# A frame is done when nothing is farther out than this.
TOLERANCE_ANGSTROM = 1e-4
# Sweeps between two looks at which frames are done and which pairs are close.
ROUND = 10
# Elements of a chunk's distance matrices.
MAX_ELEMENTS = 1 << 24


def centres_with_neighbours(spec):
    """Every three of a stereocentre's four neighbours, and the three of a trigonal atom: (c, 4), centre first.

    With three of the four alone, the last may be on the wrong side, and the first minimisation then turns them over.
    """
    rows = []
    bonds = spec.near_pairs[spec.near_hops == 1].tolist()
    for centre in spec.stereocentres[:, 0].tolist():
        neighbours = [j if i == centre else i for i, j in bonds if centre in (i, j)]
        rows += [[centre, *three] for three in itertools.combinations(neighbours, 3)]
    return np.array([*rows, *spec.trigonal_centres.tolist()], dtype=np.int64).reshape(-1, 4)


class BoundsProjection(nn.Module):
    """Position-based constraints on decoded frames: the identity on good ones, otherwise rounds of Jacobi sweeps.

    Bounded are distances one and two bonds apart, those three bonds apart about a bond that hardly turns, and the
    signed volumes of stereocentres and of atoms with three neighbours, to the range over the training frames; all
    other pairs keep the closest approach of their kinds. In a sweep every violated bound asks its atoms for the
    smallest displacements that satisfy it (Mueller et al., J. Vis. Commun. Image R. 18, 109, 2007); an atom moves
    by the mean of what it is asked, weighted by the violations, so that the result is continuous and does not
    depend on the order. Each bead is then recentred.

    Parameters
    ----------
    spec : MoleculeSpec
    sweeps : int
        At most; made in rounds of 10.
    """

    def __init__(self, spec: MoleculeSpec, sweeps: int):
        super().__init__()
        # TorchScript sees attributes, not the module's constants.
        self.rounds, self.sweeps = -(-sweeps // ROUND), ROUND
        self.skin, self.tolerance, self.max_elements = SKIN_ANGSTROM, TOLERANCE_ANGSTROM, MAX_ELEMENTS
        self.n_atoms = spec.n_atoms
        near, hops = torch.as_tensor(spec.near_pairs), torch.as_tensor(spec.near_hops)
        rigid = torch.as_tensor(spec.rigid_pairs)
        pairs = torch.cat([near[hops < 3], rigid])
        code = self.coded(near)
        order = torch.argsort(code)
        bounded = (hops < 3) | torch.isin(code, self.coded(rigid))
        self.register_buffer("near_codes", code[order])
        # Contacts of pairs three bonds apart are closer than others; bounded pairs have none.
        self.register_buffer("near_contact", torch.where(bounded, 2, 1)[order])
        self.register_buffer("pairs", pairs)
        self.register_buffer("lower", torch.zeros(len(pairs)))
        self.register_buffer("upper", torch.full((len(pairs),), torch.inf))
        centres = torch.as_tensor(centres_with_neighbours(spec))
        self.register_buffer("centres", centres)
        self.register_buffer("volume_lower", torch.full((len(centres),), -torch.inf))
        self.register_buffer("volume_upper", torch.full((len(centres),), torch.inf))
        kinds = torch.as_tensor(spec.contact_kinds)
        self.register_buffer("kinds", kinds)
        n_kinds = int(kinds.max()) + 1
        # Closest approach (farther than 3 bonds, 3 bonds, bounded); 0 where there is no bound.
        self.register_buffer("contacts", torch.zeros(3, n_kinds, n_kinds))

    def coded(self, pairs: torch.Tensor) -> torch.Tensor:
        """One number for each pair (p, 2), first atom before the second."""
        return pairs[:, 0] * self.n_atoms + pairs[:, 1]

    @torch.jit.unused
    def calibrate(self, x: torch.Tensor) -> None:
        """Take the bounds from training frames (frames, n, 3) in Angstrom."""
        closest = torch.full((self.n_atoms, self.n_atoms), torch.inf, device=x.device)
        distances, volumes = [], []
        for chunk in x.split(max(1, MAX_ELEMENTS // self.n_atoms**2)):
            closest = torch.minimum(closest, torch.cdist(chunk, chunk).amin(0))
            distances.append(torch.stack(self.lengths(chunk).aminmax(dim=0)))
            volumes.append(torch.stack(self.volumes(chunk)[0].aminmax(dim=0)))
        distances, volumes = torch.stack(distances), torch.stack(volumes)
        self.lower.copy_(distances[:, 0].amin(0) - SLACK_ANGSTROM)
        self.upper.copy_(distances[:, 1].amax(0) + SLACK_ANGSTROM)
        area = self.volumes(x[:1])[1].square().sum((1, 3)).sqrt()[0]
        self.volume_lower.copy_(volumes[:, 0].amin(0) - SLACK_ANGSTROM * area)
        self.volume_upper.copy_(volumes[:, 1].amax(0) + SLACK_ANGSTROM * area)
        self._calibrate_contacts(closest)

    @torch.jit.unused
    def _calibrate_contacts(self, closest: torch.Tensor) -> None:
        """Closest approach of kinds from that of all pairs (n, n)."""
        i, j = torch.triu_indices(self.n_atoms, self.n_atoms, 1, device=closest.device)
        n_kinds = self.contacts.shape[1]
        cell = (self.contact_class(i, j) * n_kinds + self.kinds[i]) * n_kinds + self.kinds[j]
        table = torch.full((3 * n_kinds * n_kinds,), torch.inf, device=closest.device)
        table = table.scatter_reduce(0, cell, closest[i, j], "amin").reshape(3, n_kinds, n_kinds)
        table = torch.minimum(table, table.transpose(1, 2)) - SLACK_ANGSTROM
        # Kinds that never meet, and pairs with bounds of their own.
        table[~torch.isfinite(table)] = 0.0
        table[2] = 0.0
        self.contacts.copy_(table)

    def contact_class(self, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        """0 for pairs farther than three bonds apart, 1 for three bonds, 2 for bounded ones; i < j."""
        code = i * self.n_atoms + j
        place = torch.searchsorted(self.near_codes, code).clamp_max(self.near_codes.shape[0] - 1)
        return torch.where(self.near_codes[place] == code, self.near_contact[place], torch.zeros_like(code))

    def lengths(self, x: torch.Tensor) -> torch.Tensor:
        """Distances of the bounded pairs, (B, n, 3) to (B, p)."""
        vector = x.index_select(1, self.pairs[:, 0]) - x.index_select(1, self.pairs[:, 1])
        return squared_length(vector).add(1e-12).sqrt()

    def volumes(self, x):
        # type: (Tensor) -> tuple[Tensor, Tensor]
        """Signed volumes (B, c) and their gradients (B, 4, c, 3), centre first."""
        centre, first, second, third = x.index_select(1, self.centres.t().flatten()).chunk(4, dim=1)
        u, v, w = first - centre, second - centre, third - centre
        du, dv, dw = torch.linalg.cross(v, w), torch.linalg.cross(w, u), torch.linalg.cross(u, v)
        return (u * du).sum(-1), torch.stack([-du - dv - dw, du, dv, dw], dim=1)

    def contact_list(self, x):
        # type: (Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]
        """Frame, atoms i < j, and closest approach of the pairs that collide or nearly so; x is (B, n, 3)."""
        reach = float(self.contacts.max()) + self.skin
        close = torch.nonzero(torch.triu(torch.cdist(x, x) < reach, diagonal=1))
        frame, i, j = close[:, 0], close[:, 1], close[:, 2]
        lower = self.contacts[self.contact_class(i, j), self.kinds[i], self.kinds[j]].to(x.dtype)
        distance = self.separations(x, frame, i, j)
        kept = torch.nonzero((lower > 0) & (distance < lower + self.skin))[:, 0]
        return frame[kept], i[kept], j[kept], lower[kept]

    def separations(self, x, frame, i, j):
        # type: (Tensor, Tensor, Tensor, Tensor) -> Tensor
        """Distances of atoms i and j of frames of x (B, n, 3)."""
        flat, base = x.flatten(0, 1), frame * self.n_atoms
        return squared_length(flat.index_select(0, base + i) - flat.index_select(0, base + j)).sqrt()

    def length_errors(self, distance: torch.Tensor) -> torch.Tensor:
        """How much too short (positive) or too long (negative) the bounded pairs (B, p) are."""
        lower, upper = self.lower.to(distance.dtype), self.upper.to(distance.dtype)
        return (lower - distance).clamp_min(0.0) - (distance - upper).clamp_min(0.0)

    def volume_errors(self, volume: torch.Tensor) -> torch.Tensor:
        """How much too small (positive) or too large (negative) the volumes (B, c) are."""
        lower, upper = self.volume_lower.to(volume.dtype), self.volume_upper.to(volume.dtype)
        return (lower - volume).clamp_min(0.0) - (volume - upper).clamp_min(0.0)

    def worst(self, x, frame, i, j, closest):
        # type: (Tensor, Tensor, Tensor, Tensor, Tensor) -> Tensor
        """Largest violation of every frame in Angstrom, (B,); the list of contacts as `contact_list` gives it."""
        volume, gradient = self.volumes(x)
        twist = self.volume_errors(volume).abs() / squared_length(gradient).sum(1).add(1e-6).sqrt()
        local = torch.cat([self.length_errors(self.lengths(x)).abs(), twist], dim=1).amax(1)
        overlap = (closest - self.separations(x, frame, i, j)).clamp_min(0.0)
        return local.scatter_reduce(0, frame, overlap, "amax")

    def relax(self, x, frame, i, j, closest, projection, assignment):
        # type: (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor) -> Tensor
        """One round of sweeps."""
        batch, n = x.shape[0], x.shape[1]
        base = torch.arange(batch, device=x.device).unsqueeze(1) * n
        first = torch.cat([(base + self.pairs[:, 0]).reshape(-1), frame * n + i])
        second = torch.cat([(base + self.pairs[:, 1]).reshape(-1), frame * n + j])
        lower = torch.cat([self.lower.to(x.dtype).repeat(batch), closest])
        upper = torch.cat([self.upper.to(x.dtype).repeat(batch), torch.full_like(closest, float("inf"))])
        corners = (base.unsqueeze(2) + self.centres.t()).reshape(-1)
        atoms = torch.cat([first, second, corners])
        # Sums over numbers are far faster than over rows of three.
        components = (3 * atoms.unsqueeze(1) + torch.arange(3, device=x.device)).flatten()
        M = projection.to(x.dtype)
        for _ in range(self.sweeps):
            flat = x.reshape(-1, 3)
            vector = flat.index_select(0, first) - flat.index_select(0, second)
            distance = squared_length(vector).add(1e-12).sqrt()
            error = (lower - distance).clamp_min(0.0) - (distance - upper).clamp_min(0.0)
            weight = error.abs()
            push = (0.5 * weight * error / distance).unsqueeze(1) * vector
            volume, gradient = self.volumes(x)
            slope = squared_length(gradient).sum(1).add(1e-6)
            excess = self.volume_errors(volume)
            twist = excess.abs() / slope.sqrt()
            turn = (gradient * (twist * excess / slope)[:, None, :, None]).reshape(-1, 3)
            # What every atom is asked for, and with which weight.
            asked = torch.cat([push, -push, turn]).flatten()
            asked_weights = torch.cat([weight, weight, twist.unsqueeze(1).expand(-1, 4, -1).reshape(-1)])
            total = torch.zeros_like(x).flatten().scatter_add(0, components, asked).reshape(x.shape)
            weights = torch.zeros_like(flat[:, 0]).scatter_add(0, atoms, asked_weights).reshape(batch, n, 1)
            move = total / weights.clamp_min(1e-12)
            x = x + move - torch.matmul(M, move).index_select(1, assignment)
        return x

    def project(self, x: torch.Tensor, projection: torch.Tensor, assignment: torch.Tensor) -> torch.Tensor:
        """As `forward`, for frames whose distance matrices fit into memory."""
        x = x.clone()
        active = torch.arange(x.shape[0], device=x.device)
        for _ in range(self.rounds):
            own = x[active]
            frame, i, j, closest = self.contact_list(own)
            bad = self.worst(own, frame, i, j, closest) > self.tolerance
            if not bool(bad.any()):
                break
            # The contacts of the frames that stay, numbered anew.
            stays = bad[frame]
            frame = (torch.cumsum(bad.to(torch.int64), 0) - 1)[frame[stays]]
            active = active[bad]
            relaxed = self.relax(own[bad], frame, i[stays], j[stays], closest[stays], projection, assignment)
            x[active] = relaxed
        return x

    def forward(self, x: torch.Tensor, projection: torch.Tensor, assignment: torch.Tensor) -> torch.Tensor:
        """Project.

        Parameters
        ----------
        x : Tensor, shape (B, n, 3)
            Atoms in Angstrom.
        projection : Tensor, shape (N, n)
            M.
        assignment : Tensor, shape (n,)
            Bead of every atom.

        Returns
        -------
        Tensor, shape (B, n, 3)
            With the same M x; frames without a violation as they were, to the bit.
        """
        done: list[torch.Tensor] = []
        for part in x.split(max(1, self.max_elements // (self.n_atoms * self.n_atoms))):
            done.append(self.project(part, projection, assignment))
        return torch.cat(done)
