"""Draws torsions from a `LigandNetwork` on approximate conformers, and weighs them by what runs into what."""

import math

import torch
from torch import Tensor, nn

from openmm_cgvae.core.units import BOLTZMANN_KJ_PER_MOL_K
from openmm_cgvae.geometry.turning import bond_axes, turned, turned_by_all
from openmm_cgvae.ligands.graph import TorsionGraph
from openmm_cgvae.ligands.steric import PairEnergy
from openmm_cgvae.ligands.torsionnet import LigandNetwork

__all__ = ["LigandSampler"]

# Degrees by which a torsion may move when it settles.
SETTLING = (0.0, -3.0, 3.0, -7.0, 7.0, -13.0, 13.0, -22.0, 22.0)
# Radian to both sides, for the energy's slopes.
APART = math.radians(2.0)
# Samples whose features are held at once.
SAMPLES = 64


class LigandSampler(nn.Module):
    """p(torsions | molecule, approximate conformers) by unmasking in rounds, then by turns with the others known.

    In every round the network is asked for all torsions that are not known, and those of each sample it is surest of
    are drawn. Afterwards each torsion is drawn again, given all others, from several candidates of the network by the
    energy between the parts that it turns against one another: a step of a Markov chain whose law is the product of
    both. At the end each settles at the best of some angles nearby, by the same product: minima, without the breadth of
    the law about them. `take` says of which molecule.

    Parameters
    ----------
    network : LigandNetwork
    rounds, sweeps, settles : int
        Of unmasking, of drawing each torsion again, and of moving each to the best of some nearby.
    candidates : int
    """

    def __init__(
        self, network: LigandNetwork, rounds: int = 2, sweeps: int = 1, settles: int = 1, candidates: int = 16
    ):
        super().__init__()
        self.network, self.pairs = network, PairEnergy()
        self.rounds, self.sweeps, self.settles, self.candidates = rounds, sweeps, settles, candidates
        self.register_buffer("settling", torch.tensor(SETTLING).deg2rad(), persistent=False)
        # K of the energy, at temperature 1 of the network's distributions.
        self.kelvin = 300.0
        self.gas, self.samples, self.apart = BOLTZMANN_KJ_PER_MOL_K, SAMPLES, APART
        self.n_tokens, self.n_colours, self.n_bases = 0, 0, 0
        index, none = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
        for name in ("bonds", "quads", "token", "token_bonds", "colours"):
            self.register_buffer(name, index.clone(), persistent=False)
        for name in ("atoms", "bond_features", "handed", "offsets", "bases", "torsions", "strain", "tables"):
            self.register_buffer(name, none.clone(), persistent=False)
        self.register_buffer("moved", torch.zeros(0, 0, dtype=torch.bool), persistent=False)

    @torch.jit.export
    def take(self, molecule: dict[str, Tensor]) -> None:
        """Take another molecule, as `openmm_cgvae.ensembles.binding.ligand_tensors` gives it."""
        self.atoms, self.bonds, self.bond_features = molecule["atoms"], molecule["bonds"], molecule["bond_features"]
        self.quads, self.token = molecule["quads"], molecule["token"]
        self.token_bonds, self.moved = molecule["token_bonds"], molecule["moved"].to(torch.bool)
        self.colours = molecule["colours"]
        self.n_tokens = self.token_bonds.shape[0]
        self.n_colours = int(self.colours.max()) + 1 if self.n_tokens > 0 else 0
        self.handed, self.offsets, self.torsions = molecule["handed"], molecule["offsets"], molecule["torsions"]
        self.bases, self.strain, self.tables = molecule["bases"], molecule["strain"], molecule["tables"]
        self.n_bases = self.bases.shape[0]
        self.pairs.take(molecule)

    @torch.jit.export
    def n_noise(self) -> int:
        """Random numbers of a sample."""
        return self.n_tokens * (1 + 2 * self.sweeps)

    def forward(self, noise: Tensor, base: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        """Draw conformers.

        Parameters
        ----------
        noise : Tensor, shape (S, n_noise)
            Unit Gaussian.
        base : int Tensor, shape (S,)
            Approximate conformer of every sample.
        temperature : float
            Of the distributions; 0 takes the likeliest.

        Returns
        -------
        torsions : Tensor, shape (T, S)
            Radian.
        x : Tensor, shape (S, N, 3)
            Atoms in Angstrom.
        energy : Tensor, shape (S,)
            kJ/mol, up to a constant of the molecule.
        """
        torsions: list[Tensor] = []
        atoms: list[Tensor] = []
        energies: list[Tensor] = []
        h = self.network.surroundings(self.graph(base[:1]))
        for part, its_base in zip(noise.split(self.samples), base.split(self.samples)):  # noqa: B905 (TorchScript)
            found = self.sampled(h, part.transpose(0, 1), its_base, temperature)
            torsions.append(found[0])
            atoms.append(found[1])
            energies.append(found[2])
        return torch.cat(torsions, 1), torch.cat(atoms), torch.cat(energies)

    def graph(self, base: Tensor) -> TorsionGraph:
        """The molecule with the angles of an approximate conformer (S,) for each sample."""
        return TorsionGraph(
            self.atoms, self.bonds, self.bond_features, self.quads, self.token, self.n_tokens,
            self.handed.index_select(1, base), self.offsets.index_select(1, base),
        )  # fmt: skip

    def sampled(self, h: Tensor, noise: Tensor, base: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        """As `forward`, at once, with noise (n_noise, S) and what `surroundings` says."""
        even = (0.5 * (1.0 + torch.erf(noise / math.sqrt(2.0)))).clamp(1e-6, 1.0 - 1e-6)
        graph = self.graph(base)
        start = self.torsions.index_select(1, base)
        torsions = self.unmasked(graph, h, even, temperature)
        x = turned_by_all(self.bases.index_select(0, base), self.token_bonds, self.moved, torsions - start)
        for sweep in range(self.sweeps):
            first = self.n_tokens * (1 + 2 * sweep)
            own = even[first : first + 2 * self.n_tokens]
            torsions, x = self.swept(graph, h, torsions, x, base, own, temperature, False)
        for _ in range(self.settles):
            torsions, x = self.swept(graph, h, torsions, x, base, even, temperature, True)
        return torsions, x, self.energy(x, torsions, base)

    def unmasked(self, graph: TorsionGraph, h: Tensor, even: Tensor, temperature: float) -> Tensor:
        """Torsions (T, S) drawn in rounds by even numbers in (0, 1)."""
        torsions = torch.zeros(self.n_tokens, graph.offsets.shape[1], dtype=h.dtype, device=h.device)
        known = torch.zeros(torsions.shape, dtype=torch.bool, device=h.device)
        for number in range(min(self.rounds, self.n_tokens)):
            scores = self.network.scores(graph, h, torsions, known)
            left = self.rounds - number
            sure = torch.softmax(scores, -1).square().sum(-1).masked_fill(known, -1.0)
            count = torch.ceil((~known).sum(0, keepdim=True) / left)
            place = sure.argsort(0, descending=True).argsort(0)
            chosen = (place < count) & ~known
            drawn = self.drawn(scores, even[: self.n_tokens].unsqueeze(-1), temperature).squeeze(-1)
            torsions = torch.where(chosen, drawn, torsions)
            known = known | chosen
        return torsions

    def swept(self, graph: TorsionGraph, h: Tensor, torsions: Tensor, x: Tensor, base: Tensor, even: Tensor,
              temperature: float, nearby: bool) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Torsions and atoms after each torsion was drawn once, given the others, or settled nearby."""
        steps = torch.arange(self.candidates, dtype=h.dtype, device=h.device) / self.candidates
        for colour in range(self.n_colours):
            others = (self.colours != colour).unsqueeze(1).expand_as(torsions)
            scores = self.network.scores(graph, h, torsions, others)
            rows: list[int] = torch.nonzero(self.colours == colour)[:, 0].tolist()
            for k in rows:
                own = torsions[k].unsqueeze(1)
                if nearby:
                    trial = own + self.settling
                    cost = -self.gas * self.kelvin * self.likely(scores[k], trial)
                    energy = self.turning_energy(k, x, self.settling.expand_as(trial), trial, base)
                    chosen = (energy + cost).argmin(1)
                else:
                    spread = torch.remainder(even[k].unsqueeze(-1) + steps, 1.0).clamp(1e-6, 1.0 - 1e-6)
                    trial = self.drawn(scores[k], spread, temperature if temperature > 0 else 1.0)
                    energy = self.turning_energy(k, x, trial - own, trial, base)
                    chosen = self.picked(energy, even[self.n_tokens + k], temperature)
                angle = trial.gather(1, chosen.unsqueeze(1))
                moving = torch.nonzero(self.moved[k])[:, 0]
                origin, axis = bond_axes(x, self.token_bonds[k])
                places = turned(x.index_select(1, moving), origin, axis, angle - own).squeeze(1)
                x = x.index_copy(1, moving, places)
                torsions = torsions.index_copy(0, torch.full([1], k, device=h.device), angle.transpose(0, 1))
        return torsions, x

    def likely(self, scores: Tensor, torsion: Tensor) -> Tensor:
        """Logarithm of the density (S, J) at torsions (S, J) by logits (S, bins)."""
        bins = scores.shape[-1]
        place = torch.remainder(torsion * (bins / (2.0 * math.pi)), bins)
        low = place.floor()
        share, row = place - low, low.to(torch.int64) % bins
        found = torch.log_softmax(scores, -1)
        return found.gather(-1, row) * (1.0 - share) + found.gather(-1, (row + 1) % bins) * share

    def turning_energy(self, k: int, x: Tensor, by: Tensor, torsion: Tensor, base: Tensor) -> Tensor:
        """Energy (S, J) between what token k turns, by angles (S, J) to torsions (S, J), and the rest."""
        moving, still = torch.nonzero(self.moved[k])[:, 0], torch.nonzero(~self.moved[k])[:, 0]
        origin, axis = bond_axes(x, self.token_bonds[k])
        places = turned(x.index_select(1, moving), origin, axis, by)
        return self.pairs.between(places, x.index_select(1, still), moving, still) + self.intrinsic(k, torsion, base)

    def slopes(self, x: Tensor, torsions: Tensor, base: Tensor) -> tuple[Tensor, Tensor]:
        """First derivatives (T, S) of the energy by each torsion, in kJ/mol and radian, and second ones where positive.

        By differences, the others held.
        """
        by = torch.tensor([-self.apart, 0.0, self.apart], dtype=x.dtype, device=x.device).expand(x.shape[0], -1)
        first, second = torch.zeros_like(torsions), torch.zeros_like(torsions)
        for k in range(self.n_tokens):
            energy = self.turning_energy(k, x, by, torsions[k].unsqueeze(1) + by, base)
            first[k] = (energy[:, 2] - energy[:, 0]) / (2.0 * self.apart)
            second[k] = ((energy[:, 2] + energy[:, 0] - 2.0 * energy[:, 1]) / self.apart**2).clamp_min(0.0)
        return first, second

    def intrinsic(self, k: int, torsion: Tensor, base: Tensor) -> Tensor:
        """Energy of the torsion terms about token k at torsions (S, J)."""
        c = self.tables[k].index_select(1, base)
        energy = torch.zeros_like(torsion)
        for m in range(3):
            phase = torsion * float(m + 1)
            energy = energy + c[m].unsqueeze(1) * torch.cos(phase) + c[m + 3].unsqueeze(1) * torch.sin(phase)
        return energy

    def energy(self, x: Tensor, torsions: Tensor, base: Tensor) -> Tensor:
        """Energy (S,) of conformers."""
        energy = self.pairs(x) + self.strain.index_select(0, base)
        for k in range(self.n_tokens):
            energy = energy + self.intrinsic(k, torsions[k].unsqueeze(1), base).squeeze(1)
        return energy

    def picked(self, energy: Tensor, even: Tensor, temperature: float) -> Tensor:
        """One of the candidates (S, J) by its Boltzmann weight, and even numbers (S,): (S,)."""
        if temperature <= 0.0:
            return energy.argmin(1)
        chance = torch.softmax(-energy / (self.gas * self.kelvin * temperature), 1).cumsum(1)
        return (chance < even.unsqueeze(1) * chance[:, -1:]).sum(1).clamp_max(energy.shape[1] - 1)

    def drawn(self, scores: Tensor, even: Tensor, temperature: float) -> Tensor:
        """Angles (..., J) in radian by logits (..., bins) and even numbers (..., J).

        At temperature 0 the mean of the three bins about the likeliest.
        """
        bins = scores.shape[-1]
        if temperature <= 0.0:
            best = scores.argmax(-1, keepdim=True)
            around = torch.arange(-1, 2, device=scores.device)
            share = torch.softmax(scores.gather(-1, (best + around) % bins), -1)
            place = best + (share * around).sum(-1, keepdim=True)
            return (place * (2.0 * math.pi / bins)).expand_as(even)
        chance = torch.softmax(scores / temperature, -1)
        below = torch.cumsum(chance, -1)
        level = even * below[..., -1:]
        row = torch.searchsorted(below, level.expand(scores.shape[:-1] + even.shape[-1:]).contiguous()).clamp_max(
            bins - 1
        )
        share = chance.gather(-1, row)
        part = (level - (below.gather(-1, row) - share)) / share.clamp_min(1e-12)
        # Bins are centred on their numbers.
        return (row + part.clamp(0.0, 1.0) - 0.5) * (2.0 * math.pi / bins)
