"""Runs that write checkpoints: the simulation's state, and its output files as they were at that step."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openmm

from openmm_cgvae.cg.system import run_steps
from openmm_cgvae.core.errors import UNREADABLE_ARCHIVE, DataError, OutputError, SettingsError
from openmm_cgvae.core.output import check_output, complete_output

__all__ = ["RunCheckpoint", "check_checkpoint", "run_to"]

# Between checkpoints, about; a multiple of the report interval.
CHECKPOINT_STEPS = 20_000
# Size of the beginning of a trajectory file, which holds its frame count.
HEAD_BYTES = 4096


@dataclass(frozen=True)
class RunCheckpoint:
    """State of a run at one step, from which it continues as if never interrupted.

    ``RunCheckpoint.take(simulation, settings, paths).save(file)`` in between; ``RunCheckpoint.load(file).restore(...)``
    with a new simulation of the same settings. Files that went on after the checkpoint are cut back to it.

    Parameters
    ----------
    settings : dict
        What the run depends on, JSON types.
    files : list of [int, str]
        Size of every output file, and its first bytes in hexadecimal.
    state : bytes
        OpenMM's own checkpoint: positions, velocities, random numbers. Good for the same platform and version only.
    """

    settings: dict
    files: list
    state: bytes

    @classmethod
    def take(cls, simulation, settings, paths):
        """Take the checkpoint of a simulation whose output files are complete and closed."""
        files = []
        for path in map(Path, paths):
            with open(path, "rb") as file:
                files.append([path.stat().st_size, file.read(HEAD_BYTES).hex()])
        return cls(settings, files, simulation.context.createCheckpoint())

    def save(self, path):
        """Write the checkpoint, in place of an earlier one once it is complete."""
        description = json.dumps({"settings": self.settings, "files": self.files})
        with complete_output(check_output(path, overwrite=True)) as temporary, open(temporary, "wb") as file:
            np.savez(file, description=description, state=np.frombuffer(self.state, dtype=np.uint8))

    @classmethod
    def load(cls, path):
        """Read a checkpoint; `DataError` if there is none."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                description = json.loads(str(arrays["description"]))
                return cls(description["settings"], description["files"], arrays["state"].tobytes())
        except FileNotFoundError as error:
            raise DataError(f"checkpoint {path} does not exist: run without resume first") from error
        except UNREADABLE_ARCHIVE as error:
            raise DataError(
                f"{path} is no checkpoint of a run: what simulate --checkpoint writes is expected"
            ) from error

    def check(self, settings):
        """Refuse other settings than the run was begun with (`SettingsError`)."""
        for name, value in settings.items():
            if self.settings.get(name) != value:
                raise SettingsError(
                    f"{name}={value} given to go on with a run of {name}={self.settings.get(name)}: "
                    "repeat its settings, or begin a new run"
                )

    def restore(self, simulation, paths):
        """Set the simulation and its output files back to the checkpoint.

        Raises
        ------
        OutputError
            If an output file is missing, or shorter than it was.
        SettingsError
            If OpenMM cannot read the state: another platform or version.
        """
        for path, (size, _) in zip(map(Path, paths), self.files, strict=True):
            if not path.is_file() or path.stat().st_size < size:
                raise OutputError(
                    f"output {path} of the run to go on with is missing or shorter than it was: begin anew"
                )
        try:
            simulation.context.loadCheckpoint(self.state)
        except openmm.OpenMMException as error:
            raise SettingsError(
                f"the checkpoint does not fit ({error}): use the platform and the OpenMM it was written with"
            ) from error
        for path, (size, head) in zip(paths, self.files, strict=True):
            with open(path, "r+b") as file:
                file.write(bytes.fromhex(head))
                file.truncate(size)


def check_checkpoint(checkpoint, trajectory, overwrite=False):
    """Refuse a checkpoint that may not be written, or a trajectory that could not be cut back to it (`OutputError`)."""
    check_output(checkpoint, overwrite)
    if Path(trajectory).suffix.lower() != ".dcd":
        raise OutputError(f"output {trajectory} given with a checkpoint: a name ending in .dcd is expected")


def run_to(simulation, steps, reportInterval, reporters, paths, checkpoint=None, settings=None, progress=True):
    """Run up to a step; with a checkpoint every 20,000 steps or so, and at the end.

    Parameters
    ----------
    simulation : openmm.app.Simulation
        Its ``currentStep`` is the one to go on from.
    steps, reportInterval : int
        Steps in all, and between frames.
    reporters : callable
        ``reporters(append)`` is a context manager of the list of reporters, whose files are complete when it ends,
        which is when a checkpoint can be taken.
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
    from tqdm.auto import tqdm

    paths = [Path(path) for path in paths]
    lastState = paths[0].with_name(f"{paths[0].stem}-last-state.xml")
    segment = steps if checkpoint is None else -(-CHECKPOINT_STEPS // reportInterval) * reportInterval
    started, first = time.perf_counter(), simulation.currentStep
    with tqdm(total=steps, initial=first, unit="step", unit_scale=True, delay=3, disable=not progress) as bar:
        while (todo := steps - simulation.currentStep) > 0:
            try:
                with reporters(simulation.currentStep > 0) as simulation.reporters:
                    run_steps(simulation, min(segment, todo), bar, lastState)
            finally:
                simulation.reporters = []
                _remove_empty(paths)
            if checkpoint is not None:
                RunCheckpoint.take(simulation, settings, paths).save(checkpoint)
    return simulation.currentStep - first, time.perf_counter() - started


def _remove_empty(paths):
    """OpenMM's reporters make their file before there is a frame to write."""
    for path in paths:
        if path.is_file() and not path.stat().st_size:
            path.unlink()
