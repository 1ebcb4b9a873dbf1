"""Numbers and times of the frames that a reporter writes, for every kind of integrator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openmm_cgvae.core.units import value_in_md_units

__all__ = ["FrameClock"]


@dataclass(frozen=True)
class FrameClock:
    """Tells frame numbers and times of a run by its step count, in 64 bits.

    Parameters
    ----------
    interval : int
        Steps between frames.
    step_ps : float or None
        None of an integrator whose steps have no fixed length, or none at all (``CustomIntegrator(0)``).
    variable : bool
        Whether the Context's own time is to be asked.
    """

    interval: int
    step_ps: float | None
    variable: bool

    @classmethod
    def of(cls, simulation, interval):
        """The clock of a simulation's integrator."""
        integrator = simulation.integrator
        variable = type(integrator).__name__.startswith("Variable")
        step = value_in_md_units(integrator.getStepSize())
        return cls(interval, step if step > 0 and not variable else None, variable)

    @property
    def spacing_ps(self):
        """Time between frames; None where it is not fixed or not known."""
        return None if self.step_ps is None else self.interval * self.step_ps

    def frame(self, simulation):
        """Number of the current frame: the step divided by the interval."""
        return simulation.currentStep // self.interval

    def time(self, simulation):
        """Time of the current step in ps, None where it is not known."""
        if self.step_ps is not None:
            return self.frame(simulation) * self.spacing_ps
        return value_in_md_units(simulation.context.getTime()) if self.variable else None

    def coming(self, simulation):
        """Times (k,) of the frames from the current one on, as far as they are known, or None."""
        now = self.time(simulation)
        if now is None:
            return None
        return np.array([now]) if self.spacing_ps is None else now + np.arange(2) * self.spacing_ps
