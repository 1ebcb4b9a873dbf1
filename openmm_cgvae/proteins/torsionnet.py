"""p(torsions | beads): distributions of unknown torsions given a residue's surroundings and the known torsions."""

import math

import torch
from torch import nn

from openmm_cgvae.geometry.localframes import in_frame, out_of_frame
from openmm_cgvae.geometry.vectors import dot
from openmm_cgvae.proteins.beadweights import weights_of
from openmm_cgvae.proteins.builder import N_TORSIONS, Builder, next_row
from openmm_cgvae.proteins.graph import (
    EDGE_FEATURES,
    NODE_FEATURES,
    at_rows,
    edge_features,
    gaussians,
    node_features,
    residue_frames,
)
from openmm_cgvae.proteins.network import ResidueLayer, TorsionHeads
from openmm_cgvae.proteins.sidechains import AMINO_ACIDS, ATOM_NAMES, N_SLOTS

__all__ = ["TorsionNetwork"]

# Points of a neighbour that a residue sees once they are known: O, the middle and the end of the side chain.
N_POINTS = 3
POINT_GAUSSIANS, POINT_REACH = 8, 14.0
POINT_FEATURES = N_POINTS * (3 + POINT_GAUSSIANS)
TYPE_FEATURES = 24
# Residue types along the chain that the first features hold, on both sides.
SEQUENCE = 3


class TorsionNetwork(nn.Module):
    """Message passing over the beads, once, and over beads and known torsions, for every round of sampling.

    Parameters
    ----------
    builder : Builder
        Calibrated; places the points of known torsions.
    width : int
    layers : int
        Layers of the first part, which sees the beads only.
    known_layers : int
        Layers of the second part, which also sees known torsions.
    neighbours : int
        Nearest residues that exchange messages.
    bins : int
        Of a full turn, for every torsion.
    mapping : {"ca", "com", "martini"}
        Kind of the beads; unless they are C-alphas, the network also predicts the C-alpha positions.
    """

    def __init__(self, builder: Builder, width: int = 128, layers: int = 4, known_layers: int = 3, neighbours: int = 20,
                 bins: int = 48, mapping: str = "ca"):  # fmt: skip
        super().__init__()
        self.builder = builder
        self.neighbours, self.bins = neighbours, bins
        self.point_gaussians, self.point_reach = POINT_GAUSSIANS, POINT_REACH
        self.absent = len(AMINO_ACIDS)
        self.types = nn.Embedding(len(AMINO_ACIDS) + 1, TYPE_FEATURES)
        self.sequence = SEQUENCE
        main, extra = weights_of(mapping)
        self.register_buffer("main_weights", torch.as_tensor(main).float(), persistent=False)
        self.register_buffer("extra_weights", torch.as_tensor(extra).float(), persistent=False)
        self.n_extra, self.places_ca = extra.shape[1], mapping != "ca"
        n_first = NODE_FEATURES + (2 * SEQUENCE + 1) * TYPE_FEATURES + 4 * self.n_extra
        self.first = nn.Sequential(nn.Linear(n_first, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        self.layers = nn.ModuleList([ResidueLayer(width, EDGE_FEATURES) for _ in range(layers)])
        self.state = nn.Linear(3 * N_TORSIONS, width)
        self.known_layers = nn.ModuleList(
            [ResidueLayer(width, EDGE_FEATURES + POINT_FEATURES) for _ in range(known_layers)]
        )
        self.heads = TorsionHeads(width, bins)
        self.ca = nn.Linear(width, 3) if self.places_ca else nn.Identity()
        # Beyond C-beta; residues without such atoms count C-beta, glycine C-alpha.
        side = torch.zeros(len(AMINO_ACIDS), N_SLOTS)
        ends = []
        for number, residue in enumerate(AMINO_ACIDS):
            n_atoms = len(ATOM_NAMES[residue])
            first = min(5, n_atoms - 1) if n_atoms > 4 else 1
            side[number, first : max(n_atoms, first + 1) if n_atoms > 4 else 2] = 1.0
            ends.append(n_atoms - 1 if n_atoms > 4 else 1)
        self.register_buffer("side_atoms", side / side.sum(1, keepdim=True), persistent=False)
        self.register_buffer("end_atoms", torch.tensor(ends), persistent=False)
        # Where C-beta is on average in the frame of a residue's C-alphas.
        self.register_buffer("beta", torch.tensor([0.0, -1.2, 0.9]))

    def surroundings(self, points, extra, types, connected, rows, weight, translation=None):
        # type: (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Optional[Tensor]) -> tuple[Tensor, Tensor, Tensor]
        """Features (R, F) of residues from their beads (R, 3) and side-chain beads (R, X, 3), edges, and frames.

        A side-chain bead that is not there is NaN. Neighbours may be images, translated (R, K, 3).
        """
        frames = residue_frames(points, connected)
        chain = torch.cumsum((~connected).to(torch.int64), 0)
        edges = edge_features(points, frames, rows, chain, translation)
        known: list[torch.Tensor] = [node_features(points, frames, connected)]
        absent = torch.full_like(types, self.absent)
        row = torch.arange(types.shape[0], device=types.device)
        for k in range(-self.sequence, self.sequence + 1):
            # Rows are rolled: the last chain does not go on in the first, which may be the same.
            there = (next_row(chain, k) == chain) & (row + k >= 0) & (row + k < types.shape[0])
            known.append(self.types(torch.where(there, next_row(types, k), absent)))
        if self.n_extra > 0:
            there = torch.isfinite(extra[:, :, 0])
            vector = in_frame(frames.unsqueeze(1), torch.nan_to_num(extra) - points.unsqueeze(1)) / 3.0
            flags = there.to(vector.dtype).unsqueeze(-1)
            known.append(torch.cat([vector * flags, flags], dim=-1).flatten(1))
        h = self.first(torch.cat(known, dim=1))
        for layer in self.layers:
            h = layer(h, edges, rows, weight)
        return h, edges, frames

    def alpha_carbons(self, points, h, frames):
        # type: (Tensor, Tensor, Tensor) -> Tensor
        """C-alphas (R, 3): the beads themselves, or predicted from the features of `surroundings`."""
        return points + out_of_frame(frames, self.ca(h)) if self.places_ca else points

    def own_beads(self, atoms, types):
        # type: (Tensor, Tensor) -> Tensor
        """Beads (R, 3) of residues' atoms (R, 14, 3)."""
        return (atoms * self.main_weights.to(atoms.dtype)[types].unsqueeze(-1)).sum(1)

    def side_beads(self, atoms, types):
        # type: (Tensor, Tensor) -> Tensor
        """Side-chain beads (R, X, 3) of residues' atoms (R, 14, 3), NaN where there is none."""
        weights = self.extra_weights.to(atoms.dtype)[types]
        beads = torch.matmul(weights, atoms)
        return torch.where(weights.sum(2, keepdim=True) > 0, beads, torch.nan)

    def known_edges(self, atoms, types, known, points, frames, rows, translation=None):
        # type: (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Optional[Tensor]) -> Tensor
        """Edge features (R, K, POINT_FEATURES) from known torsions of the neighbours; zero where unknown."""
        side = (atoms * self.side_atoms.to(atoms.dtype)[types].unsqueeze(-1)).sum(1)
        end = atoms[torch.arange(types.shape[0], device=types.device), self.end_atoms[types]]
        shown = torch.stack([atoms[:, 3], side, end], dim=1)
        packed = (known[:, 2:] | ~self.builder.has_chi[types]).all(1)
        seen = torch.stack([known[:, 0], packed, packed], dim=1).to(atoms.dtype)
        centre = points + out_of_frame(frames, self.beta.to(points.dtype).expand_as(points))
        vector = at_rows(shown, rows, translation) - centre[:, None, None]
        distance = dot(vector, vector, -1).add(1e-8).sqrt()
        local = in_frame(frames[:, None, None], vector / (1.0 + distance.unsqueeze(-1)))
        features = torch.cat([local, gaussians(distance, self.point_gaussians, self.point_reach)], dim=-1)
        return (features * seen[rows].unsqueeze(-1)).flatten(-2)

    def told(self, h, edges, frames, points, types, rows, weight, torsions, known, atoms, translation=None):
        # type: (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Optional[Tensor]) -> Tensor
        """Features (R, torsions, F) of the heads, from `surroundings` and known torsions (R, 6) with their atoms."""
        flags = known.to(h.dtype)
        state = torch.cat([torch.cos(torsions) * flags, torch.sin(torsions) * flags, flags], dim=1)
        h = h + self.state(state)
        edges = torch.cat([edges, self.known_edges(atoms, types, known, points, frames, rows, translation)], dim=-1)
        for layer in self.known_layers:
            h = layer(h, edges, rows, weight)
        return self.heads.features(h)

    def places(self, torsions, types):
        # type: (Tensor, Tensor) -> Tensor
        """Torsions (R, 6) in radian as places from 0 to `bins`; a symmetric end's half turn fills all bins."""
        turns = torsions / (2 * math.pi)
        symmetric = torch.nn.functional.pad(self.builder.symmetric_chi[types], [2, 0])
        turns = torch.where(symmetric, 2 * turns, turns)
        return (turns - torch.floor(turns)) * self.bins

    def angles(self, places, torsion, types):
        # type: (Tensor, int, Tensor) -> Tensor
        """Angles in radian (m,) of places from 0 to `bins`; undoes `places`."""
        turns = places / self.bins
        if torsion >= 2:
            turns = torch.where(self.builder.symmetric_chi[types, torsion - 2], 0.5 * turns, turns)
        return 2 * math.pi * turns

    @torch.jit.unused
    def teacher_forced(self, features, torsions, wanted, types):
        """For every torsion: its number, and logits, places and rows of the residues that have it."""
        places = self.places(torsions, types)
        bins = places.round().long() % self.bins
        for k in range(N_TORSIONS):
            chosen = torch.nonzero(wanted[:, k])[:, 0]
            own = features[chosen, k]
            for m in range(2, k):
                # End groups belong to the backbone and are not conditioned on.
                own = own + self.heads.tell(k - 2, m - 2, bins[chosen, m])
            yield k, self.heads.scores(k, own), places[chosen, k], chosen
