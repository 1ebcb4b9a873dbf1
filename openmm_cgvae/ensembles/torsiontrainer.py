"""Train the torsion network of any small molecule: resumable, reproducible, with a log."""

import logging
import math
from pathlib import Path

import numpy as np
import torch

from openmm_cgvae.core.errors import TrainingError
from openmm_cgvae.core.output import existing_folder, write_json
from openmm_cgvae.ensembles.packed import PackedEnsembles
from openmm_cgvae.ensembles.torsionbatch import TorsionBatch, TorsionEnsemble, torsion_loss
from openmm_cgvae.ensembles.torsionconfig import TorsionConfig
from openmm_cgvae.ligands.torsionnet import LigandNetwork
from openmm_cgvae.training.folder import trained_network
from openmm_cgvae.training.progress import progress_bar
from openmm_cgvae.training.updates import UpdateTrainer

__all__ = ["TorsionTrainer", "load_torsion_network"]

logger = logging.getLogger(__name__)

# Molecules of a batch, and conformers of each, that validation is measured on.
VALIDATION_MOLECULES, VALIDATION_COLUMNS = 16, 4


class TorsionTrainer(UpdateTrainer):
    """Trains a `LigandNetwork` on conformer ensembles: ``TorsionTrainer(ensembles, folder).run()``.

    The folder gets ``checkpoint.pt``, ``training.csv`` and ``data.json``. A trainer made on a folder that holds a
    checkpoint goes on from it, with the weights that an uninterrupted run would have.

    Parameters
    ----------
    ensembles : PackedEnsembles
        With splits ``train`` and ``validation``.
    folder : path
        Created if missing; its parent must exist.
    config : TorsionConfig, optional
    progress : bool
        Show bars.

    Raises
    ------
    TrainingError
        If no molecule of a split has a bond that turns, or a file in the folder is damaged.
    SettingsError
        If the folder holds a run with other settings or data.
    """

    WARM_UP = 200
    COLUMNS = ("update", "conformers", "train_loss", "nothing_known", "half_known", "learning_rate", "seconds")

    def __init__(
        self,
        ensembles: PackedEnsembles,
        folder: str | Path,
        config: TorsionConfig | None = None,
        progress: bool = True,
    ):
        self.config = config or TorsionConfig()
        self.folder = existing_folder(folder)
        self.data_sha256 = ensembles.sha256
        # Before the data are prepared, which takes a while.
        state = self._checkpoint()
        self.train = self._prepared(ensembles.subset("train"), progress)
        self.validation = self._prepared(ensembles.subset("validation"), progress)
        if not self.train or not self.validation:
            raise TrainingError("no molecule to train on, or none for validation, turns about a bond: both are needed")
        self.chances = [molecule.chances(self.config.temperature) for molecule in self.train]
        torch.manual_seed(self.config.seed)
        self._begin(LigandNetwork(**self.config.network, dropout=self.config.dropout))
        self._resume(state)
        self._write_data(ensembles)

    @staticmethod
    def _prepared(ensembles, progress):
        """Molecules that turn about a bond."""
        found = []
        with progress_bar(len(ensembles), progress, "molecule") as tick:
            for ensemble in ensembles:
                molecule = TorsionEnsemble(ensemble)
                if molecule.arrays.n_tokens:
                    found.append(molecule)
                if tick is not None:
                    tick()
        return found

    def _write_data(self, ensembles):
        """Note what is trained on, for the model file."""
        train = ensembles.subset("train")
        known = {
            "sha256": self.data_sha256,
            "molecules": {name: len(ensembles.subset(name)) for name in ("train", "validation", "test")},
            "conformers": int(train.n_conformers.sum()),
            "methods": sorted({ensemble.method for ensemble in train}),
            "sources": sorted({ensemble.source for ensemble in train}),
        }
        write_json(self.folder / "data.json", known)

    def _state(self):
        # Of dropout.
        return {**super()._state(), "random": torch.get_rng_state()}

    def _take(self, state):
        super()._take(state)
        torch.set_rng_state(state["random"])

    def _step(self):
        c = self.config
        rng = np.random.default_rng((c.seed, self.update))
        rows = rng.integers(len(self.train), size=c.batch_molecules)
        noise = (math.radians(c.torsion_noise_degree), math.radians(c.offset_noise_degree))
        batch = TorsionBatch.drawn(
            [self.train[k] for k in rows], [self.chances[k] for k in rows], c.columns, rng, *noise
        )
        self._set_rate()
        self.network.train()
        loss = self._loss(self.network, batch)
        self._descend(loss, c.batch_molecules * c.columns)
        return float(loss.detach())

    @staticmethod
    def _loss(network, batch):
        scores = network.scores(batch.graph, network.surroundings(batch.graph), batch.given, batch.known)
        return torsion_loss(scores, batch.torsions, ~batch.known)

    @torch.no_grad()
    def _log(self):
        """One line of the log: cross-entropies of validation molecules at 298.15 K, nothing or half known."""
        network, figures = self.average.module.eval(), []
        rng = np.random.default_rng(0)
        for start in range(0, len(self.validation), VALIDATION_MOLECULES):
            molecules = self.validation[start : start + VALIDATION_MOLECULES]
            chances = [molecule.chances(298.15) for molecule in molecules]
            batch = TorsionBatch.drawn(molecules, chances, VALIDATION_COLUMNS, rng)
            row = []
            for known in (torch.zeros_like(batch.known), torch.as_tensor(rng.random(batch.known.shape) < 0.5)):
                told = TorsionBatch(batch.graph, batch.torsions, batch.torsions, known)
                row.append((float(self._loss(network, told)), int((~known).sum())))
            figures.append(row)
        loss, count = np.moveaxis(np.array(figures), 2, 0)
        values = ((loss * count).sum(0) / count.sum(0)).tolist()
        train_loss, self._losses = float(np.nanmean(self._losses)), []
        self._add_row(train_loss, *values)


def load_torsion_network(folder: str | Path) -> tuple[LigandNetwork, TorsionConfig, dict]:
    """Read the averaged network of a training folder, as `trained_network` does."""
    return trained_network(folder, TorsionConfig, lambda c: LigandNetwork(**c.network), "a torsion network")
