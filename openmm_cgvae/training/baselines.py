"""Fit the baselines: a closed form, a plain regression, and bounds read from the reference."""

import logging
import math
import time
from dataclasses import dataclass

import torch

from openmm_cgvae.core.checks import check_ranges, check_types
from openmm_cgvae.core.errors import SettingsError, TrainingError
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.models.baselines import GeometricRelaxation, LinearMap, Perceptron
from openmm_cgvae.models.export import script_model
from openmm_cgvae.training.losses import graph_loss, msd_loss

__all__ = [
    "BASELINES",
    "BaselineConfig",
    "check_baseline",
    "fit_baseline",
    "fit_linear",
    "geometric_reference",
    "train_mlp",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BaselineConfig:
    """How to fit (Table 3 of the paper, both molecules).

    Parameters
    ----------
    epochs, batch_size : int
    learning_rate : float
        Of Adam.
    gamma : float
        Weight of the graph loss.
    ridge : float
        Of the linear map, in units of the beads' mean square spread; it settles what planar or collinear beads
        leave open, and draws atoms towards their beads.
    seed : int
    """

    epochs: int = 500
    batch_size: int = 32
    learning_rate: float = 1e-4
    gamma: float = 5.0
    ridge: float = 1e-6
    seed: int = 0

    def __post_init__(self):
        check_types(self)
        check_ranges(self, positive=("epochs", "batch_size", "learning_rate", "ridge"), zero=("gamma",))


def fit_linear(dataset, frames, config=None, max_minutes=math.inf, progress=False):
    """Fit a `LinearMap`: least squares, then the paper's objective L_MSD + gamma L_graph from there.

    Since M dx = 0 for every training frame, M x = X holds for the least-squares map by itself.

    Parameters
    ----------
    dataset : Dataset
    frames : int array
        Frames to fit to.
    config : BaselineConfig, optional
        With ``gamma=0`` least squares, which is in closed form, is all.
    max_minutes : float
        Stop after the epoch that ends after this.
    progress : bool

    Returns
    -------
    LinearMap
        Its attribute ``epochs_done`` says how far the time went.

    Raises
    ------
    TrainingError
        If the loss becomes infinite or NaN.
    """
    config = config or BaselineConfig()
    model = LinearMap(dataset.spec)
    x = _angstrom(dataset, frames).double()
    X = model.project(x)
    dx = x - X[:, model.assignment]
    X = X - X.mean(1, keepdim=True)
    gram = torch.einsum("bix,bjx->ij", X, X)
    gram += config.ridge * gram.trace() / len(gram) * torch.eye(len(gram))
    cross = torch.einsum("bix,bjx->ij", dx, X)
    with torch.no_grad():
        # A single bead has no spread at all, which the pseudo-inverse turns into no displacement.
        model.coefficients.copy_(cross @ torch.linalg.pinv(gram, hermitian=True))
    return _descend(model, dataset, frames, config, max_minutes if config.gamma else 0.0, progress)


def train_mlp(dataset, frames, config=None, max_minutes=math.inf, progress=False):
    """Train a `Perceptron` with the paper's objective; parameters, result and errors are those of `fit_linear`."""
    config = config or BaselineConfig()
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(config.seed)
        model = Perceptron(dataset.spec)
    return _descend(model, dataset, frames, config, max_minutes, progress)


def _descend(model, dataset, frames, config, max_minutes, progress):
    """Minimise L_MSD + gamma L_graph by Adam."""
    pairs = torch.as_tensor(dataset.spec.graph_pairs)
    x = _angstrom(dataset, frames)
    X = model.project(x)
    x, X = x - X.mean(1, keepdim=True), X - X.mean(1, keepdim=True)
    generator = torch.Generator().manual_seed(config.seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    started = time.monotonic()
    with progress_bar(total=config.epochs, unit="epoch", leave=False, shown=progress) as bar:
        while model.epochs_done < config.epochs and time.monotonic() - started < 60 * max_minutes:
            for batch in torch.randperm(len(x), generator=generator).split(config.batch_size):
                predicted = _atoms(model, X[batch])
                loss = msd_loss(predicted, x[batch]) + config.gamma * graph_loss(predicted, x[batch], pairs)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            if not torch.isfinite(loss):
                raise TrainingError(f"loss of epoch {model.epochs_done + 1} is {loss.item()}: lower learning_rate")
            model.epochs_done += 1
            bar.update()
    return model.eval()


def _atoms(model, X):
    """Atoms of beads about their centre, as a model without noise places them."""
    return X[:, model.assignment] + model.recentred(model.displace(X, X.new_empty(0)))


def geometric_reference(dataset, frames, config=None, max_minutes=math.inf, progress=False):
    """Read the bounds of a `GeometricRelaxation` from reference frames; the parameters are those of `fit_linear`."""
    model = GeometricRelaxation(dataset.spec)
    with torch.no_grad():
        model.calibrate(_angstrom(dataset, frames))
    return model.eval()


BASELINES = {"linear": fit_linear, "mlp": train_mlp, "geometric": geometric_reference}


def check_baseline(kind):
    """Refuse a name that is no baseline (`SettingsError`)."""
    if kind not in BASELINES:
        raise SettingsError(f"baseline {kind!r} given: one of {', '.join(BASELINES)} is expected")


def fit_baseline(kind, dataset, frames, config=None, max_minutes=math.inf, progress=False):
    """Fit the baseline of that name, ``"linear"``, ``"mlp"`` or ``"geometric"``.

    Returns
    -------
    torch.jit.ScriptModule
        As a model file holds it; its attribute ``model.epochs_done`` says how far the time went.

    Raises
    ------
    SettingsError
        If there is no such baseline.
    """
    check_baseline(kind)
    model = BASELINES[kind](dataset, frames, config, max_minutes, progress)
    logger.info("fitted the %s baseline to %d frames", kind, len(frames))
    return script_model(model)


def _angstrom(dataset, frames):
    """Frames about their first atom in Angstrom, so that float32 keeps its digits; (frames, n, 3)."""
    x = torch.as_tensor(dataset.positions[frames])
    return (x - x[:, :1]) * ANGSTROM_PER_NM
