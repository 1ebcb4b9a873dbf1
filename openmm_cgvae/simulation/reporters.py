"""A reporter of positions whose files have one clock: the step of the simulation, however often it is resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from openmm_cgvae.core.units import value_in_md_units
from openmm_cgvae.io.trajectory_files import TrajectoryWriter, box_lengths_and_angles

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

    Raises
    ------
    OutputError
        As `TrajectoryWriter`; at the first report, if the run does not go on where the file ends.
    """

    def __init__(self, file: PathLike, reportInterval: int, append: bool = False) -> None:
        self._file, self._interval, self._append = file, int(reportInterval), append
        self._writer = None

    def describeNextReport(self, simulation):
        """Ask for positions, molecules in the periodic box if there is one."""
        steps = self._interval - simulation.currentStep % self._interval
        return {"steps": steps, "periodic": None, "include": ["positions"]}

    def report(self, simulation, state):
        """Write the current frame."""
        periodic = simulation.system.usesPeriodicBoundaryConditions()
        # In 64 bits: the step counts, not the time that the integrator has added up.
        step = value_in_md_units(simulation.integrator.getStepSize())
        times = (simulation.currentStep + np.arange(2, dtype=np.int64) * self._interval) * step
        if self._writer is None:
            self._writer = TrajectoryWriter(self._file, simulation.topology, self._append)
            self._writer.join(times, periodic)
        box = (None, None)
        if periodic:
            box = box_lengths_and_angles(state.getPeriodicBoxVectors(asNumpy=True)._value[None])
        self._writer.write(state.getPositions(asNumpy=True)._value[None], times[:1], *box)

    def close(self):
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
