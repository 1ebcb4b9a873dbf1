"""Force matching: fit the forces of a `CGEnergy` to what the tabulated potential leaves of the reference forces."""

import copy
import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from openmm_cgvae.core.checks import check_ranges, check_types
from openmm_cgvae.core.errors import DataError, SettingsError, TrainingError, one_line
from openmm_cgvae.core.fingerprint import check_same_folder, fingerprint
from openmm_cgvae.core.lock import locking
from openmm_cgvae.core.output import complete_output
from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.io.tensors import load_tensors, save_tensors
from openmm_cgvae.models.config import ModelConfig
from openmm_cgvae.models.energy import CGEnergy
from openmm_cgvae.training.dataset import split_runs

__all__ = ["ForceError", "ForceMatcher", "ForceMatchingConfig", "force_error"]

logger = logging.getLogger(__name__)

EVALUATION_BATCH = 1024
# The learning rate of the last epoch, as a part of the first.
LAST_RATE = 0.02


@dataclass(frozen=True)
class ForceMatchingConfig:
    """How to fit a `CGEnergy`.

    Parameters
    ----------
    epochs, batch_size : int
    learning_rate : float
        Of Adam in the first epoch; it falls to a fiftieth along a cosine.
    gradient_clip : float
        Largest norm of the gradient.
    validation_fraction, test_fraction : float
        Part of the independent runs (blocks, where there are few) held out.
    seed : int
    """

    epochs: int = 40
    batch_size: int = 128
    learning_rate: float = 2e-3
    gradient_clip: float = 1.0
    validation_fraction: float = 0.1
    test_fraction: float = 0.2
    seed: int = 0

    def __post_init__(self):
        check_types(self)
        check_ranges(self, positive=("epochs", "batch_size", "learning_rate", "gradient_clip"))


@dataclass(frozen=True)
class ForceError:
    """Mean square error of forces a component, (kJ/mol/nm)^2, on runs that training has not seen.

    Parameters
    ----------
    reference : float
        Mean square of the reference forces: the error of no potential at all.
    tabulated, learned : float
        Error of the tabulated potential, and with the learned term.
    standard_error : float or None
        Of the difference of these two, from its scatter over runs; None for a single run.
    runs : int
    """

    reference: float
    tabulated: float
    learned: float
    standard_error: float | None
    runs: int


class ForceMatcher:
    """Fits a `CGEnergy`: ``ForceMatcher(spec, beads, forces, runs).run()``.

    The loss is the mean of |F_learned - (F_reference - F_tabulated)|^2. The weights of the epoch of least error on
    the validation runs are kept, those before the first epoch (no learned term) included.

    Parameters
    ----------
    spec : MoleculeSpec
    beads_nm : numpy.ndarray, shape (frames, N, 3)
    residual : numpy.ndarray, shape (frames, N, 3)
        Reference less tabulated forces in kJ/mol/nm.
    runs : int array, shape (frames,)
        Independent run of every frame.
    model_config : ModelConfig
    config : ForceMatchingConfig
    checkpoint : path, optional
        Written after every epoch; a matcher of the same data and settings goes on from it, to the same bits.

    Raises
    ------
    DataError
        If shapes differ or a number is not finite.
    SettingsError
        If the checkpoint is of other data or settings.
    """

    def __init__(self, spec, beads_nm, residual, runs, model_config=None, config=None, checkpoint=None):
        self.config = config or ForceMatchingConfig()
        self.model_config = model_config or ModelConfig()
        _check(beads_nm, residual, runs)
        parts = split_runs(runs, self.config.validation_fraction, self.config.test_fraction, self.config.seed)
        self.train_frames, self.validation_frames, self.test_frames = parts
        centred = beads_nm - beads_nm.mean(1, keepdims=True)
        self.X = torch.as_tensor(centred * ANGSTROM_PER_NM, dtype=torch.float32)
        self.residual = torch.as_tensor(residual, dtype=torch.float32)
        self.scale = float(self.residual[torch.as_tensor(self.train_frames)].square().mean())
        torch.manual_seed(self.config.seed)
        self.model = CGEnergy(spec, self.model_config)
        self.model.calibrate(self.X[torch.as_tensor(self.train_frames)])
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.config.learning_rate)
        self.best = copy.deepcopy(self.model.state_dict())
        self.history = [self.error(self.validation_frames)]
        self.checkpoint = checkpoint and Path(checkpoint)
        self._resume()

    @locking("checkpoint")
    def run(self, progress=None):
        """Train up to the configured number of epochs.

        Parameters
        ----------
        progress : callable, optional
            Called after every epoch with the number of epochs done and the validation error.

        Returns
        -------
        CGEnergy
            Of the best epoch, in evaluation mode.
        """
        for epoch in range(len(self.history) - 1, self.config.epochs):
            self._train_epoch(epoch)
            error = self.error(self.validation_frames)
            if error < min(self.history):
                self.best = copy.deepcopy(self.model.state_dict())
            self.history.append(error)
            self._save()
            logger.info("epoch %d: validation error %.6g", epoch + 1, error)
            if progress is not None:
                progress(epoch + 1, error)
        self.model.load_state_dict(self.best)
        return self.model.eval()

    def _train_epoch(self, epoch):
        config = self.config
        fall = 0.5 * (1 + math.cos(math.pi * epoch / config.epochs))
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * (LAST_RATE + (1 - LAST_RATE) * fall)
        order = np.random.default_rng([config.seed, epoch]).permutation(self.train_frames)
        for batch in torch.as_tensor(order).split(config.batch_size):
            loss = (self._forces(batch, True) - self.residual[batch]).square().mean() / self.scale
            self.optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.gradient_clip)
            if not torch.isfinite(norm):
                raise TrainingError(f"no finite gradient in epoch {epoch + 1}: lower learning_rate")
            self.optimizer.step()

    def _forces(self, frames, training):
        """Learned forces (B, N, 3) in kJ/mol/nm on some frames."""
        X = self.X[frames].requires_grad_()
        energy = self.model(X).sum()
        return -ANGSTROM_PER_NM * torch.autograd.grad(energy, X, create_graph=training)[0]

    def forces(self, frames):
        """Learned forces on some frames, shape (len(frames), N, 3), kJ/mol/nm."""
        batches = torch.as_tensor(frames).split(EVALUATION_BATCH)
        return torch.cat([self._forces(batch, False).detach() for batch in batches]).numpy()

    def error(self, frames):
        """Mean square error on some frames, (kJ/mol/nm)^2 a component."""
        return float(
            np.square(self.forces(frames) - self.residual[torch.as_tensor(frames)].numpy(), dtype=float).mean()
        )

    def _identity(self):
        """Settings and data that identify a run."""
        sums = [float(t.double().sum()) for t in (self.X.square(), self.residual, self.residual.square())]
        settings = {"model": asdict(self.model_config), "training": asdict(self.config), "data": sums}
        parts = (self.train_frames, self.validation_frames, self.test_frames)
        return settings | {"data_sha256": fingerprint(self.X.numpy(), self.residual.numpy(), *parts)}

    def _save(self):
        if self.checkpoint is None:
            return
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "best": self.best,
                 "history": self.history, "identity": self._identity()}  # fmt: skip
        with complete_output(self.checkpoint) as temporary:
            save_tensors(temporary, state)

    def _resume(self):
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        try:
            state = load_tensors(self.checkpoint, "checkpoint", "'openmm-cgvae learn-forcefield'", TrainingError)
            check_same_folder(self._identity(), state["identity"], self.checkpoint, "give another, or remove it")
        except SettingsError:
            raise
        except Exception as error:
            raise TrainingError(f"{self.checkpoint} cannot be read ({one_line(error)}): remove it") from error
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best, self.history = state["best"], state["history"]


def force_error(reference, tabulated, learned, runs):
    """Compare two predictions of the same forces.

    Parameters
    ----------
    reference, tabulated, learned : numpy.ndarray, shape (frames, N, 3)
        kJ/mol/nm; `learned` is the whole potential's.
    runs : int array, shape (frames,)

    Returns
    -------
    ForceError
    """
    squares = [np.square(f, dtype=float).mean((1, 2)) for f in (reference, tabulated - reference, learned - reference)]
    gains = np.array([(squares[1] - squares[2])[runs == run].mean() for run in np.unique(runs)])
    error = float(gains.std(ddof=1) / math.sqrt(len(gains))) if len(gains) > 1 else None
    return ForceError(*(float(s.mean()) for s in squares), error, len(gains))


def _check(beads_nm, residual, runs):
    if beads_nm.shape != residual.shape or len(runs) != len(beads_nm):
        raise DataError(
            f"beads of shape {beads_nm.shape}, forces of shape {residual.shape} and {len(runs)} run numbers given: "
            "as many of each are expected"
        )
    if not (np.isfinite(beads_nm).all() and np.isfinite(residual).all()):
        raise DataError("bead positions or forces hold NaN or infinity: leave such frames out")
