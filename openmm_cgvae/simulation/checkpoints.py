"""A checkpoint reporter whose checkpoints are never ahead of the trajectories that are written beside it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import openmm

from openmm_cgvae.core.checks import checked_count
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.output import check_output, complete_output

if TYPE_CHECKING:
    from typing import Any

    from openmm import app

    from openmm_cgvae.core.types import PathLike

__all__ = ["CheckpointReporter"]


class CheckpointReporter:
    """Saves checkpoints, as OpenMM's reporter of that name does, once all frames up to there are on the disk.

    Append it to ``simulation.reporters`` after all others. It flushes those that have a ``flush``, as `BackmapReporter`
    has, whose frames wait in a queue, and then replaces the checkpoint by a complete new one. A run that was killed
    goes on without missing or doubled frames::

        resumed = os.path.exists("run.chk")
        if resumed:
            simulation.loadCheckpoint("run.chk")
        with BackmapReporter("aa.dcd", 500, model, append=resumed, overwrite=True, seed=1) as atoms:
            simulation.reporters += [atoms, CheckpointReporter("run.chk", 10_000)]
            simulation.step(1_000_000 - simulation.currentStep)

    Parameters
    ----------
    file : path
        Replaced by every checkpoint. ``simulation.loadCheckpoint`` reads it, or ``simulation.loadState``.
    reportInterval : int
        Steps between checkpoints; at least that of the trajectories, so that there is a frame before the first.
    writeState : bool
        Write a serialized State in place of a checkpoint: it fits any platform, and does not hold random numbers.

    Raises
    ------
    OutputError
        If the folder is missing.
    SettingsError
        If `reportInterval` is no whole number above 0; when the run begins, if a reporter to be flushed comes after.
    """

    def __init__(self, file: PathLike, reportInterval: int, writeState: bool = False) -> None:
        self._path = check_output(file, overwrite=True)
        self._interval = checked_count("reportInterval", reportInterval)
        self._writeState = writeState

    def describeNextReport(self, simulation: app.Simulation) -> dict[str, Any]:
        """Say when the next checkpoint is due."""
        own = simulation.reporters.index(self)
        if late := [type(other).__name__ for other in simulation.reporters[own:] if hasattr(other, "flush")]:
            raise SettingsError(
                f"{', '.join(late)} appended after a CheckpointReporter, whose checkpoints would be ahead of it: "
                "append the CheckpointReporter last"
            )
        # Positions as BackmapReporter asks for them, since OpenMM calls reporters of such after all others.
        steps = self._interval - simulation.currentStep % self._interval
        return {"steps": steps, "periodic": False, "include": ["positions"]}

    def report(self, simulation: app.Simulation, state: openmm.State) -> None:
        """Flush the other reporters and save a checkpoint.

        Raises
        ------
        CGVAEError or other
            What went wrong with a frame that another reporter had queued; the last checkpoint stays.
        """
        for other in simulation.reporters:
            if hasattr(other, "flush"):
                other.flush()
        with complete_output(self._path) as temporary, open(temporary, "wb") as file:
            file.write(self._content(simulation.context))
            file.flush()
            os.fsync(file.fileno())

    def _content(self, context):
        if not self._writeState:
            return context.createCheckpoint()
        state = context.getState(positions=True, velocities=True, parameters=True, integratorParameters=True)
        return openmm.XmlSerializer.serialize(state).encode()
