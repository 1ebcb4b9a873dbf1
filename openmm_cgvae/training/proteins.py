"""Train the torsion network of the models for any protein: resumable, reproducible, with a log."""

import csv
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from openmm_cgvae.core.errors import SettingsError, TrainingError
from openmm_cgvae.core.output import complete_output
from openmm_cgvae.models.protein.builder import N_TORSIONS, Builder
from openmm_cgvae.models.protein.graph import nearest
from openmm_cgvae.models.protein.torsionnet import TorsionNetwork
from openmm_cgvae.training.chains import Chain, PackedChains

__all__ = ["ProteinBatch", "ProteinConfig", "ProteinTrainer", "joined", "torsion_loss"]

logger = logging.getLogger(__name__)

# How much each torsion counts: the angle of the peptide unit, end groups, and those along the side chain.
TORSION_WEIGHTS = (1.0, 0.3, 1.0, 1.0, 0.5, 0.5)
COLUMNS = ("update", "residues", "train_loss", "backbone", "chi1", "chi2", "chi1_packed", "learning_rate", "seconds")
GRADIENT_CLIP = 1.0


@dataclass(frozen=True)
class ProteinConfig:
    """How to train a `TorsionNetwork`.

    Parameters
    ----------
    width, layers, known_layers, neighbours, bins : int
        See `TorsionNetwork`.
    residues : int
        Seen in all, over which the learning rate falls as a cosine.
    batch_residues : int
        At least so many a batch, in whole chains.
    learning_rate : float
    weight_decay : float
    ema_decay : float
        Of the moving average of the weights.
    backbone_fraction : float
        Part of the chains whose peptide units are asked for; the others' side chains are, on a known backbone.
    torsion_noise_degree : float
        Standard deviation of the noise on known torsions, of half of the chains: in sampling they are not exact.
    bead_noise_angstrom, noisy_fraction : float
        Largest standard deviation of the noise on beads, of a part of the chains.
    ca_noise_angstrom : float
        Standard deviation of the noise on C-alphas where beads are not C-alphas.
    mapping : {"ca", "com", "martini"}
        Of the beads.
    calibration_chains : int
        Chains that the tables of local coordinates are taken from.
    seed : int
    """

    width: int = 128
    layers: int = 4
    known_layers: int = 4
    neighbours: int = 24
    bins: int = 48
    residues: int = 20_000_000
    batch_residues: int = 800
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    ema_decay: float = 0.999
    backbone_fraction: float = 0.35
    torsion_noise_degree: float = 8.0
    bead_noise_angstrom: float = 0.15
    noisy_fraction: float = 0.15
    ca_noise_angstrom: float = 0.2
    calibration_chains: int = 1000
    mapping: str = "ca"
    seed: int = 0


@dataclass(frozen=True)
class ProteinBatch:
    """Chains after one another, a disjoint graph of R residues.

    Parameters
    ----------
    atoms : Tensor, shape (R, 14, 3)
        Angstrom.
    mask : bool Tensor, shape (R, 14)
    types : int Tensor, shape (R,)
    connected : bool Tensor, shape (R,)
    molecule : int Tensor, shape (R,)
        Number of the chain in the batch.
    """

    atoms: torch.Tensor
    mask: torch.Tensor
    types: torch.Tensor
    connected: torch.Tensor
    molecule: torch.Tensor

    def graph(self, points: torch.Tensor, count: int):
        """Neighbours and weights of `nearest`, chain by chain."""
        rows, weights, base = [], [], 0
        for n in torch.bincount(self.molecule).tolist():
            part = points[base : base + n].unsqueeze(0)
            row, weight = nearest(part, count)
            rows.append(row + base)
            weights.append(weight)
            base += n
        return torch.cat(rows), torch.cat(weights)


def joined(chains: list[Chain]) -> ProteinBatch:
    """One batch of chains."""
    fields = (
        torch.as_tensor(np.concatenate([getattr(chain, name) for chain in chains]))
        for name in ("atoms", "mask", "residue_types", "connected")
    )
    lengths = [len(chain.residue_types) for chain in chains]
    return ProteinBatch(*fields, torch.repeat_interleave(torch.arange(len(chains)), torch.tensor(lengths)))


def torsion_loss(network: TorsionNetwork, features, torsions, wanted, types):
    """Cross-entropy of the wanted torsions, each side-chain torsion given those before it.

    Parameters
    ----------
    network : TorsionNetwork
    features : Tensor, shape (R, 6, F)
        `TorsionNetwork.told`.
    torsions : Tensor, shape (R, 6)
        Radian.
    wanted : bool Tensor, shape (R, 6)
    types : int Tensor, shape (R,)

    Returns
    -------
    loss : Tensor
        Weighted mean over residues with a wanted torsion.
    parts : Tensor, shape (6,)
        Mean cross-entropy of every torsion, NaN where none is wanted.
    """
    total, parts = 0.0, []
    for k, scores, place, chosen in network.teacher_forced(features, torsions, wanted, types):
        likely = torch.log_softmax(scores, -1)
        low = place.floor()
        share = (place - low).unsqueeze(1)
        low = low.long().unsqueeze(1) % network.bins
        found = likely.gather(1, low) * (1 - share) + likely.gather(1, (low + 1) % network.bins) * share
        parts.append(-found.mean())
        total = total - TORSION_WEIGHTS[k] * found.sum()
    return total / wanted.any(1).sum().clamp_min(1), torch.stack(parts)


class ProteinTrainer:
    """Trains a `TorsionNetwork` on packed chains: ``ProteinTrainer(chains, folder).run()``.

    The folder gets ``checkpoint.pt`` and ``training.csv``. A trainer made on a folder that holds a checkpoint goes on from
    it, with the weights that an uninterrupted run would have.

    Parameters
    ----------
    chains : PackedChains
        With splits ``train`` and ``validation``.
    folder : path
    config : ProteinConfig, optional
    start : dict of str to Tensor, optional
        Weights to start from.
    """

    def __init__(self, chains: PackedChains, folder: str | Path, config: ProteinConfig | None = None, start=None):
        self.config = config or ProteinConfig()
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.train = chains.subset("train")
        self.validation = list(chains.subset("validation", representative=True))
        if not len(self.train) or not self.validation:
            raise TrainingError("the chains have no train or no validation split: both are needed")
        torch.manual_seed(self.config.seed)
        c = self.config
        builder = Builder()
        good = chains.subset("train", representative=True, resolution=1.8)
        builder.calibrate(*self._fields(joined([good[k] for k in range(min(len(good), c.calibration_chains))])))
        self.network = TorsionNetwork(builder, c.width, c.layers, c.known_layers, c.neighbours, c.bins, c.mapping)
        if start is not None:
            self.network.load_state_dict(start)
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(c.ema_decay))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=c.learning_rate, weight_decay=c.weight_decay)
        self.update, self.seen, self.seconds = 0, 0, 0.0
        self._chances = self._chain_chances()
        self._resume()

    @staticmethod
    def _fields(batch):
        return batch.atoms, batch.mask, batch.types, batch.connected

    def _chain_chances(self):
        """Chance of every training chain: clusters alike, chains of 2 A or worse half as often as better ones."""
        clusters, resolutions = self.train.clusters, self.train.resolutions
        _, row, count = np.unique(clusters, return_inverse=True, return_counts=True)
        chance = np.where(np.nan_to_num(resolutions, nan=3.0) <= 2.0, 1.0, 0.5) / count[row]
        return chance / chance.sum()

    def _resume(self):
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        try:
            state = torch.load(path, weights_only=True)
            same = state["config"] == asdict(self.config)
        except Exception as error:
            raise TrainingError(f"{path} cannot be read ({type(error).__name__}): remove it") from error
        if not same:
            raise SettingsError(f"{path} is of a run with other settings: give another folder, or remove it")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.update, self.seen, self.seconds = state["update"], state["seen"], state["seconds"]

    def _save(self):
        state = {"config": asdict(self.config), "network": self.network.state_dict(),
                 "average": self.average.state_dict(), "optimizer": self.optimizer.state_dict(),
                 "update": self.update, "seen": self.seen, "seconds": self.seconds}  # fmt: skip
        with complete_output(self.folder / "checkpoint.pt") as temporary:
            torch.save(state, temporary)

    def run(self, minutes: float | None = None, validate_every: int = 500):
        """Train until all residues are seen, or for so many minutes; the averaged network."""
        stop = time.monotonic() + 60 * (minutes or math.inf)
        losses, started = [], time.monotonic()
        while self.seen < self.config.residues and time.monotonic() < stop:
            losses.append(self._step())
            if self.update % validate_every == 0:
                self.seconds += time.monotonic() - started
                self._log(float(np.nanmean(losses)))
                self._save()
                losses, started = [], time.monotonic()
        self._save()
        return self.average.module

    def _step(self):
        c = self.config
        rng = np.random.default_rng((c.seed, self.update))
        chosen, total = [], 0
        while total < c.batch_residues:
            chosen.append(self.train[int(rng.choice(len(self._chances), p=self._chances))])
            total += len(chosen[-1].residue_types)
        batch = joined(chosen)
        rate = c.learning_rate * min(1.0, (self.update + 1) / 300)
        rate *= 0.5 * (1 + math.cos(math.pi * min(1.0, self.seen / c.residues))) + 0.005
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self._loss(batch, rng)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_CLIP)
        if torch.isfinite(norm):
            self.optimizer.step()
            self.average.update_parameters(self.network)
        self.update += 1
        self.seen += total
        return float(loss.detach())

    def _loss(self, batch, rng):
        """Loss of a batch with part of its torsions known."""
        c = self.config
        n_chains = int(batch.molecule[-1]) + 1
        torsions, there = self.network.builder.measure(*self._fields(batch))
        backbone = torch.as_tensor(rng.random(n_chains) < c.backbone_fraction)[batch.molecule].unsqueeze(1)
        shown = torch.as_tensor(rng.random(n_chains))[batch.molecule]
        shown = (torch.as_tensor(rng.random(len(shown))) < shown).unsqueeze(1)
        spine = torch.arange(N_TORSIONS) < 2
        known = there & torch.where(spine, ~backbone | shown, ~backbone & shown)
        wanted = there & ~known & (spine == backbone)
        noisy = torch.as_tensor(rng.random(n_chains) < 0.5)[batch.molecule].unsqueeze(1)
        noise = torch.as_tensor(rng.standard_normal(torsions.shape), dtype=torsions.dtype)
        given = torsions + noise * noisy * math.radians(c.torsion_noise_degree)
        beads, extra = self._beads(self.network, batch)
        strength = rng.random(n_chains) * c.bead_noise_angstrom * (rng.random(n_chains) < c.noisy_fraction)
        moved = torch.as_tensor(rng.standard_normal(beads.shape), dtype=beads.dtype)
        strength = torch.as_tensor(strength, dtype=beads.dtype)[batch.molecule].unsqueeze(1)
        beads = beads + moved * strength
        ca = beads
        if self.network.places_ca:
            # In sampling C-alphas are as the network places them.
            noise = torch.as_tensor(rng.standard_normal(beads.shape), dtype=beads.dtype)
            ca = batch.atoms[:, 1] + noise * noisy * c.ca_noise_angstrom
        features, placed = self._features(self.network, batch, beads, extra, ca, given, known)
        loss = torsion_loss(self.network, features, torsions, wanted, batch.types)[0]
        if self.network.places_ca:
            loss = loss + (placed - batch.atoms[:, 1]).square().sum(1).add(1e-4).sqrt().mean()
        return loss

    @staticmethod
    def _beads(network, batch):
        """Beads (R, 3) and side-chain beads (R, X, 3); an atom that is missing is taken to be at C-alpha."""
        filled = torch.where(batch.mask.unsqueeze(-1), batch.atoms, batch.atoms[:, 1:2])
        return network.own_beads(filled, batch.types), network.side_beads(filled, batch.types)

    @staticmethod
    def _features(network, batch, beads, extra, ca, torsions, known):
        """Features of the heads (R, 6, F), and C-alphas as placed by the network (R, 3)."""
        with torch.no_grad():
            rows, weight = batch.graph(beads, network.neighbours)
            atoms = network.builder(ca, batch.types, batch.connected, torsions)
        # Matrix products in half precision: 1.7 times as fast on a CPU that has them.
        with torch.autocast("cpu", dtype=torch.bfloat16):
            h, edges, frames = network.surroundings(beads, extra, batch.types, batch.connected, rows, weight)
            features = network.told(h, edges, frames, beads, batch.types, rows, weight, torsions, known, atoms)
        return features.float(), network.alpha_carbons(beads, h.float(), frames)

    @torch.no_grad()
    def _log(self, train_loss):
        """One line of the log: cross-entropies of validation chains with nothing known, and with half the side chains."""
        network, rows = self.average.module.eval(), []
        rng = np.random.default_rng(0)
        spine = torch.arange(N_TORSIONS) < 2
        for chain in self.validation:
            batch = joined([chain])
            torsions, there = network.builder.measure(*self._fields(batch))
            half = torch.as_tensor(rng.random(len(there)) < 0.5).unsqueeze(1)
            row, beads = [], self._beads(network, batch)
            for known, wanted in [
                (there & False, there & spine), (there & spine, there & ~spine), (there & (spine | half), there & ~spine & ~half),
            ]:  # fmt: skip
                features, _ = self._features(network, batch, *beads, batch.atoms[:, 1], torsions, known)
                row.append(torsion_loss(network, features, torsions, wanted, batch.types)[1])
            rows.append(torch.stack([row[0][0], row[1][2], row[1][3], row[2][2]]))
        figures = torch.nanmean(torch.stack(rows), 0).tolist()
        rate = self.optimizer.param_groups[0]["lr"]
        values = (self.update, self.seen, train_loss, *figures, rate, round(self.seconds))
        path = self.folder / "training.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(COLUMNS)
            writer.writerow(f"{value:.5g}" if isinstance(value, float) else value for value in values)
        logger.info("update %d, %d residues: train %.3f, backbone %.3f, chi1 %.3f, packed %.3f",
                    self.update, self.seen, train_loss, figures[0], figures[1], figures[3])  # fmt: skip
