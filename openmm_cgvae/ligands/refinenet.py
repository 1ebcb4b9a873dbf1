"""Moves an assembled conformer to the structure that minima have: angles, rings and torsions relax together.

Every step has features of nodes and pairs that are the same under rotation and reflection, and pushes nodes along the
lines between them. What such central forces turn about every bond, their torque, is a rotation about it; the rest is a
displacement. So the mirrored conformer has the mirrored result, exactly and for any weights.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from openmm_cgvae.geometry.localframes import unit_vector
from openmm_cgvae.geometry.vectors import cross, dot
from openmm_cgvae.ligands.features import ATOM_FEATURES
from openmm_cgvae.ligands.refinegraph import PAIR_FEATURES, RefineGraph
from openmm_cgvae.ligands.torsionnet import BondLayer

__all__ = ["RefineNetwork"]

# Gaussians of distance, from and to in Angstrom, and what else a pair tells of its distance.
WAVES, NEAR, FAR, OTHERS = 14, 1.2, 7.7, 5
# Rotation in radian and displacement in Angstrom of a step, at most.
MOST_TURN, MOST_MOVE = 0.5, 0.3
# Mean number of pairs of a node, which keeps sums of messages near 1.
PAIRS = 12.0


class RefineStep(nn.Module):
    """One step: messages of all pairs, features of nodes, and how these move.

    Parameters
    ----------
    width, hidden : int
        Features of nodes and of pairs.
    """

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.nodes = nn.Linear(width, hidden, bias=False)
        self.static = nn.Linear(PAIR_FEATURES, hidden)
        self.distance = nn.Linear(WAVES + OTHERS, hidden, bias=False)
        self.second = nn.Linear(hidden, hidden)
        self.gather, self.own = nn.Linear(hidden, width), nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.push = nn.Linear(hidden, 2)
        self.gain = nn.Linear(width, 1)
        nn.init.zeros_(self.push.weight)
        nn.init.zeros_(self.push.bias)
        self.scale, self.most_turn, self.most_move = PAIRS, MOST_TURN, MOST_MOVE

    def forward(self, h: Tensor, distances: Tensor, graph: RefineGraph) -> tuple[Tensor, Tensor, Tensor]:
        """Features (n, S, F), and of distances (p, S, D), to features, pushes of pairs (p, S, 2), gains (T, S)."""
        i, j = graph.pairs[0], graph.pairs[1]
        z = self.nodes(self.norm(h))
        z = z.index_select(0, i) + z.index_select(0, j) + self.static(graph.pair_features).unsqueeze(1)
        z = silu(z + self.distance(distances))
        z = silu(self.second(z))
        total = torch.zeros(h.shape[0], h.shape[1], z.shape[2], dtype=z.dtype, device=z.device)
        total = total.index_add(0, i, z).index_add(0, j, z) / self.scale
        h = h + self.out(silu(self.own(h) + self.gather(total)))
        ends = h.index_select(0, graph.turning[0]) + h.index_select(0, graph.turning[1])
        return h, self.push(z) / self.scale, softplus(self.gain(ends)).squeeze(-1)


class RefineNetwork(nn.Module):
    """Refines conformers of any small molecule in a few steps.

    Parameters
    ----------
    width, hidden : int
        Features of nodes and of pairs.
    layers : int
        Of messages over bonds, once a molecule.
    steps : int
    """

    def __init__(self, width: int = 48, hidden: int = 40, layers: int = 3, steps: int = 6):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(ATOM_FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.layers = nn.ModuleList([BondLayer(width) for _ in range(layers)])
        self.steps = nn.ModuleList([RefineStep(width, hidden) for _ in range(steps)])
        self.register_buffer("centres", torch.linspace(NEAR, FAR, WAVES), persistent=False)
        self.inverse = (WAVES - 1) / (FAR - NEAR)
        self.most_turn, self.most_move = MOST_TURN, MOST_MOVE

    def forward(self, graph: RefineGraph, x: Tensor) -> list[Tensor]:
        """Places of nodes after every step.

        Parameters
        ----------
        graph : RefineGraph
        x : Tensor, shape (n, S, 3)
            Angstrom.

        Returns
        -------
        list of Tensor, shape (n, S, 3)
        """
        h = self.first(graph.atoms)
        for layer in self.layers:
            h = layer(h, graph.bonds, graph.bond_features)
        h = h.unsqueeze(1).expand(-1, x.shape[1], -1)
        i, j = graph.pairs[0], graph.pairs[1]
        begun = self.lengths(x.index_select(0, i) - x.index_select(0, j))
        found: list[Tensor] = []
        for step in self.steps:
            line = x.index_select(0, i) - x.index_select(0, j)
            d = self.lengths(line)
            h, push, gain = step(h, self.told(d, begun, graph), graph)
            line = line / d.unsqueeze(-1)
            zero = torch.zeros_like(x)
            turn, move = line * push[:, :, :1], line * push[:, :, 1:]
            move = zero.index_add(0, i, move).index_add(0, j, -move)
            turn = zero.index_add(0, i, turn).index_add(0, j, -turn)
            x = x + move / (1.0 + self.lengths(move) / self.most_move).unsqueeze(-1)
            x = self.turned(graph, x, self.torques(graph, x, turn) * gain / graph.sizes.unsqueeze(1))
            found.append(x)
        return found

    def lengths(self, vector: Tensor) -> Tensor:
        return dot(vector, vector, -1).clamp_min(1e-6).sqrt()

    def told(self, d: Tensor, begun: Tensor, graph: RefineGraph) -> Tensor:
        """Features (p, S, D) of distances (p, S) in Angstrom, and of those at the beginning."""
        waves = torch.exp(-((d.unsqueeze(-1) - self.centres) * self.inverse).square() * 0.5)
        radius, depth, charge = graph.pair_features[:, -3:].unsqueeze(1).unbind(-1)
        ratio = (4.0 * radius / d).clamp_max(1.6)
        third = ratio * ratio * ratio
        others = torch.stack([1.0 / d, d - begun, depth * third * third, third * third * third * 0.1, charge / d], -1)
        return torch.cat([waves, others], -1)

    def torques(self, graph: RefineGraph, x: Tensor, force: Tensor) -> Tensor:
        """What forces (n, S, 3) at places (n, S, 3) turn about every bond, (T, S)."""
        origin, axis = self.axes(graph, x)
        arm = x.index_select(0, graph.rows) - origin.index_select(0, graph.owners)
        part = dot(cross(arm, force.index_select(0, graph.rows), -1), axis.index_select(0, graph.owners), -1)
        return torch.zeros_like(origin[:, :, 0]).index_add(0, graph.owners, part)

    def axes(self, graph: RefineGraph, x: Tensor) -> tuple[Tensor, Tensor]:
        """Origins and directions (T, S, 3) of the bonds that turn."""
        origin = x.index_select(0, graph.turning[1])
        return origin, unit_vector(origin - x.index_select(0, graph.turning[0]))

    def turned(self, graph: RefineGraph, x: Tensor, torques: Tensor) -> Tensor:
        """Nodes after all bonds turned by torques (T, S)."""
        angles = self.most_turn * torch.tanh(torques / self.most_turn)
        c, s = torch.cos(angles).unsqueeze(-1), torch.sin(angles).unsqueeze(-1)
        for rows, owners in zip(graph.rows.split(graph.rounds), graph.owners.split(graph.rounds)):  # noqa: B905 (TorchScript)
            origin, axis = self.axes(graph, x)
            origin, axis = origin.index_select(0, owners), axis.index_select(0, owners)
            arm = x.index_select(0, rows) - origin
            along = dot(arm, axis, -1).unsqueeze(-1) * axis
            places = (arm - along) * c.index_select(0, owners) + cross(axis, arm, -1) * s.index_select(0, owners)
            x = x.index_copy(0, rows, places + along + origin)
        return x
