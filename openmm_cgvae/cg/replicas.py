"""Bead frames of several runs from different starts, in memory."""

import numpy as np

from openmm_cgvae.cg.system import create_cg_simulation, run_steps
from openmm_cgvae.core.progress import progress_bar

__all__ = ["choose_starts", "run_replicas"]


def choose_starts(beads_nm, runs, seed):
    """As many different frames, drawn at random and centred: shapes (frames, N, 3) to (runs, N, 3)."""
    chosen = np.random.default_rng(seed).choice(len(beads_nm), runs, replace=False)
    return beads_nm[chosen] - beads_nm[chosen].mean(1, keepdims=True)


def run_replicas(mapping, potential, starts_nm, steps, interval, seed, progress=False):
    """Run the beads on from every start, one run after the other.

    Parameters
    ----------
    mapping : CGMapping
    potential : CGPotential or LearnedPotential
    starts_nm : numpy.ndarray, shape (runs, N, 3)
        Bead positions, nm.
    steps, interval : int
        Of each run, and between its frames.
    seed : int or sequence of int
        Same seed, same frames to the bit (Reference platform).
    progress : bool

    Returns
    -------
    numpy.ndarray, shape (runs, steps // interval, N, 3)
        nm.

    Raises
    ------
    SettingsError
        If the potential is of other beads.
    SimulationError
        If a run becomes unstable.
    """
    seeds = np.random.default_rng(seed).integers(1, 2**31 - 2, 1 + len(starts_nm))
    simulation = create_cg_simulation(mapping, potential, platform="Reference", seed=seeds[0])
    recorder = _Recorder(interval)
    simulation.reporters.append(recorder)
    steps -= steps % interval
    with progress_bar(total=steps * len(starts_nm), unit="step", unit_scale=True, shown=progress) as bar:
        for start, own in zip(starts_nm, seeds[1:], strict=True):
            simulation.context.setPositions(start)
            simulation.context.setVelocitiesToTemperature(potential.temperature, int(own))
            run_steps(simulation, steps, bar)
    return np.array(recorder.frames).reshape(len(starts_nm), -1, mapping.n_beads, 3)


class _Recorder:
    """A reporter that keeps frames."""

    def __init__(self, interval):
        self.interval = interval
        self.frames = []

    def describeNextReport(self, simulation):
        steps = self.interval - simulation.currentStep % self.interval
        return {"steps": steps, "periodic": False, "include": ["positions"]}

    def report(self, simulation, state):
        self.frames.append(state.getPositions(asNumpy=True)._value)
