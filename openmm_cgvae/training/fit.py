"""Training of parts of a model, shared by prior fitting and decoder polishing."""

import math

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from openmm_cgvae.training.budget import Budget

__all__ = ["Fit"]

GRADIENT_CLIP = 1.0


class Fit:
    """Adam with clipped gradients, a learning rate that falls to zero as a cosine, and a moving average of the weights.

    Parameters
    ----------
    parts : sequence of nn.Module
        Changed in place by every update.
    updates : int
    learning_rate : float
        The highest.
    ema_decay : float
        Of the moving average.
    warm_up : int
        Updates over which the learning rate rises.
    seconds : float
        Time after which it is over too, with a learning rate that has fallen as far.

    Attributes
    ----------
    done : bool
        Whether all updates are done, or the time is over.
    """

    def __init__(self, parts, updates, learning_rate, ema_decay, warm_up=1, seconds=math.inf):
        self.parts = nn.ModuleList(parts)
        self._average = AveragedModel(self.parts, multi_avg_fn=get_ema_multi_avg_fn(ema_decay))
        self._optimizer = torch.optim.Adam(self.parts.parameters(), lr=learning_rate)
        self._highest, self._warm_up, self._step = learning_rate, warm_up, 0
        self._budget = Budget(updates, seconds)
        self._part = self._budget.part(0)

    @property
    def done(self):
        return self._part >= 1.0

    @property
    def averaged(self):
        """The parts with averaged weights; a ModuleList."""
        return self._average.module

    def update(self, loss):
        """Go one step down a loss."""
        (group,) = self._optimizer.param_groups
        rise = min(1.0, (self._step + 1) / self._warm_up)
        group["lr"] = self._highest * rise * 0.5 * (1 + math.cos(math.pi * self._part))
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parts.parameters(), GRADIENT_CLIP)
        self._optimizer.step()
        self._average.update_parameters(self.parts)
        self._step += 1
        self._part = self._budget.part(self._step)
