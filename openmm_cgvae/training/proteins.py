"""Train the torsion network of the models for any protein: resumable, reproducible, with a log."""

import logging
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from openmm_cgvae.core.errors import SettingsError, TrainingError
from openmm_cgvae.core.fingerprint import weights_fingerprint
from openmm_cgvae.core.output import existing_folder
from openmm_cgvae.proteins.builder import N_TORSIONS, Builder
from openmm_cgvae.proteins.chains import PackedChains
from openmm_cgvae.proteins.crops import CROP, cropped
from openmm_cgvae.proteins.crystalgeometry import ProteinGeometry, network_weights
from openmm_cgvae.proteins.torsionnet import TorsionNetwork
from openmm_cgvae.training.proteinbatch import joined, torsion_loss
from openmm_cgvae.training.proteinconfig import ProteinConfig
from openmm_cgvae.training.updates import UpdateTrainer

__all__ = ["ProteinTrainer"]

logger = logging.getLogger(__name__)

# Weights that see the beads, or place C-alphas: they depend on the mapping.
OF_MAPPING = ("first.0.", "ca.")


class ProteinTrainer(UpdateTrainer):
    """Trains a `TorsionNetwork` on packed chains: ``ProteinTrainer(chains, folder).run()``.

    The folder gets ``checkpoint.pt``, ``training.csv`` and ``geometry.pt``. A trainer made on a folder that holds a
    checkpoint goes on from it, with the weights that an uninterrupted run would have.

    Parameters
    ----------
    chains : PackedChains
        With splits ``train`` and ``validation``.
    folder : path
        Created if missing; its parent must exist.
    config : ProteinConfig, optional
    start : dict of str to Tensor, optional
        State of a model file to start from, whose tables of local geometry are kept; otherwise they are measured.

    Raises
    ------
    TrainingError
        If a split is missing, or a file in the folder is damaged.
    SettingsError
        If the folder holds a run with other settings or data, or `start` is of another size.
    """

    ITEM, DATA, WARM_UP = "residue", "chains", 300
    COLUMNS = (
        "update",
        "residues",
        "train_loss",
        "backbone",
        "chi1",
        "chi2",
        "chi1_packed",
        "learning_rate",
        "seconds",
    )

    def __init__(self, chains: PackedChains, folder: str | Path, config: ProteinConfig | None = None, start=None):
        self.config = config or ProteinConfig()
        self.train = chains.subset("train")
        self.validation = list(chains.subset("validation", representative=True))
        if not len(self.train) or not self.validation:
            raise TrainingError("the chains have no train or no validation split: both are needed")
        self.data_sha256 = chains.sha256
        self._start = "none" if start is None else weights_fingerprint(start)
        weights = None if start is None else network_weights(start)
        self.folder = existing_folder(folder)
        self.geometry = self._local_geometry(chains, start)
        torch.manual_seed(self.config.seed)
        c = self.config
        builder = Builder()
        builder.load_state_dict(self.geometry.builder)
        network = TorsionNetwork(builder, c.width, c.layers, c.known_layers, c.neighbours, c.bins, c.mapping)
        if weights is not None:
            self._begin_with(network, weights)
        self._begin(network)
        self._chances = self._chain_chances()
        self._resume(self._checkpoint())

    def _local_geometry(self, chains, start):
        """Of the folder, or else of the model to start from, or else measured; in the folder from then on."""
        path = self.folder / "geometry.pt"
        if path.exists() and self.checkpoint_path.exists():
            return ProteinGeometry.load(path)
        if start is None:
            geometry = ProteinGeometry.measured(chains, self.config.calibration_chains)
        else:
            geometry = ProteinGeometry.of_model(start)
        geometry.save(path)
        return geometry

    @staticmethod
    def _begin_with(network, weights):
        """Take the weights of another model; what depends on the mapping begins anew where that is another."""
        own = network.state_dict()
        new = {name for name, value in own.items() if name not in weights or weights[name].shape != value.shape}
        unlike = sorted(name for name in new if not name.startswith(OF_MAPPING))
        if unlike:
            raise SettingsError(
                f"the model to start from differs in {unlike[0]} and {len(unlike) - 1} more weights: give the width, "
                "layers, known_layers, neighbours and bins that it has (openmm-cgvae info)"
            )
        if new:
            logger.info("the model to start from is of another mapping: %s begin anew", ", ".join(sorted(new)))
        network.load_state_dict({name: own[name] if name in new else weights[name] for name in own})

    @staticmethod
    def _fields(batch):
        return batch.atoms, batch.mask, batch.types, batch.connected

    def _chain_chances(self):
        """Chance of every training chain: clusters alike, chains of 2 A or worse half as often as better ones.

        MD frames and crystals share the residues that are seen as `md_fraction` says.
        """
        clusters, resolutions = self.train.clusters, self.train.resolutions
        _, row, count = np.unique(clusters, return_inverse=True, return_counts=True)
        chance = np.where(np.nan_to_num(resolutions, nan=3.0) <= 2.0, 1.0, 0.5) / count[row]
        fraction, of_md = self.config.md_fraction, self.train.of_md
        if fraction is not None and of_md.any() and not of_md.all():
            seen = chance * np.minimum(self.train.lengths, CROP)
            chance *= np.where(of_md, fraction / seen[of_md].sum(), (1 - fraction) / seen[~of_md].sum())
        return chance / chance.sum()

    def _identity(self):
        return {**super()._identity(), "start": self._start}

    def _stored_identity(self, state):
        # What older checkpoints do not say is as it was by default.
        stored = {"config": asdict(ProteinConfig()) | state["config"]}
        return stored | {name: state[name] for name in ("data_sha256", "start") if name in state}

    def _step(self):
        c = self.config
        rng = np.random.default_rng((c.seed, self.update))
        chosen, total = [], 0
        while total < c.batch_residues:
            chosen.append(cropped(self.train[int(rng.choice(len(self._chances), p=self._chances))], rng))
            total += len(chosen[-1][1])
        batch = joined(*zip(*chosen, strict=True))
        self._set_rate()
        loss = self._loss(batch, rng)
        self._descend(loss, total)
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
        wanted = there & ~known & (spine == backbone) & batch.inner.unsqueeze(1)
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
            off = (placed - batch.atoms[:, 1])[batch.inner]
            loss = loss + off.square().sum(1).add(1e-4).sqrt().mean()
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

    def _log(self):
        """One line of the log: cross-entropies of validation chains."""
        figures = self.cross_entropies(self.average.module.eval(), self.validation)
        train_loss, self._losses = float(np.nanmean(self._losses)), []
        self._add_row(train_loss, *figures)

    @classmethod
    @torch.no_grad()
    def cross_entropies(cls, network, chains) -> list[float]:
        """Cross-entropies of chains, their mean, in nats a torsion.

        Of the angle of the peptide unit with nothing known, of chi1 and chi2 on a known backbone, and of chi1 with half
        of the side chains known too.
        """
        rows, rng = [], np.random.default_rng(0)
        spine = torch.arange(N_TORSIONS) < 2
        for chain in chains:
            batch = joined([chain])
            torsions, there = network.builder.measure(*cls._fields(batch))
            half = torch.as_tensor(rng.random(len(there)) < 0.5).unsqueeze(1)
            row, beads = [], cls._beads(network, batch)
            for known, wanted in [
                (there & False, there & spine),
                (there & spine, there & ~spine),
                (there & (spine | half), there & ~spine & ~half),
            ]:
                features, _ = cls._features(network, batch, *beads, batch.atoms[:, 1], torsions, known)
                row.append(torsion_loss(network, features, torsions, wanted, batch.types)[1])
            rows.append(torch.stack([row[0][0], row[1][2], row[1][3], row[2][2]]))
        return torch.nanmean(torch.stack(rows), 0).tolist()
