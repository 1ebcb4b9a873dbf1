"""How much of a training is done, by its steps or by its time."""

import math
import time

from openmm_cgvae.training.distributed import from_first

__all__ = ["Budget"]


class Budget:
    """Steps to be done within a time that begins now: ``budget.part(step)`` tells how far on that step is.

    A learning rate that falls with it has fallen when the time is up, however few steps that allowed. Of several
    processes the first one's clock counts.

    Parameters
    ----------
    steps : int
    seconds : float
        Infinite where steps alone count.
    """

    def __init__(self, steps, seconds=math.inf):
        self.steps, self.seconds = steps, seconds
        self._begun = time.monotonic()

    @property
    def left(self):
        """Seconds left, below zero where the time is over."""
        if math.isinf(self.seconds):
            return self.seconds
        return from_first(self._begun + self.seconds - time.monotonic())

    def part(self, step):
        """How much is used up before a step numbered from 0, from 0 to 1: of the steps or of the time, if more."""
        by_steps = step / self.steps if step < self.steps else 1.0
        if math.isinf(self.seconds):
            return by_steps
        return max(by_steps, 1.0 - max(0.0, self.left) / self.seconds if self.seconds > 0 else 1.0)
