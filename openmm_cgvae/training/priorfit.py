"""Fit a flow prior alone, to the posterior of a trained model."""

import copy
import math

import torch

from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.models.flow import Flow
from openmm_cgvae.training.fit import Fit
from openmm_cgvae.training.posterior import noise_like

__all__ = ["fit_prior"]

BATCH = 128
LEARNING_RATE = 1e-3
EMA_DECAY = 0.99
# Updates between validations, and draws of noise and time in each.
CHECK_EVERY, DRAWS = 50, 4
# Gains (`Flow.gain`) above this are penalised. An atom then moves by about three times as many nm per nm of the
# beads, so that rounding these to float32 (6e-8 nm at 1 nm) moves no atom by 1e-5 nm.
GAIN_BOUND = 12.0
# Updates between searches for steep samples, and structures sampled in each search.
REFRESH, CANDIDATES, STEEPEST = 4, 2048, 64
# Structures sampled at once.
CHUNK = 1024


def fit_prior(prior, posterior, validation, updates, smoothing=0.0, seed=0, on_update=None, seconds=math.inf):
    """Train a flow prior further, alone.

    Kept are the weights (a moving average) with the lowest loss on the validation frames.

    Where a flow divides its paths between two modes, a sample moves very far with the beads, which `smoothing`
    bounds. By the continuity equation no sampler can do without: the mass m of a mode changes with the beads X, and
    what crosses to the next mode moves by at least |dm/dX| / p, with p the probability density between the two.
    Penalising the steepest samples finds where p must be raised, or m(X) made smoother, and leaves all else to flow
    matching. Raising p has its price. Of alanine dipeptide on 3 beads, whose MD never has phi between -30 and 20
    degrees, 1.5 % of the samples do when smoothed (0.07, 2,000 updates) and 0.2 % when not, while the largest error
    that rounding the beads to float32 makes falls from 1.2e-4 to 1e-5 nm. So it is not done unless asked for.

    Parameters
    ----------
    prior : Flow
        Changed in place.
    posterior, validation : Posterior
        Of the training and validation frames.
    updates : int
        The learning rate falls to zero over them.
    smoothing : float
        Weight of the penalty on steep samples. With one the last weights are kept, since the loss on the validation
        frames does not say how steep they are.
    seed : int
        Of batches and noise.
    on_update : callable, optional
        Called without arguments after every update, to show progress.
    seconds : float
        End after this, with a learning rate that has fallen to zero by then.

    Returns
    -------
    float
        Matching loss of the weights kept, on the validation frames.

    Raises
    ------
    SettingsError
        If it is another prior.
    """
    if not isinstance(prior, Flow):
        raise SettingsError(f"a model with a {type(prior).__name__} given: only a flow prior can be fitted alone")
    generator = torch.Generator().manual_seed(seed)
    # Of dropout.
    torch.manual_seed(seed)
    prior.standardise(posterior.mean, posterior.deviation)
    fit = Fit([prior], updates, LEARNING_RATE, EMA_DECAY, seconds=seconds)
    average = fit.averaged[0]
    best, kept, update = float("inf"), prior.state_dict(), 0
    prior.train()
    while not fit.done:
        drawn = posterior.sample(posterior.draw_rows(BATCH, generator), generator)
        loss = prior.matching_loss(*drawn, generator)
        if smoothing:
            if update % REFRESH == 0:
                steepest = _steepest(prior, posterior, generator)
            loss = loss + smoothing * torch.relu(prior.gain(*steepest) / GAIN_BOUND - 1).mean()
        fit.update(loss)
        if fit.done or (update % CHECK_EVERY == 0 and not smoothing):
            measured = _validation_loss(average, validation)
            if smoothing or measured < best:
                best, kept = measured, copy.deepcopy(average.state_dict())
        if on_update is not None:
            on_update()
        update += 1
    prior.load_state_dict(kept)
    prior.eval()
    return best


@torch.no_grad()
def _validation_loss(prior, posterior):
    # The same noise every time, so that two losses differ by the weights alone.
    generator = torch.Generator().manual_seed(0)
    prior.eval()
    rows = torch.arange(len(posterior.beads))
    draws = [prior.matching_loss(*posterior.sample(rows, generator), generator) for _ in range(DRAWS)]
    return float(sum(draws)) / DRAWS


@torch.no_grad()
def _steepest(prior, posterior, generator):
    """Beads, noise and direction of the steepest of many samples."""
    rows = posterior.draw_rows(CANDIDATES, generator)
    beads = posterior.beads[rows]
    drawn = beads, noise_like(posterior.mean[rows], generator), noise_like(beads, generator)
    gain = torch.cat([prior.gain(*part) for part in zip(*(values.split(CHUNK) for values in drawn), strict=True)])
    kept = gain.topk(STEEPEST).indices
    return tuple(values[kept] for values in drawn)
