"""A training by updates: what the trainers of proteins and of small molecules share."""

import csv
import logging
import math
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from openmm_cgvae.core.errors import DataError, TrainingError, one_line
from openmm_cgvae.core.fingerprint import check_same_folder
from openmm_cgvae.core.lock import locking
from openmm_cgvae.core.output import complete_output
from openmm_cgvae.core.signals import deferred_interruption
from openmm_cgvae.io.tensors import load_tensors, save_tensors
from openmm_cgvae.training.average import moving_average
from openmm_cgvae.training.progress import progress_bar

__all__ = ["UpdateTrainer"]

logger = logging.getLogger(__name__)

GRADIENT_CLIP = 1.0
# Updates one after another without a finite gradient that end the run.
MAX_BAD_STEPS = 50


class UpdateTrainer:
    """Base of trainers that see a given number of items, resume from ``checkpoint.pt`` and log to ``training.csv``.

    A subclass sets `config`, `folder` and `data_sha256`, calls `_begin` with its network, and gives `_step` (one
    update; returns its losses) and `_log` (one line of the log, by `_add_row`).

    Attributes
    ----------
    ITEM : str
        What is counted; ``config.<ITEM>s`` of them are seen.
    DATA : str
        What the data are called in messages.
    COLUMNS : tuple of str
        Of the log; the update first.
    WARM_UP, VALIDATE_EVERY : int
        Updates over which the learning rate rises, and between two lines of the log.
    """

    ITEM = "conformer"
    DATA = "data"
    COLUMNS: tuple[str, ...] = ()
    WARM_UP, VALIDATE_EVERY = 100, 500

    config: Any
    folder: Path
    data_sha256: str

    @property
    def checkpoint_path(self) -> Path:
        """The checkpoint of the training, which may not be there yet."""
        return self.folder / "checkpoint.pt"

    @property
    def total(self) -> int:
        """Items to see in all."""
        return getattr(self.config, f"{self.ITEM}s")

    def _begin(self, network):
        """Take a network, with its average and optimizer, at the first update."""
        c = self.config
        self.network = network
        self.average = moving_average(network, c.ema_decay)
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=c.learning_rate, weight_decay=c.weight_decay)
        self.update, self.seen, self.seconds = 0, 0, 0.0
        # Losses since the last line of the log, and the last updates without a finite gradient.
        self._losses, self._bad = [], 0

    def _identity(self):
        """Settings and data that identify a run."""
        return {"config": asdict(self.config), "data_sha256": self.data_sha256}

    def _stored_identity(self, state):
        """The identity in a checkpoint."""
        return {"config": state["config"], "data_sha256": state["data_sha256"]}

    def _checkpoint(self):
        """State of this run in the folder, or None; another run's is refused."""
        path = self.checkpoint_path
        if not path.exists():
            return None
        with self._reading():
            state = load_tensors(path, "checkpoint", "'openmm-cgvae train'", DataError)
            stored = self._stored_identity(state)
        check_same_folder(self._identity(), stored, path)
        return state

    @contextmanager
    def _reading(self):
        """Raise whatever is wrong with the checkpoint as one error, which says to remove it."""
        try:
            yield
        except Exception as error:
            raise TrainingError(f"{self.checkpoint_path} cannot be read ({one_line(error)}): remove it") from error

    def _resume(self, state):
        """Go on from the state of a checkpoint, if there is one."""
        if state is None:
            return
        with self._reading():
            self._take(state)
        logger.info("resumed from %s after update %d", self.checkpoint_path, self.update)

    def _take(self, state):
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.update, self.seen, self.seconds = state["update"], state["seen"], state["seconds"]
        self._losses = state.get("losses", [])

    def _state(self):
        return {**self._identity(), "network": self.network.state_dict(), "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(), "update": self.update, "seen": self.seen,
                "seconds": self.seconds, "losses": self._losses}  # fmt: skip

    def _save(self):
        with complete_output(self.checkpoint_path) as temporary:
            save_tensors(temporary, self._state())

    @locking("folder")
    def run(
        self, minutes: float | None = None, validate_every: int | None = None, progress: bool = True
    ) -> torch.nn.Module:
        """Train until all items are seen, or for so many minutes.

        Ctrl-C and SIGTERM end it after the update that is under way; the state is saved, then ``KeyboardInterrupt``
        raised.

        Parameters
        ----------
        minutes : float, optional
        validate_every : int, optional
            Updates between two lines of the log, at which the state is saved; `VALIDATE_EVERY` if omitted.
        progress : bool
            Show a bar.

        Returns
        -------
        torch.nn.Module
            The averaged network.
        """
        every = validate_every or self.VALIDATE_EVERY
        seconds = math.inf if minutes is None else 60 * minutes
        stop = time.monotonic() + seconds
        started = time.monotonic()
        bar = progress_bar(self.total, progress, self.ITEM, self.seen, seconds)
        with deferred_interruption() as interruption, bar as tick:
            while self.seen < self.total and time.monotonic() < stop and not interruption.asked:
                before = self.seen
                self._losses.append(self._step())
                if tick is not None:
                    tick(self.seen - before)
                if self.update % every == 0:
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
        raise NotImplementedError

    def _log(self):
        raise NotImplementedError

    def _set_rate(self):
        """Set the learning rate: rising at first, then down a cosine to a two-hundredth."""
        rate = self.config.learning_rate * min(1.0, (self.update + 1) / self.WARM_UP)
        rate *= 0.5 * (1 + math.cos(math.pi * min(1.0, self.seen / self.total))) + 0.005
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _descend(self, loss, seen):
        """Update the weights and their average by a loss of so many items; skip a gradient that is not finite."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_CLIP)
        if torch.isfinite(norm):
            self.optimizer.step()
            self.average.update_parameters(self.network)
        self._bad = 0 if torch.isfinite(norm) else self._bad + 1
        if self._bad > MAX_BAD_STEPS:
            raise TrainingError(
                f"{self._bad} updates had no finite gradient: lower learning_rate, or check the {self.DATA}"
            )
        self.update += 1
        self.seen += seen

    def _add_row(self, *figures):
        """Put update, items seen, figures, learning rate and seconds at the end of the log.

        A run that was killed before it saved does some updates again: their lines are replaced.
        """
        values = (self.update, self.seen, *figures, self.optimizer.param_groups[0]["lr"], round(self.seconds))
        row = [f"{value:.5g}" if isinstance(value, float) else str(value) for value in values]
        path, rows = self.folder / "training.csv", []
        if path.exists():
            with path.open(newline="") as file:
                rows = [old for old in csv.reader(file) if old and old[0].isdigit() and int(old[0]) < self.update]
        with complete_output(path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([self.COLUMNS, *rows, row])
        logger.info("%s", ", ".join(f"{name} {value}" for name, value in zip(self.COLUMNS, row, strict=True)))
