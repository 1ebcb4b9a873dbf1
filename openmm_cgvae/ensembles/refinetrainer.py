"""Train a refinement of conformers of any small molecule: resumable, reproducible, with a log."""

import logging
from pathlib import Path

import numpy as np
import torch

from openmm_cgvae.core.errors import TrainingError
from openmm_cgvae.core.output import existing_folder
from openmm_cgvae.ensembles.refinebatch import RefineBatch, RefineMolecule, distance_errors, superposed_rmsd
from openmm_cgvae.ensembles.refineconfig import RefineConfig
from openmm_cgvae.ensembles.relaxations import PackedRelaxations
from openmm_cgvae.ligands.refinenet import RefineNetwork
from openmm_cgvae.training.folder import trained_network
from openmm_cgvae.training.progress import progress_bar
from openmm_cgvae.training.updates import UpdateTrainer

__all__ = ["RefineTrainer", "load_refine_network"]

logger = logging.getLogger(__name__)

# Molecules of a batch, and samples of each, that validation is measured on.
VALIDATION_MOLECULES, VALIDATION_COLUMNS = 16, 6


class RefineTrainer(UpdateTrainer):
    """Trains a `RefineNetwork` on samples and their minima: ``RefineTrainer(relaxations, folder).run()``.

    The folder gets ``checkpoint.pt`` and ``training.csv``. A trainer made on a folder that holds a checkpoint goes on
    from it, with the weights that an uninterrupted run would have.

    Parameters
    ----------
    relaxations : PackedRelaxations
        With splits ``train`` and ``validation``.
    folder : path
        Created if missing; its parent must exist.
    config : RefineConfig, optional
    progress : bool
        Show bars.

    Raises
    ------
    TrainingError
        If a split has no molecule, or a file in the folder is damaged.
    SettingsError
        If the folder holds a run with other settings or data.
    """

    ITEM = "sample"
    VALIDATE_EVERY = 200
    COLUMNS = ("update", "samples", "train_loss", "rmsd_before", "rmsd_after", "distances_before", "distances_after",
               "learning_rate", "seconds")  # fmt: skip

    def __init__(
        self,
        relaxations: PackedRelaxations,
        folder: str | Path,
        config: RefineConfig | None = None,
        progress: bool = True,
    ):
        self.config = config or RefineConfig()
        self.folder = existing_folder(folder)
        self.data_sha256 = relaxations.sha256
        # Before the data are prepared, which takes a while.
        state = self._checkpoint()
        self.train, self.validation = (
            self._prepared(relaxations.subset(split), progress) for split in ("train", "validation")
        )
        if not self.train or not self.validation:
            raise TrainingError("no molecule to train on, or none for validation: both are needed")
        torch.manual_seed(self.config.seed)
        self._begin(RefineNetwork(**self.config.network))
        self._resume(state)

    def _prepared(self, relaxations, progress):
        found = []
        with progress_bar(len(relaxations), progress, "molecule") as tick:
            for relaxation in relaxations:
                molecule = RefineMolecule(relaxation, self.config.window)
                # Two atoms have nothing but their distance.
                if molecule.graph.pairs.shape[1] and molecule.heavy.sum() > 1:
                    found.append(molecule)
                if tick is not None:
                    tick()
        return found

    def _step(self):
        c = self.config
        rng = np.random.default_rng((c.seed, self.update))
        rows = rng.choice(len(self.train), min(c.batch_molecules, len(self.train)), replace=False)
        batch = RefineBatch.drawn([self.train[k] for k in rows], c.columns, rng)
        self._set_rate()
        self.network.train()
        places = self.network(batch.graph, batch.start)
        loss = superposed_rmsd(places[-1], batch).mean() + c.distances * distance_errors(places[-1], batch)
        if c.every_step:
            rmsd = torch.stack([superposed_rmsd(x, batch).mean() for x in places[:-1]])
            loss = loss + c.every_step * rmsd.mean()
        self._descend(loss, len(rows) * c.columns)
        return float(loss.detach())

    @torch.no_grad()
    def _log(self):
        """One line of the log: how far validation samples are from their minima, before and after."""
        network, figures, counts = self.average.module.eval(), [], []
        rng = np.random.default_rng(0)
        for start in range(0, len(self.validation), VALIDATION_MOLECULES):
            molecules = self.validation[start : start + VALIDATION_MOLECULES]
            batch = RefineBatch.drawn(molecules, VALIDATION_COLUMNS, rng)
            places = batch.start, network(batch.graph, batch.start)[-1]
            row = [float(superposed_rmsd(x, batch).mean()) for x in places]
            figures.append(row + [float(distance_errors(x, batch)) for x in places])
            counts.append(len(molecules))
        values = np.average(figures, axis=0, weights=counts).tolist()
        train_loss, self._losses = float(np.nanmean(self._losses)), []
        self._add_row(train_loss, *values)


def load_refine_network(folder: str | Path) -> tuple[RefineNetwork, RefineConfig, dict]:
    """Read the averaged network of a training folder, as `trained_network` does."""
    return trained_network(folder, RefineConfig, lambda c: RefineNetwork(**c.network), "a refinement")
