"""Train a CGVAE: resumable, reproducible, with a log."""

import copy
import csv
import logging
import math
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from openmm_cgvae.core.device import usable_device
from openmm_cgvae.core.errors import TrainingError
from openmm_cgvae.core.fingerprint import fingerprint, weights_fingerprint
from openmm_cgvae.core.lock import locking
from openmm_cgvae.core.output import complete_output, existing_folder
from openmm_cgvae.core.reading import reading
from openmm_cgvae.io.results import read_log
from openmm_cgvae.models.cgvae import CGVAE
from openmm_cgvae.models.config import ModelConfig, TrainingConfig, config_to_dict
from openmm_cgvae.models.flow import Flow
from openmm_cgvae.training.average import moving_average
from openmm_cgvae.training.budget import Budget
from openmm_cgvae.training.checkpoint import load_start, model_with_weights, read_checkpoint, write_checkpoint
from openmm_cgvae.training.compiled import check_compiler, compile_for_training
from openmm_cgvae.training.dataset import split_runs
from openmm_cgvae.training.distributed import Share, add_up, from_first, rank
from openmm_cgvae.training.losses import graph_loss, kl_divergence, match_hydrogens, msd_loss
from openmm_cgvae.training.polish import polish_decoder
from openmm_cgvae.training.posterior import encode_frames, sharpened
from openmm_cgvae.training.priorfit import fit_prior
from openmm_cgvae.training.progress import progress_bar

__all__ = ["Trainer"]

logger = logging.getLogger(__name__)

TERMS = ("msd", "graph", "kl", "flow")
COLUMNS = ("epoch", "train_loss", "val_loss", *(f"val_{name}" for name in TERMS), "learning_rate", "seconds")
VALIDATION_BATCH = 256
# Number of updates without a finite gradient in an epoch that ends the run.
MAX_BAD_STEPS = 50
# Parts of the time, where there is a limit, for the prior alone and for the polish.
PRIOR_PART, POLISH_PART = 0.1, 0.25


class Trainer:
    """Trains a `CGVAE` on a `Dataset`: ``Trainer(dataset, folder).run()``.

    The folder gets ``checkpoint.pt`` and ``training.csv`` after every epoch. A trainer made on a folder that holds
    a checkpoint goes on from it, and ends with the same weights to the bit as one that was never stopped.

    Where torch's default process group is there, its processes share every batch, and end with the weights of one
    process to rounding (but for dropout, which each draws for itself). The first of them writes the files.

    Parameters
    ----------
    dataset : Dataset
    folder : path
        Created if missing; its parent must exist.
    model_config : ModelConfig
    training_config : TrainingConfig
    device : str or torch.device
    start : dict of str to Tensor, optional
        Weights to start from, as ``ModelFile.load(path).weights`` gives them; random ones if omitted.
    compiled : bool
        See `compile_for_training`.

    Raises
    ------
    SettingsError
        If the folder holds a run with other settings or other data, `start` is of another model, or torch cannot
        compile here.
    """

    def __init__(
        self, dataset, folder, model_config=None, training_config=None, device="cpu", start=None, compiled=False
    ):
        self.model_config = model_config or ModelConfig()
        self.config = training_config or TrainingConfig()
        self.device = usable_device(device)
        if compiled:
            check_compiler()
        self.spec = dataset.spec
        self.data_sha256 = dataset.sha256
        # What else the weights depend on, by their bits at least.
        self._origin = {
            "description_sha256": fingerprint(dataset.description),
            "start": "none" if start is None else weights_fingerprint(start),
            "device": self.device.type,
            "compiled": compiled,
        }
        parts = split_runs(dataset.runs, self.config.validation_fraction, self.config.test_fraction, self.config.seed)
        self.train_frames, self.validation_frames, self.test_frames = parts
        positions = torch.as_tensor(dataset.positions, device=self.device)
        # About each frame's first atom, in Angstrom, so that float32 keeps its digits.
        self.positions = (positions - positions[:, :1]) * 10.0
        torch.manual_seed(self.config.seed)
        # Check before the folder is made, so that an error leaves nothing behind.
        self.model = CGVAE(self.spec, self.model_config).float().to(self.device)
        if start is not None:
            load_start(self.model, start)
        self.folder = existing_folder(folder)
        self._locked = self.folder if rank() == 0 else None
        self.projection = torch.as_tensor(self.spec.projection, dtype=torch.float32, device=self.device)
        self.pairs = torch.as_tensor(self.spec.graph_pairs, device=self.device)
        self.hydrogens = torch.as_tensor(self.spec.equivalent_hydrogens, device=self.device)
        self._calibrate()
        self.average = moving_average(self.model, self.config.ema_decay)
        if compiled:
            compile_for_training(self.model)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.config.learning_rate, fused=True)
        self.scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer,
            patience=self.config.patience,
            factor=self.config.factor,
            min_lr=self.config.min_learning_rate,
        )
        self.epoch = 0
        # Of those that follow the last epoch, and the weights after them.
        self.stages_done, self.finished = 0, {}
        self._resume()

    @torch.no_grad()
    def _calibrate(self):
        """Set bounds and standardisation from the training frames."""
        frames = self._frames(self.train_frames)
        beads = self.projection @ frames
        self.model.bounds.calibrate(frames)
        self.model.encoder.calibrate(frames, beads)
        if isinstance(self.model.prior, Flow):
            self.model.prior.calibrate(beads)

    @property
    def checkpoint_path(self):
        return self.folder / "checkpoint.pt"

    @locking("_locked")
    def run(self, max_minutes=math.inf, progress=True):
        """Train up to the configured number of epochs, or as many as the time allows.

        The prior is then fitted alone and the decoder polished, as ``prior_updates`` and ``polish_updates`` say, or
        for a part each of the time. Learning rates fall as they would have fallen over all epochs and updates.

        Returns
        -------
        CGVAE
            The averaged model, in evaluation mode.
        """
        seconds, stages, took = 60 * max_minutes, self._stages(), 0.0
        epochs = Budget(self.config.epochs, seconds * (1.0 - sum(part for _, updates, part in stages if updates)))
        with progress_bar(self.config.epochs, progress, "epoch", self.epoch, epochs.seconds) as tick:
            while self.epoch < self.config.epochs and from_first(epochs.left > took / 2):
                begun = time.monotonic()
                with self._annealed(epochs) as learning_rate:
                    train_loss = self._train_epoch()
                measured = self.validate()
                self.scheduler.step(measured["val_loss"])
                self.epoch += 1
                row = {"epoch": self.epoch, "train_loss": train_loss, **measured}
                row["learning_rate"] = learning_rate
                row["seconds"] = took = time.monotonic() - begun
                # In this order: a run killed in between does the epoch again and replaces its row.
                self._log(row)
                self._save()
                logger.info(
                    "epoch %d: training loss %.4g, validation loss %.4g", self.epoch, train_loss, row["val_loss"]
                )
                if tick is not None:
                    tick(train=f"{train_loss:.4g}", val=f"{measured['val_loss']:.4g}")
        if not self.checkpoint_path.exists():
            self._save()
        # Without any time for epochs, what was left to do after them is done in full.
        self._finish(stages, seconds if seconds > 0 else math.inf, progress)
        return self.trained_model()

    def trained_model(self):
        """The model to use: averaged weights, evaluation mode, on the CPU."""
        return model_with_weights(self.spec, self.model_config, self.finished or self.average.module.state_dict())

    def _stages(self):
        """The stages that follow the last epoch: what does it, its updates, its part of the time."""
        prior_updates = self.config.prior_updates if isinstance(self.model.prior, Flow) else 0
        polish_updates = self.config.polish_updates
        return (self._fit_prior, prior_updates, PRIOR_PART), (self._polish_decoder, polish_updates, POLISH_PART)

    def _finish(self, stages, seconds, progress):
        """Do the stages that follow the last epoch, or what is left of them."""
        for number, (stage, updates, part) in enumerate(stages):
            if not updates or number < self.stages_done:
                continue
            model = copy.deepcopy(self.average.module)
            model.load_state_dict(self.finished or model.state_dict())
            stage(model.eval(), updates, part * seconds, progress)
            self.stages_done, self.finished = number + 1, model.state_dict()
            self._save()

    def _frames(self, part):
        return self.positions[torch.as_tensor(part, device=self.device)]

    def _fit_prior(self, model, updates, seconds, progress):
        posteriors, steps = [], self.config.posterior_steps
        for part in (self.train_frames, self.validation_frames):
            x = self._frames(part)
            with progress_bar(len(x), progress and steps > 0, "frame") as tick:
                posteriors.append(sharpened(encode_frames(model, x), model, x, self._weighted, steps, tick))
        with progress_bar(updates, progress, "update", seconds=seconds) as tick:
            settings = (updates, self.config.smoothing, self.config.seed, tick, seconds)
            loss = fit_prior(model.prior, *posteriors, *settings)
        logger.info("prior fitted alone: validation loss %.4g", loss)

    def _polish_decoder(self, model, updates, seconds, progress):
        with progress_bar(updates, progress, "update", seconds=seconds) as tick:
            settings = (updates, self.config.geometry, self.config.seed, tick, seconds)
            polish_decoder(model, self._frames(self.train_frames), self._weighted, *settings)

    def _generator(self, purpose):
        seed = np.random.SeedSequence([self.config.seed, self.epoch, purpose]).generate_state(1)[0]
        return torch.Generator().manual_seed(int(seed))

    @contextmanager
    def _annealed(self, epochs):
        """The learning rate of this epoch: that of the plateau schedule, and in the last ones a part of it.

        Those are the last of all epochs, or those in the end of the time that a `Budget` of epochs has.
        """
        (group,) = self.optimizer.param_groups
        scheduled = group["lr"]
        left = self.config.epochs * (1.0 - epochs.part(self.epoch))
        group["lr"] = scheduled * min(1.0, left / (self.config.anneal * self.config.epochs + 1))
        try:
            yield group["lr"]
        finally:
            # Exactly as it was, so that what is given more epochs, or was interrupted, goes on with it.
            group["lr"] = scheduled

    def _train_epoch(self):
        generator = self._generator(0)
        # Of dropout: a resumed run goes on as one that was never stopped.
        torch.manual_seed(generator.initial_seed() + rank())
        frames = torch.as_tensor(self.train_frames)[torch.randperm(len(self.train_frames), generator=generator)]
        total, bad = 0.0, 0
        self.stages_done, self.finished = 0, {}
        self.model.train()
        batches = frames.split(self.config.batch_size)
        for batch in batches:
            terms = self.losses(self.model, self.positions[batch.to(self.device)], generator)
            loss = self._total(terms)
            self.optimizer.zero_grad()
            loss.backward()
            loss = loss.detach()
            add_up([loss, *(p.grad for p in self.model.parameters() if p.grad is not None)])
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
            if not torch.isfinite(norm + loss):
                bad += 1
                if bad > MAX_BAD_STEPS or bad == len(batches):
                    raise TrainingError(
                        f"{bad} updates of epoch {self.epoch + 1} had no finite gradient: "
                        "lower learning_rate, or check the trajectory for broken frames"
                    )
                continue
            self.optimizer.step()
            if self.config.ema_decay > 0:
                self.average.update_parameters(self.model)
            total += loss.double() * len(batch)
        if bad:
            logger.warning("skipped %d updates of epoch %d without a finite gradient", bad, self.epoch + 1)
        if self.config.ema_decay == 0:
            self.average.module.load_state_dict(self.model.state_dict())
        return float(total) / len(frames)

    def losses(self, model, x, generator):
        """The terms of the objective on a batch of frames, (B, n, 3) in Angstrom; of several processes, their parts.

        Noise is drawn for the whole batch, so that it is the same for any number of processes.
        """
        share = Share(len(x))
        x = share.of(x)
        X = self.projection @ x
        mean, log_variance = model.encode(x, X)
        noise = share.of(torch.randn(share.n, *mean.shape[1:], generator=generator)).to(self.device)
        z = mean + torch.exp(0.5 * log_variance) * noise
        terms = self.reconstruction(model.decode(X, z), x)
        if isinstance(model.prior, Flow):
            terms["kl"] = kl_divergence(mean, log_variance)
            if model.training:
                model.prior.observe(share.gathered(z))
            start, t = model.prior.draw_paths(share.n, generator)
            terms["flow"] = model.prior.path_loss(X, z, share.of(start), share.of(t))
        else:
            terms["kl"] = kl_divergence(mean, log_variance, *model.prior.parameters_of(X))
            terms["flow"] = torch.zeros_like(terms["kl"])
        return {name: share.part * value for name, value in terms.items()}

    def reconstruction(self, predicted, x):
        """The terms that compare decoded structures with their frames, each (B, n, 3) in Angstrom."""
        target = match_hydrogens(predicted, x, self.hydrogens) if self.config.permute_hydrogens else x
        return {"msd": msd_loss(predicted, target), "graph": graph_loss(predicted, target, self.pairs)}

    def _weighted(self, predicted, x):
        return self._total(self.reconstruction(predicted, x))

    def _total(self, terms):
        weights = {"msd": 1.0, "graph": self.config.gamma, "kl": self.config.beta, "flow": 1.0}
        return sum(weights[name] * value for name, value in terms.items())

    @torch.no_grad()
    def validate(self):
        """Losses of the averaged model on the held-out validation runs.

        ``val_loss``, which the schedule watches, leaves the flow's own loss out: that one rises while the latents
        still learn to say more.
        """
        model = self.average.module.eval()
        generator = torch.Generator().manual_seed(self.config.seed)
        sums = torch.zeros(len(TERMS), dtype=torch.float64, device=self.device)
        for batch in torch.as_tensor(self.validation_frames).split(VALIDATION_BATCH):
            terms = self.losses(model, self.positions[batch.to(self.device)], generator)
            sums += torch.stack([terms[name] for name in TERMS]).double() * len(batch) / len(self.validation_frames)
        add_up([sums])
        means = dict(zip(TERMS, sums.tolist(), strict=True))
        val_loss = self._total(means) - means["flow"]
        return {"val_loss": val_loss, **{f"val_{name}": value for name, value in means.items()}}

    def _save(self):
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "epoch": self.epoch,
            "stages_done": self.stages_done,
            "finished": self.finished,
            "identity": self._identity(),
        }
        write_checkpoint(self.checkpoint_path, self.spec, state)

    def _identity(self):
        """Settings and data that identify a run; the number of epochs may be raised later."""
        config = replace(self.config, epochs=1)
        return {
            "model": config_to_dict(self.model_config),
            "training": config_to_dict(config),
            "data_sha256": self.data_sha256,
            **self._origin,
        }

    def _resume(self):
        state = read_checkpoint(self.checkpoint_path, self.spec, self._identity(), self.device)
        if state is None:
            return
        with reading(self.checkpoint_path, "checkpoint", "'openmm-cgvae train'", TrainingError):
            for name in ("model", "average", "optimizer", "scheduler"):
                getattr(self, name).load_state_dict(state[name])
            for name in ("epoch", "stages_done", "finished"):
                setattr(self, name, state[name])
        logger.info("resumed from %s after epoch %d", self.checkpoint_path, self.epoch)

    def _log(self, row):
        if rank() > 0:
            return
        path = self.folder / "training.csv"
        rows = []
        if path.exists() and self.epoch > 1:
            rows = [row for row in read_log(path) if int(row["epoch"]) < self.epoch]
        rows.append({name: f"{row[name]:.6g}" for name in COLUMNS})
        with complete_output(path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
