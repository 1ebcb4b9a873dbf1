"""Train CoarsenConf on conformer ensembles: resumable, reproducible, with a log."""

import csv
import logging
import math
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from openmm_cgvae.conformers.coarseconfig import CoarsenConfTraining
from openmm_cgvae.conformers.coarseloss import CoarseData, aligned_rmsd, coarsenconf_losses, joined_batch
from openmm_cgvae.conformers.ensembles import PackedEnsembles
from openmm_cgvae.core.errors import SettingsError, TrainingError, one_line
from openmm_cgvae.core.output import complete_output, existing_folder
from openmm_cgvae.core.signals import deferred_interruption
from openmm_cgvae.io.tensors import load_tensors, save_tensors
from openmm_cgvae.ligands.coarsenconf import CoarsenConf
from openmm_cgvae.ligands.coarsening import N_ROWS
from openmm_cgvae.training.average import moving_average
from openmm_cgvae.training.progress import progress_bar

__all__ = ["CoarsenConfTrainer", "load_trained_coarsenconf"]

logger = logging.getLogger(__name__)

COLUMNS = ("update", "conformers", "loss", "coordinates", "distances", "divergence", "rebuilt_angstrom",
           "sampled_angstrom", "approximate_angstrom", "learning_rate", "seconds")  # fmt: skip
GRADIENT_CLIP = 1.0
WARM_UP = 100
# Updates one after another without a finite gradient that end the run.
MAX_BAD_STEPS = 50
# Pairs of conformers that are validated.
VALIDATED = 60


class CoarsenConfTrainer:
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

    def __init__(self, ensembles: PackedEnsembles, folder: str | Path, config: CoarsenConfTraining | None = None):
        self.config = config or CoarsenConfTraining()
        self.train, validation = (CoarseData(ensembles.subset(split)) for split in ("train", "validation"))
        if not len(self.train.ensembles) or not len(validation.ensembles):
            raise TrainingError("the ensembles have no train or no validation split: both are needed")
        self.validation = self._validated(validation)
        self.data_sha256 = ensembles.sha256
        self.folder = existing_folder(folder)
        torch.manual_seed(self.config.seed)
        self.model = CoarsenConf(self.config.size, N_ROWS)
        c = self.config
        self.average = moving_average(self.model, c.ema_decay)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=c.learning_rate, weight_decay=c.weight_decay)
        self.update, self.seen, self.seconds = 0, 0, 0.0
        # Losses since the last line of the log, and the last updates without a finite gradient.
        self._losses, self._bad = [], 0
        self._resume()

    @property
    def checkpoint_path(self) -> Path:
        return self.folder / "checkpoint.pt"

    @staticmethod
    def _validated(data):
        """The same pairs of conformers every time, of molecules spread over the split."""
        numbers = np.linspace(0, len(data.ensembles) - 1, min(VALIDATED, len(data.ensembles))).astype(int)
        rows = [data.pair(int(k), np.random.default_rng((0, int(k)))) for k in numbers]
        rows = [row for row in rows if row is not None]
        if not rows:
            raise TrainingError("no validation molecule has approximate conformers: sample the ensembles with some")
        return joined_batch(rows)

    def _identity(self):
        """Settings and data that identify a run."""
        return {"config": asdict(self.config), "data_sha256": self.data_sha256}

    def _resume(self):
        path = self.checkpoint_path
        if not path.exists():
            return
        try:
            state = load_tensors(path, "checkpoint", "'openmm-cgvae train'", TrainingError)
            same = {name: state[name] for name in ("config", "data_sha256")} == self._identity()
            if same:
                self.model.load_state_dict(state["network"])
                self.average.load_state_dict(state["average"])
                self.optimizer.load_state_dict(state["optimizer"])
                self.update, self.seen, self.seconds = state["update"], state["seen"], state["seconds"]
                self._losses = state["losses"]
        except Exception as error:
            raise TrainingError(f"{path} cannot be read ({one_line(error)}): remove it") from error
        if not same:
            raise SettingsError(f"{path} is of a run with other settings or data: give another folder, or remove it")
        logger.info("resumed from %s after update %d", path, self.update)

    def _save(self):
        state = {**self._identity(), "network": self.model.state_dict(), "average": self.average.state_dict(),
                 "optimizer": self.optimizer.state_dict(), "update": self.update, "seen": self.seen,
                 "seconds": self.seconds, "losses": self._losses}  # fmt: skip
        with complete_output(self.checkpoint_path) as temporary:
            save_tensors(temporary, state)

    def run(self, minutes: float | None = None, validate_every: int = 200, progress: bool = True) -> CoarsenConf:
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
        CoarsenConf
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
        """One update; returns its loss and the parts of it."""
        c = self.config
        rng = np.random.default_rng((c.seed, self.update))
        batch = self.train.batch(rng, c.batch_atoms)
        noise = torch.from_numpy(rng.standard_normal((len(batch.graph.owner), 3, c.latent), dtype=np.float32))
        moved = torch.from_numpy(rng.standard_normal(batch.x.shape, dtype=np.float32)) * c.context_noise
        parts = coarsenconf_losses(self.model, batch, noise, moved)
        share = min(1.0, self.update / max(1, c.kl_updates))
        loss = parts.coordinates + c.distance_weight * parts.distances + share * c.kl_weight * parts.divergence
        rate = c.learning_rate * min(1.0, (self.update + 1) / WARM_UP)
        rate *= 0.5 * (1 + math.cos(math.pi * min(1.0, self.seen / c.conformers))) + 0.005
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_CLIP)
        if torch.isfinite(norm):
            self.optimizer.step()
            self.average.update_parameters(self.model)
        self._bad = 0 if torch.isfinite(norm) else self._bad + 1
        if self._bad > MAX_BAD_STEPS:
            raise TrainingError(f"{self._bad} updates had no finite gradient: lower learning_rate, or check the data")
        self.update += 1
        self.seen += int(batch.molecule[-1]) + 1
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
        rate = self.optimizer.param_groups[0]["lr"]
        losses, self._losses = np.nanmean(np.array(self._losses), axis=0).tolist(), []
        values = (self.update, self.seen, *losses, *figures, rate, round(self.seconds))
        row = [f"{value:.5g}" if isinstance(value, float) else str(value) for value in values]
        path = self.folder / "training.csv"
        with path.open(newline="") if path.exists() else nullcontext(()) as file:
            # A run that was killed before it saved does some updates again.
            rows = [old for old in list(csv.reader(file))[1:] if int(old[0]) < self.update]
        with complete_output(path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows, row])
        logger.info("update %d: loss %.4f, rebuilt %.3f A, sampled %.3f A", self.update, losses[0], *figures[:2])


def load_trained_coarsenconf(folder: str | Path):
    """Read the averaged network of a training.

    Returns
    -------
    model : CoarsenConf
        In evaluation mode.
    config : CoarsenConfTraining
    progress : dict
        ``update``, ``seen`` (conformers), ``seconds``, ``data_sha256``.

    Raises
    ------
    TrainingError
        If there is no checkpoint, or it is damaged.
    """
    path = Path(folder) / "checkpoint.pt"
    try:
        state = load_tensors(path, "checkpoint", "'openmm-cgvae train'", TrainingError)
        config = CoarsenConfTraining(**state["config"])
        model = CoarsenConf(config.size, N_ROWS)
        weights = {k.removeprefix("module."): v for k, v in state["average"].items() if k.startswith("module.")}
        model.load_state_dict(weights)
        progress = {name: state[name] for name in ("update", "seen", "seconds", "data_sha256")}
    except Exception as error:
        if not Path(path).exists():
            raise TrainingError(f"checkpoint {path} does not exist: train first with 'openmm-cgvae train'") from error
        raise TrainingError(f"{path} is not a checkpoint of CoarsenConf ({one_line(error)})") from error
    return model.eval(), config, progress
