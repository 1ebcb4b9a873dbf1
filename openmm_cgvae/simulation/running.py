"""Run up to a step, with checkpoints that are never ahead of the files that go with them."""

import time
from pathlib import Path

from openmm_cgvae.cg.system import run_steps
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.simulation.checkpoint import RunCheckpoint, steps_between
from openmm_cgvae.simulation.written import remove_output

__all__ = ["begin", "run_to"]


def begin(simulation, paths, checkpoint=None, settings=None):
    """Begin a new run: outputs and checkpoint of an earlier one go, and the first checkpoint is written.

    With that a run can be resumed that is killed before it has written anything.
    """
    if checkpoint is not None:
        # First: it is of the files that go.
        remove_output(checkpoint)
    for path in paths:
        remove_output(path)
    if checkpoint is not None:
        RunCheckpoint.take(simulation, settings, paths).save(checkpoint)


def run_to(simulation, steps, reportInterval, reporters, paths, checkpoint=None, settings=None, progress=True):
    """Run up to a step; with a checkpoint every 20,000 steps or so, and at the end.

    Parameters
    ----------
    simulation : openmm.app.Simulation
        Its ``currentStep`` is the one to go on from.
    steps, reportInterval : int
        Steps in all, and between frames.
    reporters : context manager
        Of the list of reporters, with ``flush``; they append to the files that there are.
    paths : sequence of path
        Their files. Those still empty when the run fails are removed.
    checkpoint : path, optional
    settings : dict, optional
        For `RunCheckpoint`.
    progress : bool

    Returns
    -------
    steps : int
        Run by this call.
    seconds : float
        Wall time.

    Raises
    ------
    SimulationError
        If the run becomes unstable; the last good state is then beside the first file, in
        ``<file>-last-state.xml``, as ``Simulation.saveState`` writes it.
    """
    paths = [Path(path) for path in paths]
    lastState = paths[0].with_name(f"{paths[0].stem}-last-state.xml")
    segment = steps if checkpoint is None else steps_between(reportInterval)
    started, first = time.perf_counter(), simulation.currentStep
    try:
        with (
            progress_bar(total=steps, initial=first, unit="step", unit_scale=True, shown=progress) as bar,
            reporters as simulation.reporters,
        ):
            while (todo := steps - simulation.currentStep) > 0:
                run_steps(simulation, min(segment, todo), bar, lastState)
                if checkpoint is not None:
                    for reporter in simulation.reporters:
                        reporter.flush()
                    RunCheckpoint.take(simulation, settings, paths).save(checkpoint)
    finally:
        simulation.reporters = []
        _remove_empty(paths)
    return simulation.currentStep - first, time.perf_counter() - started


def _remove_empty(paths):
    """No frame was reached: no file that is none."""
    for path in paths:
        if path.is_file() and not path.stat().st_size:
            remove_output(path)
