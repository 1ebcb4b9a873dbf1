"""Sampling of torsions from a `TorsionNetwork` in rounds, with rejection of overlapping side chains."""

import math
from typing import Optional

import torch
from torch import nn

from openmm_cgvae.proteins.builder import CIS_BELOW, N_TORSIONS, next_row
from openmm_cgvae.proteins.contacts import Crowding
from openmm_cgvae.proteins.graph import nearest, nearest_images
from openmm_cgvae.proteins.sidechains import N_CHI
from openmm_cgvae.proteins.torsionnet import TorsionNetwork

__all__ = ["TorsionSampler"]

# Irrational step that spreads the noise of further candidates evenly between 0 and 1.
GOLDEN = 0.6180339887498949


class TorsionSampler(nn.Module):
    """p(torsions | beads) by unmasking: peptide units in a few rounds, then side chains in a few.

    In every round the network predicts all unknown torsions, and those of the residues with the highest confidence are
    drawn. For a side chain several candidates are drawn, and the one with the least overlap is kept.

    Parameters
    ----------
    network : TorsionNetwork
    backbone_rounds, side_rounds, repair_rounds : int
        Numbers of rounds; repair rounds draw overlapping side chains again.
    candidates : int
    """

    def __init__(self, network: TorsionNetwork, backbone_rounds: int = 3, side_rounds: int = 4, repair_rounds: int = 2,
                 candidates: int = 8):  # fmt: skip
        super().__init__()
        self.network = network
        self.crowding = Crowding()
        self.backbone_rounds, self.side_rounds, self.repair_rounds = backbone_rounds, side_rounds, repair_rounds
        self.candidates = candidates
        self.crowding_weight = 2.0
        # Weights that pull predicted C-alphas towards the beads, and towards distances of peptide bonds.
        self.fitting_rounds, self.easing_rounds, self.cis_below = 4, 10, CIS_BELOW
        self.n_torsions, self.n_chi, self.golden = N_TORSIONS, N_CHI, GOLDEN

    def forward(self, points, extra, types, connected, noise, temperature, box=None):
        # type: (Tensor, Tensor, Tensor, Tensor, Tensor, float, Optional[Tensor]) -> tuple[Tensor, Tensor]
        """Draw torsions.

        Parameters
        ----------
        points : Tensor, shape (B, n, 3)
            The residues' beads in Angstrom.
        extra : Tensor, shape (B, n, X, 3)
            Their side-chain beads, NaN where there is none.
        types : int Tensor, shape (n,)
        connected : bool Tensor, shape (n,)
        noise : Tensor, shape (B, n, 6)
            Unit Gaussian.
        temperature : float
            Of the distributions; 0 takes the likeliest.
        box : Tensor, shape (B, 3, 3), optional
            Periodic box vectors in Angstrom: residues see their neighbours' images.

        Returns
        -------
        torsions : Tensor, shape (B n, 6)
            Radian.
        atoms : Tensor, shape (B n, 14, 3)
            Angstrom.
        """
        batch = points.shape[0]
        translation: Optional[torch.Tensor] = None  # noqa: UP045 (TorchScript)
        if box is None:
            rows, weight = nearest(points, self.network.neighbours)
        else:
            rows, weight, translation = nearest_images(points, self.network.neighbours, box)
        points, extra = points.flatten(0, 1), extra.flatten(0, 1)
        types, connected = types.repeat(batch), connected.repeat(batch)
        even = 0.5 * (1.0 + torch.erf(noise.flatten(0, 1) / math.sqrt(2.0)))
        h, edges, frames = self.network.surroundings(points, extra, types, connected, rows, weight, translation)
        ca = self.eased(self.network.alpha_carbons(points, h, frames), types, connected)
        torsions = torch.zeros(types.shape[0], self.n_torsions, dtype=points.dtype, device=points.device)
        known = torch.zeros(types.shape[0], self.n_torsions, dtype=torch.bool, device=points.device)
        atoms = self.network.builder(ca, types, connected, torsions)
        ends = ~(connected & next_row(connected))
        for number in range(self.backbone_rounds):
            told = self.network.told(h, edges, frames, points, types, rows, weight, torsions, known, atoms, translation)
            scores = self.network.heads.scores(0, told[:, 0])
            chosen = self.surest(scores, known[:, 0], self.backbone_rounds - number, batch)
            angle = self.drawn(scores[chosen], even[chosen, 0], temperature)[0]
            torsions[chosen, 0] = self.network.angles(angle, 0, types[chosen])
            scores = self.network.heads.scores(1, told[chosen, 1])
            angle = self.drawn(scores, even[chosen, 1], temperature)[0]
            torsions[chosen, 1] = self.network.angles(angle, 1, types[chosen])
            known[chosen, 0] = True
            known[chosen, 1] = ends[chosen]
            atoms = self.network.builder(ca, types, connected, torsions)
        has = self.network.builder.has_chi[types]
        for number in range(self.side_rounds):
            told = self.network.told(h, edges, frames, points, types, rows, weight, torsions, known, atoms, translation)
            scores = self.network.heads.scores(2, told[:, 2])
            done = known[:, 2] | ~has[:, 0]
            chosen = self.surest(scores, done, self.side_rounds - number, batch)
            torsions, atoms = self.packed(
                chosen, told, torsions, atoms, types, rows, known, even, temperature, translation
            )
            known[chosen, 2:] = has[chosen]
        for _ in range(self.repair_rounds):
            chosen = self.crowding.crowded(atoms, types, rows, translation)
            if chosen.shape[0] == 0:
                break
            known[chosen, 2:] = False
            told = self.network.told(h, edges, frames, points, types, rows, weight, torsions, known, atoms, translation)
            known[chosen, 2:] = has[chosen]
            torsions, atoms = self.packed(
                chosen, told, torsions, atoms, types, rows, known, even, temperature, translation
            )
        if self.network.places_ca:
            for _ in range(self.fitting_rounds):
                ca = self.eased(ca + points - self.network.own_beads(atoms, types), types, connected)
                atoms = self.network.builder(ca, types, connected, torsions)
        return torsions, atoms

    def eased(self, ca, types, connected):
        # type: (Tensor, Tensor, Tensor) -> Tensor
        """Move predicted C-alphas (R, 3) to peptide distances along the chain.

        Distances of a cis peptide are kept before proline only: elsewhere cis is rarer than prediction errors.
        """
        if not self.network.places_ca:
            return ca
        bonded = connected.unsqueeze(1).to(ca.dtype)
        length = (ca - next_row(ca, -1)).square().sum(1, keepdim=True).sqrt()
        cis = (length < self.cis_below) & (types == self.network.builder.proline).unsqueeze(1)
        for _ in range(self.easing_rounds):
            vector = ca - next_row(ca, -1)
            length = vector.square().sum(1, keepdim=True).add(1e-12).sqrt()
            fitting = torch.where(cis, length.clamp(2.9, 3.0), length.clamp(3.76, 3.84))
            push = 0.5 * bonded * (fitting - length) / length * vector
            ca = ca + push - next_row(push)
        return ca

    def surest(self, scores, known, rounds, batch):
        # type: (Tensor, Tensor, int, int) -> Tensor
        """Rows to draw now: the most confident of every frame's unknown residues, an even share a round."""
        if rounds <= 1:
            return torch.nonzero(~known)[:, 0]
        sure = torch.softmax(scores, -1).square().sum(-1).masked_fill(known, -1.0).unflatten(0, (batch, -1))
        count = torch.ceil((~known).unflatten(0, (batch, -1)).sum(1, keepdim=True) / rounds)
        place = sure.argsort(1, descending=True).argsort(1)
        return torch.nonzero((place < count).flatten() & ~known)[:, 0]

    def drawn(self, scores, even, temperature):
        # type: (Tensor, Tensor, float) -> tuple[Tensor, Tensor]
        """Draw places (m,) from 0 to the number of bins by uniform numbers in (0, 1), with their log-probabilities.

        At temperature 0 the result is the mean of the three bins around the likeliest.
        """
        if temperature <= 0.0:
            likely = torch.log_softmax(scores, -1)
            best = scores.argmax(-1, keepdim=True)
            around = torch.arange(-1, 2, device=scores.device)
            share = torch.softmax(scores.gather(1, (best + around) % scores.shape[1]), -1)
            place = best[:, 0].to(scores.dtype) + (share * around.to(scores.dtype)).sum(-1)
            return place, likely.gather(1, best)[:, 0]
        likely = torch.log_softmax(scores / temperature, -1)
        chance = likely.exp()
        below = torch.cumsum(chance, -1)
        even = even.clamp(1e-6, 1.0 - 1e-6) * below[:, -1]
        row = torch.searchsorted(below, even.unsqueeze(1)).clamp_max(scores.shape[1] - 1)
        part = (even.unsqueeze(1) - (below.gather(1, row) - chance.gather(1, row))) / chance.gather(1, row).clamp_min(
            1e-12
        )
        # Bins are centred on their numbers.
        place = row[:, 0].to(scores.dtype) + part[:, 0].clamp(0.0, 1.0) - 0.5
        return place, likely.gather(1, row)[:, 0]

    def packed(self, chosen, told, torsions, atoms, types, rows, known, even, temperature, translation=None):
        # type: (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, float, Optional[Tensor]) -> tuple[Tensor, Tensor]
        """Torsions and atoms with the chosen rows' side chains drawn; the least crowded candidate is kept."""
        if chosen.shape[0] == 0:
            return torsions, atoms
        n, m = self.candidates, chosen.shape[0]
        repeated = chosen.repeat_interleave(n)
        kinds = types[repeated]
        number = torch.arange(n, device=chosen.device).repeat(m)
        trial = torsions[repeated].clone()
        likely = torch.zeros_like(trial[:, 0])
        bins: list[torch.Tensor] = []
        for k in range(self.n_chi):
            features = told[repeated, k + 2]
            for j in range(k):
                features = features + self.network.heads.tell(k, j, bins[j])
            scores = self.network.heads.scores(k + 2, features)
            spread = torch.remainder(even[repeated, k + 2] + self.golden * (k + 1) * number, 1.0)
            place, chance = self.drawn(scores, spread, temperature if temperature > 0 else 0.4)
            if temperature <= 0.0:
                best, highest = self.drawn(scores, spread, 0.0)
                place, chance = torch.where(number == 0, best, place), torch.where(number == 0, highest, chance)
            bins.append(torch.round(place).to(torch.int64) % scores.shape[1])
            trial[:, k + 2] = self.network.angles(place, k + 2, kinds)
            likely = likely + chance * self.network.builder.has_chi[kinds, k].to(chance.dtype)
        placed = self.network.builder.side_chains(atoms[repeated, :4], kinds, trial)
        crowd = self.crowding(
            placed.unflatten(0, (m, n)),
            chosen,
            atoms,
            types,
            rows,
            known[:, 2] | ~self.network.builder.has_chi[types, 0],
            translation,
        )
        # A sample keeps the distribution where nothing overlaps; the representative trades probability against overlap.
        score = -self.crowding_weight * crowd
        score = score + (likely if temperature <= 0 else -1e-3 * number.to(likely.dtype)).unflatten(0, (m, n))
        best = score.argmax(1) + torch.arange(m, device=chosen.device) * n
        torsions, atoms = torsions.clone(), atoms.clone()
        torsions[chosen] = trial[best]
        atoms[chosen] = placed[best]
        return torsions, atoms
