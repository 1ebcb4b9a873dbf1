"""Train the torsion network of any small molecule: resumable, reproducible, with a log."""

import csv
import json
import logging
import math
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from openmm_cgvae.conformers.ensembles import PackedEnsembles
from openmm_cgvae.conformers.torsionbatch import TorsionBatch, TorsionEnsemble, torsion_loss
from openmm_cgvae.conformers.torsionconfig import TorsionConfig
from openmm_cgvae.core.errors import SettingsError, TrainingError, one_line
from openmm_cgvae.core.output import complete_output, existing_folder
from openmm_cgvae.core.signals import deferred_interruption
from openmm_cgvae.io.tensors import load_tensors, save_tensors
from openmm_cgvae.ligands.torsionnet import LigandNetwork
from openmm_cgvae.training.average import moving_average
from openmm_cgvae.training.progress import progress_bar

__all__ = ["TorsionTrainer", "load_torsion_network", "read_torsion_data"]

logger = logging.getLogger(__name__)

COLUMNS = ("update", "conformers", "train_loss", "nothing_known", "half_known", "learning_rate", "seconds")
GRADIENT_CLIP = 1.0
WARM_UP = 200
# Updates one after another without a finite gradient that end the run.
MAX_BAD_STEPS = 50
# Molecules of a batch, and conformers of each, that validation is measured on.
VALIDATION_MOLECULES, VALIDATION_COLUMNS = 16, 4


class TorsionTrainer:
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
        self._check_checkpoint()
        self.train = self._prepared(ensembles.subset("train"), progress)
        self.validation = self._prepared(ensembles.subset("validation"), progress)
        if not self.train or not self.validation:
            raise TrainingError("no molecule to train on, or none for validation, turns about a bond: both are needed")
        self.chances = [molecule.chances(self.config.temperature) for molecule in self.train]
        torch.manual_seed(self.config.seed)
        self.network = LigandNetwork(**self.config.network, dropout=self.config.dropout)
        self.average = moving_average(self.network, self.config.ema_decay)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=self.config.learning_rate, weight_decay=self.config.weight_decay
        )
        self.update, self.seen, self.seconds = 0, 0, 0.0
        # Losses since the last line of the log, and the last updates without a finite gradient.
        self._losses, self._bad = [], 0
        self._resume()
        self._write_data(ensembles)

    @property
    def checkpoint_path(self) -> Path:
        return self.folder / "checkpoint.pt"

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
        with complete_output(self.folder / "data.json") as temporary:
            temporary.write_text(json.dumps(known, indent=1) + "\n")

    def _identity(self):
        """Settings and data that identify a run."""
        return {"config": asdict(self.config), "data_sha256": self.data_sha256}

    def _check_checkpoint(self):
        """Refuse a folder of another run before the data are prepared, which takes a while."""
        state = _read_checkpoint(self.checkpoint_path)
        if state is not None and {name: state.get(name) for name in ("config", "data_sha256")} != self._identity():
            raise SettingsError(
                f"{self.checkpoint_path} is of a run with other settings or data: give another folder, or remove it"
            )

    def _resume(self):
        state = _read_checkpoint(self.checkpoint_path)
        if state is None:
            return
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.update, self.seen, self.seconds = state["update"], state["seen"], state["seconds"]
            self._losses = state["losses"]
            torch.set_rng_state(state["random"])
        except Exception as error:
            raise TrainingError(f"{self.checkpoint_path} cannot be read ({type(error).__name__}): remove it") from error
        logger.info("resumed from %s after update %d", self.checkpoint_path, self.update)

    def _save(self):
        state = {**self._identity(), "network": self.network.state_dict(), "average": self.average.state_dict(),
                 "optimizer": self.optimizer.state_dict(), "update": self.update, "seen": self.seen,
                 "seconds": self.seconds, "losses": self._losses, "random": torch.get_rng_state()}  # fmt: skip
        with complete_output(self.checkpoint_path) as temporary:
            save_tensors(temporary, state)

    def run(self, minutes: float | None = None, validate_every: int = 500, progress: bool = True) -> LigandNetwork:
        """Train until all conformers are seen, or for so many minutes.

        Ctrl-C and SIGTERM end it after the update that is under way; the state is saved, then ``KeyboardInterrupt``
        raised.

        Parameters
        ----------
        minutes : float, optional
        validate_every : int
            Updates between two lines of the log, at which the state is saved.
        progress : bool
            Show a bar.

        Returns
        -------
        LigandNetwork
            The averaged network.
        """
        stop = time.monotonic() + (math.inf if minutes is None else 60 * minutes)
        started = time.monotonic()
        bar = progress_bar(self.config.conformers, progress, "conformer", self.seen)
        with deferred_interruption() as interruption, bar as tick:
            while self.seen < self.config.conformers and time.monotonic() < stop and not interruption.asked:
                before = self.seen
                self._losses.append(self._step())
                if tick is not None:
                    tick(self.seen - before)
                if self.update % validate_every == 0:
                    self.seconds += time.monotonic() - started
                    self._log()
                    self._save()
                    started = time.monotonic()
            self.seconds += time.monotonic() - started
            if self._losses and not interruption.asked:
                self._log()
            self._save()
        return self.average.module

    def _step(self):
        c = self.config
        rng = np.random.default_rng((c.seed, self.update))
        rows = rng.integers(len(self.train), size=c.batch_molecules)
        noise = (math.radians(c.torsion_noise_degree), math.radians(c.offset_noise_degree))
        batch = TorsionBatch.drawn(
            [self.train[k] for k in rows], [self.chances[k] for k in rows], c.columns, rng, *noise
        )
        rate = c.learning_rate * min(1.0, (self.update + 1) / WARM_UP)
        rate *= 0.5 * (1 + math.cos(math.pi * min(1.0, self.seen / c.conformers))) + 0.005
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        loss = self._loss(self.network, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_CLIP)
        if torch.isfinite(norm):
            self.optimizer.step()
            self.average.update_parameters(self.network)
        self._bad = 0 if torch.isfinite(norm) else self._bad + 1
        if self._bad > MAX_BAD_STEPS:
            raise TrainingError(f"{self._bad} updates had no finite gradient: lower learning_rate, or check the data")
        self.update += 1
        self.seen += c.batch_molecules * c.columns
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
        rate = self.optimizer.param_groups[0]["lr"]
        train_loss, self._losses = float(np.nanmean(self._losses)), []
        values = (self.update, self.seen, train_loss, *values, rate, round(self.seconds))
        row = [f"{value:.5g}" if isinstance(value, float) else str(value) for value in values]
        self._add_row(row)

    def _add_row(self, row):
        """Put a line at the end of the log, after those of updates before it: a run that was killed may have more."""
        path, rows = self.folder / "training.csv", []
        if path.exists():
            with path.open(newline="") as file:
                rows = [old for old in csv.reader(file) if old and old[0].isdigit() and int(old[0]) < self.update]
        with complete_output(path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows, row])
        logger.info("%s", ", ".join(f"{name} {value}" for name, value in zip(COLUMNS, row, strict=True)))


def _read_checkpoint(path):
    """The state in a checkpoint, None where there is none (`TrainingError` if it is damaged)."""
    if not path.exists():
        return None
    try:
        state = load_tensors(path, "checkpoint", "'openmm-cgvae train'", TrainingError)
        return {name: state[name] for name in ("config", "data_sha256")} | state
    except Exception as error:
        raise TrainingError(f"{path} cannot be read ({one_line(error)}): remove it") from error


def load_torsion_network(folder: str | Path) -> tuple[LigandNetwork, TorsionConfig, dict]:
    """Read the averaged network of a training folder.

    Returns
    -------
    network : LigandNetwork
        In evaluation mode.
    config : TorsionConfig
    progress : dict
        ``update``, ``seen`` (conformers), ``seconds``, ``data_sha256``.

    Raises
    ------
    TrainingError
        If there is no checkpoint, or it is damaged or of another model.
    """
    path = Path(folder) / "checkpoint.pt"
    state = _read_checkpoint(path)
    if state is None:
        raise TrainingError(f"checkpoint {path} does not exist: train first with 'openmm-cgvae train'")
    try:
        config = TorsionConfig(**state["config"])
        network = LigandNetwork(**config.network)
        average = {k.removeprefix("module."): v for k, v in state["average"].items() if k.startswith("module.")}
        network.load_state_dict(average)
    except Exception as error:
        raise TrainingError(f"{path} is not of a torsion network of this package: {type(error).__name__}") from error
    return network.eval(), config, {name: state[name] for name in ("update", "seen", "seconds", "data_sha256")}


def read_torsion_data(folder: str | Path) -> dict:
    """What a training folder notes of its data, an empty dict if it does not."""
    path = Path(folder) / "data.json"
    return json.loads(path.read_text()) if path.exists() else {}
