"""p(torsions | molecule, approximate conformer): what bonds, and torsions already known, tell of those that are not.

Features are even or odd under reflection: cosines and sines of angles, handedness. Even ones are changed by any
function, odd ones only scaled by even ones, and the density of a torsion is made of cosines with even and sines with
odd coefficients, so that the mirrored molecule has the mirrored torsions, exactly and for any weights.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from openmm_cgvae.ligands.features import ATOM_FEATURES, BOND_FEATURES
from openmm_cgvae.ligands.graph import TorsionGraph, quad_angles

__all__ = ["LigandNetwork"]

# Multiples of known angles that are told.
WAVES = 3
# Mean numbers of bonds and of quads of a node, which keep sums of messages near 1.
BONDS, QUADS = 2.0, 4.0


class BondLayer(nn.Module):
    """h_i + W sum_j s(A h_i + B h_j + C e_ij) over bonds, and a network of every node on its own."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.own, self.other = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.edge = nn.Linear(BOND_FEATURES, width, bias=False)
        self.gather = nn.Linear(width, width)
        self.middle = nn.LayerNorm(width)
        self.hidden, self.out = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.scale = BONDS

    def forward(self, h: Tensor, bonds: Tensor, edges: Tensor) -> Tensor:
        """Features (n, F), bonds (2, e) and their features to features (n, F)."""
        x = self.norm(h)
        message = self.own(x).index_select(0, bonds[0]) + self.other(x).index_select(0, bonds[1]) + self.edge(edges)
        h = h + self.gather(torch.zeros_like(h).index_add(0, bonds[0], silu(message)) / self.scale)
        return h + self.out(silu(self.hidden(self.middle(h))))


class QuadMessage(nn.Module):
    """Features of quads from those of their nodes, the same whichever end they are read from.

    Parameters
    ----------
    width, odd, hidden : int
        Even and odd features of nodes, and even ones of quads.
    odd_out : int
        Odd features of quads.
    """

    def __init__(self, width: int, odd: int, hidden: int, odd_out: int):
        super().__init__()
        self.even = nn.Linear(width, 2 * hidden, bias=False)
        self.static = nn.Linear(width, 2 * hidden)
        self.product = nn.Linear(width, hidden, bias=False)
        self.odd = nn.Linear(odd, 2 * odd_out, bias=False)
        self.cosines, self.sines = nn.Linear(WAVES + 1, hidden, bias=False), nn.Linear(WAVES, odd_out, bias=False)
        self.gate = nn.Linear(hidden, odd_out)

    def forward(self, even: Tensor, odd: Tensor, h: Tensor, quads: Tensor, cosines: Tensor,
                sines: Tensor) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Even (n, S, F) and odd (n, S, O) features of nodes, static ones (n, F), and angles told, to those of quads.

        `cosines` (q, S, WAVES + 1) and `sines` (q, S, WAVES) are zero where unknown.
        """
        a, b, c, d = quads[0], quads[1], quads[2], quads[3]
        ends, middles = self.static(h).chunk(2, -1)
        static = ends.index_select(0, a) + ends.index_select(0, d)
        static = static + middles.index_select(0, b) + middles.index_select(0, c)
        sides = self.product(h)
        first = sides.index_select(0, a) + sides.index_select(0, b)
        static = static + first * (sides.index_select(0, d) + sides.index_select(0, c))
        ends, middles = self.even(even).chunk(2, -1)
        z = ends.index_select(0, a) + ends.index_select(0, d) + middles.index_select(0, b) + middles.index_select(0, c)
        z = silu(z + static.unsqueeze(1) + self.cosines(cosines))
        ends, middles = self.odd(odd).chunk(2, -1)
        o = ends.index_select(0, a) + ends.index_select(0, d) + middles.index_select(0, b) + middles.index_select(0, c)
        return z, self.gate(z) * (o + self.sines(sines))


class QuadLayer(nn.Module):
    """Exchange between the four nodes of every quad, of even and of odd features."""

    def __init__(self, width: int, odd: int, hidden: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.message = QuadMessage(width, odd, hidden, odd)
        self.to_ends, self.to_middles = nn.Linear(hidden, width), nn.Linear(hidden, width)
        self.odd_ends, self.odd_middles = nn.Linear(odd, odd, bias=False), nn.Linear(odd, odd, bias=False)
        self.middle = nn.LayerNorm(width)
        self.hidden, self.squares = nn.Linear(width, 2 * width), nn.Linear(odd, 2 * width, bias=False)
        self.out = nn.Linear(2 * width, width)
        self.mix, self.gate = nn.Linear(odd, odd, bias=False), nn.Linear(width, odd)
        self.scale = QUADS

    def forward(self, even: Tensor, odd: Tensor, h: Tensor, quads: Tensor, cosines: Tensor,
                sines: Tensor) -> tuple[Tensor, Tensor]:  # fmt: skip
        z, o = self.message(self.norm(even), odd, h, quads, cosines, sines)
        z, o = z / self.scale, o / self.scale
        # Sums of quads before they are multiplied: there are fewer nodes.
        ends = torch.zeros(even.shape[0], z.shape[1], z.shape[2], dtype=z.dtype, device=z.device)
        middles = torch.zeros_like(ends)
        ends = ends.index_add(0, quads[0], z).index_add(0, quads[3], z)
        middles = middles.index_add(0, quads[1], z).index_add(0, quads[2], z)
        even = even + self.to_ends(ends) + self.to_middles(middles)
        odd_ends, odd_middles = torch.zeros_like(odd), torch.zeros_like(odd)
        odd_ends = odd_ends.index_add(0, quads[0], o).index_add(0, quads[3], o)
        odd_middles = odd_middles.index_add(0, quads[1], o).index_add(0, quads[2], o)
        odd = odd + self.odd_ends(odd_ends) + self.odd_middles(odd_middles)
        x = self.middle(even)
        even = even + self.out(silu(self.hidden(x) + self.squares(odd * odd)))
        return even, odd + self.gate(x) * self.mix(odd)


class LigandNetwork(nn.Module):
    """Message passing over bonds, once, and over quads with known torsions, for every round of sampling.

    Parameters
    ----------
    width, odd : int
        Even and odd features of a node.
    hidden : int
        Features of a quad.
    layers : int
        Of the first part, which sees the molecule alone.
    known_layers : int
        Of the second, which sees the approximate conformer and known torsions too.
    waves : int
        Highest multiple of a torsion in its density.
    bins : int
        Of a full turn.
    dropout : float
        Part of the even features of nodes that is left out in training.
    """

    def __init__(self, width: int = 64, odd: int = 24, hidden: int = 48, layers: int = 5, known_layers: int = 2,
                 waves: int = 12, bins: int = 72, dropout: float = 0.0):  # fmt: skip
        super().__init__()
        self.bins, self.waves = bins, waves
        self.first = nn.Sequential(nn.Linear(ATOM_FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.layers = nn.ModuleList([BondLayer(width) for _ in range(layers)])
        self.final, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        self.hand = nn.Linear(width, odd)
        self.known_layers = nn.ModuleList([QuadLayer(width, odd, hidden) for _ in range(known_layers)])
        self.norm = nn.LayerNorm(width)
        self.head = QuadMessage(width, odd, 2 * hidden, odd)
        self.even_out, self.odd_out = nn.Linear(2 * hidden, waves), nn.Linear(odd, waves, bias=False)
        multiples = torch.arange(1, waves + 1)
        turns = torch.arange(bins).unsqueeze(0) * (2.0 * torch.pi / bins) * multiples.unsqueeze(1)
        self.register_buffer("cosines", torch.cos(turns), persistent=False)
        self.register_buffer("sines", torch.sin(turns), persistent=False)
        self.register_buffer("multiples", multiples.float(), persistent=False)
        self.register_buffer("told", torch.arange(1, WAVES + 1).float(), persistent=False)

    def surroundings(self, graph: TorsionGraph) -> Tensor:
        """Features (n, F) of nodes by the molecule alone."""
        h = self.first(graph.atoms)
        for layer in self.layers:
            h = layer(h, graph.bonds, graph.bond_features)
        return self.dropout(self.final(h))

    def scores(self, graph: TorsionGraph, h: Tensor, torsions: Tensor, known: Tensor) -> Tensor:
        """Logits (T, S, bins) of all tokens' torsions, from `surroundings` and known torsions (T, S)."""
        angles, seen = quad_angles(graph, torsions, known)
        phases = angles.unsqueeze(-1) * self.told
        flags = seen.unsqueeze(-1)
        cosines, sines = torch.cat([torch.cos(phases), torch.ones_like(flags)], -1) * flags, torch.sin(phases) * flags
        even = h.unsqueeze(1).expand(-1, torsions.shape[1], -1)
        odd = graph.handed.unsqueeze(-1) * self.hand(h).unsqueeze(1)
        for layer in self.known_layers:
            even, odd = layer(even, odd, h, graph.quads, cosines, sines)
        # Of quads that turn.
        rows = torch.nonzero(graph.token < graph.n_tokens)[:, 0]
        quads, token = graph.quads.index_select(1, rows), graph.token.index_select(0, rows)
        unknown = torch.zeros(rows.shape[0], torsions.shape[1], self.told.shape[0] + 1, dtype=h.dtype, device=h.device)
        z, o = self.head(self.dropout(self.norm(even)), odd, h, quads, unknown, unknown[:, :, 1:])
        a, b = self.even_out(z), self.odd_out(o)
        # Of a torsion t, the angle of a quad is t + offset: a cos(m (t + o)) + b sin(m (t + o)).
        phases = graph.offsets.index_select(0, rows).unsqueeze(-1) * self.multiples
        c, s = torch.cos(phases), torch.sin(phases)
        found = torch.zeros(graph.n_tokens, torsions.shape[1], 2 * self.waves, dtype=h.dtype, device=h.device)
        found = found.index_add(0, token, torch.cat([a * c + b * s, b * c - a * s], -1))
        c, s = found.chunk(2, -1)
        return torch.matmul(c, self.cosines) + torch.matmul(s, self.sines)
