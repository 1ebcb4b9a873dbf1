"""Train CoarsenConf on conformer ensembles: resumable, reproducible, with a log."""

import logging
from pathlib import Path

import numpy as np
import torch

from openmm_cgvae.core.errors import TrainingError
from openmm_cgvae.core.output import existing_folder
from openmm_cgvae.ensembles.coarseconfig import CoarsenConfTraining
from openmm_cgvae.ensembles.coarseloss import CoarseData, aligned_rmsd, coarsenconf_losses, joined_batch
from openmm_cgvae.ensembles.packed import PackedEnsembles
from openmm_cgvae.ligands.coarsenconf import CoarsenConf
from openmm_cgvae.ligands.coarsening import N_ROWS
from openmm_cgvae.training.folder import trained_network
from openmm_cgvae.training.updates import UpdateTrainer

__all__ = ["CoarsenConfTrainer", "load_trained_coarsenconf"]

logger = logging.getLogger(__name__)

# Pairs of conformers that are validated.
VALIDATED = 60


class CoarsenConfTrainer(UpdateTrainer):
    """Trains a `CoarsenConf` on conformer ensembles: ``CoarsenConfTrainer(ensembles, folder).run(minutes=30)``.

    The folder gets ``checkpoint.pt`` and ``training.csv``. A trainer made on a folder that holds a checkpoint goes on
    from it, with the weights that an uninterrupted run would have.

    Parameters
    ----------
    ensembles : PackedEnsembles
        With splits ``train`` and ``validation``.
    folder : path
        Created if missing; its parent must exist.
    config : CoarsenConfTraining, optional

    Raises
    ------
    TrainingError
        If a split is missing or has no approximate conformers, or the checkpoint is damaged.
    SettingsError
        If the folder holds a run with other settings or data.
    """

    WARM_UP, VALIDATE_EVERY = 100, 200
    COLUMNS = ("update", "conformers", "loss", "coordinates", "distances", "divergence", "rebuilt_angstrom",
               "sampled_angstrom", "approximate_angstrom", "learning_rate", "seconds")  # fmt: skip

    def __init__(self, ensembles: PackedEnsembles, folder: str | Path, config: CoarsenConfTraining | None = None):
        self.config = config or CoarsenConfTraining()
        self.train, validation = (CoarseData(ensembles.subset(split)) for split in ("train", "validation"))
        if not len(self.train.ensembles) or not len(validation.ensembles):
            raise TrainingError("the ensembles have no train or no validation split: both are needed")
        self.validation = self._validated(validation)
        self.data_sha256 = ensembles.sha256
        self.folder = existing_folder(folder)
        torch.manual_seed(self.config.seed)
        self._begin(CoarsenConf(self.config.size, N_ROWS))
        self._resume(self._checkpoint())

    @staticmethod
    def _validated(data):
        """The same pairs of conformers every time, of molecules spread over the split."""
        numbers = np.linspace(0, len(data.ensembles) - 1, min(VALIDATED, len(data.ensembles))).astype(int)
        rows = [data.pair(int(k), np.random.default_rng((0, int(k)))) for k in numbers]
        rows = [row for row in rows if row is not None]
        if not rows:
            raise TrainingError("no validation molecule has approximate conformers: sample the ensembles with some")
        return joined_batch(rows)

    def _step(self):
        """One update; returns its loss and the parts of it."""
        c = self.config
        rng = np.random.default_rng((c.seed, self.update))
        batch = self.train.batch(rng, c.batch_atoms)
        noise = torch.from_numpy(rng.standard_normal((len(batch.graph.owner), 3, c.latent), dtype=np.float32))
        moved = torch.from_numpy(rng.standard_normal(batch.x.shape, dtype=np.float32)) * c.context_noise
        parts = coarsenconf_losses(self.network, batch, noise, moved)
        share = min(1.0, self.update / max(1, c.kl_updates))
        loss = parts.coordinates + c.distance_weight * parts.distances + share * c.kl_weight * parts.divergence
        self._set_rate()
        self._descend(loss, int(batch.molecule[-1]) + 1)
        return [float(value.detach()) for value in (loss, *parts)]

    @torch.no_grad()
    def _log(self):
        """One line of the log: losses since the last, and how far from the truth validation molecules are built.

        From the posterior's mean, from the prior, and the approximate conformer itself (heavy atoms, mean RMSD).
        """
        model, batch = self.average.module.eval(), self.validation
        mean, _ = model.encode(batch.graph, batch.approximate, batch.x)
        noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
        structures = (
            model.decode(batch.graph, batch.approximate, mean),
            model.sample(batch.graph, batch.approximate, noise),
            batch.approximate,
        )
        figures = [float(aligned_rmsd(batch, x).mean()) for x in structures]
        losses, self._losses = np.nanmean(np.array(self._losses), axis=0).tolist(), []
        self._add_row(*losses, *figures)


def load_trained_coarsenconf(folder: str | Path) -> tuple[CoarsenConf, CoarsenConfTraining, dict]:
    """Read the averaged network of a training folder, as `trained_network` does."""
    return trained_network(folder, CoarsenConfTraining, lambda c: CoarsenConf(c.size, N_ROWS), "CoarsenConf")
