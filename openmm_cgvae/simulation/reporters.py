"""A reporter of positions whose files have one clock: the step of the simulation, however often it is resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from openmm_cgvae.io.trajectory_files import TrajectoryWriter, box_lengths_and_angles
from openmm_cgvae.simulation.clock import FrameClock

if TYPE_CHECKING:
    from openmm_cgvae.core.types import PathLike

__all__ = ["TrajectoryReporter"]


class TrajectoryReporter:
    """Writes the simulation's positions to DCD, XTC, PDB or mmCIF; a context manager.

    OpenMM's own DCD and XTC reporters count the frames of a file they append to twice, or take the present interval
    for that of the frames before, so that times are wrong; and OpenMM's XTC file ends at step 2^31.

    Parameters
    ----------
    file : path
    reportInterval : int
        Steps between frames.
    append : bool
        Go on with an existing file (.dcd and .xtc), from the step that the simulation is at: later frames are cut off.

    title : str
        Of a new DCD file, a line.

    Raises
    ------
    OutputError
        As `TrajectoryWriter`; at the first report, if the run does not go on where the file ends.
    """

    def __init__(self, file: PathLike, reportInterval: int, append: bool = False, title: str = "") -> None:
        self._file, self._interval, self._append, self._title = file, int(reportInterval), append, title
        self._writer: TrajectoryWriter | None = None
        self._clock: FrameClock | None = None
        self._first: int | None = None

    def describeNextReport(self, simulation):
        """Ask for positions, molecules in the periodic box if there is one."""
        self._first = simulation.currentStep if self._first is None else self._first
        steps = self._interval - simulation.currentStep % self._interval
        return {"steps": steps, "periodic": None, "include": ["positions"]}

    def report(self, simulation, state):
        """Write the current frame."""
        periodic = simulation.system.usesPeriodicBoundaryConditions()
        clock = self._clock or self._open(simulation, periodic)
        time = clock.time(simulation)
        box = (None, None)
        if periodic:
            box = box_lengths_and_angles(state.getPeriodicBoxVectors(asNumpy=True)._value[None])
        positions = state.getPositions(asNumpy=True)._value[None]
        self._writer.write(positions, None if time is None else np.array([time]), *box)

    def _open(self, simulation, periodic):
        self._clock = clock = FrameClock.of(simulation, self._interval)
        self._writer = TrajectoryWriter(self._file, simulation.topology, self._append, title=self._title)
        self._writer.join(clock.coming(simulation), periodic, gaps=clock.variable,
                          before=clock.frame(simulation) - 1, spare=int(bool(self._first)))  # fmt: skip
        return clock

    def flush(self):
        """Have all frames up to now put on the disk."""
        if self._writer is not None:
            self._writer.flush()

    def close(self):
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
