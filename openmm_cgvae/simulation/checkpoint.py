"""Checkpoints of runs that write: the simulation's state, what the run depends on, and its files as they were."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import openmm

from openmm_cgvae.core.archive import read_arrays, write_arrays
from openmm_cgvae.core.errors import DataError, OutputError, SettingsError
from openmm_cgvae.core.fingerprint import check_same_run, fingerprint
from openmm_cgvae.core.output import check_output, complete_output
from openmm_cgvae.core.reading import parsed_json, reading
from openmm_cgvae.core.schema import anything, entries
from openmm_cgvae.simulation.written import WrittenFile

__all__ = ["RunCheckpoint", "check_checkpoint", "output_names", "run_id", "steps_between"]

# Between checkpoints, about.
CHECKPOINT_STEPS = 20_000
FORMAT = "openmm_cgvae run 2"


def run_id(settings):
    """Id of the run of these settings and inputs, which its outputs carry: the same for the same run, 16 digits."""
    return fingerprint(settings)[:16]


def output_names(checkpoint, **outputs):
    """Names of outputs as a checkpoint keeps them: by its folder, so that they may be moved together."""
    folder = os.path.dirname(os.path.realpath(checkpoint))
    return {
        name: None if path is None else os.path.relpath(os.path.realpath(path), folder)
        for name, path in outputs.items()
    }


@dataclass(frozen=True)
class RunCheckpoint:
    """State of a run at one step, from which it continues as if never interrupted.

    ``RunCheckpoint.take(simulation, settings, paths).save(file)`` in between; ``RunCheckpoint.load(file).restore(...)``
    with a new simulation of the same settings. Files that went on after the checkpoint are cut back to it.

    Parameters
    ----------
    settings : dict
        All that the run depends on, JSON types: settings, hashes of inputs, names of outputs.
    files : list of WrittenFile
    state : bytes
        OpenMM's own checkpoint: positions, velocities, random numbers, step. Good for the same platform and version
        only.
    """

    settings: dict
    files: list
    state: bytes

    @property
    def run(self):
        """Id of the run."""
        return run_id(self.settings)

    @classmethod
    def take(cls, simulation, settings, paths):
        """Take the checkpoint of a simulation whose output files are complete up to its step."""
        return cls(settings, [WrittenFile.of(path) for path in paths], simulation.context.createCheckpoint())

    def save(self, path):
        """Write the checkpoint, in place of an earlier one once it is complete."""
        files = [asdict(file) for file in self.files]
        description = json.dumps({"format": FORMAT, "run": self.run, "settings": self.settings, "files": files})
        arrays = {"description": description, "state": np.frombuffer(self.state, dtype=np.uint8)}
        with complete_output(check_output(path, overwrite=True)) as temporary:
            write_arrays(temporary, arrays, compress=False)

    @classmethod
    def load(cls, path):
        """Read a checkpoint; `DataError` if there is none, or it is damaged."""
        with reading(path, "checkpoint of a run", "'openmm-cgvae simulate --checkpoint'", DataError):
            arrays, _ = read_arrays(path)
            description = parsed_json(str(arrays["description"]).encode())
            entries(anything)(description, "description")
            if description.get("format") != FORMAT:
                raise DataError(f"checkpoint {path} is of an older version of this package: begin a new run")
            files = [WrittenFile(**file) for file in description["files"]]
            found = cls(description["settings"], files, arrays["state"].tobytes())
            if found.run != description["run"]:
                raise DataError(f"checkpoint {path} is damaged: begin a new run")
            return found

    def check(self, settings, path, paths):
        """Refuse to go on otherwise than the run was begun.

        Parameters
        ----------
        settings : dict
        path : path
            Of the checkpoint, for the message.
        paths : sequence of path
            The outputs.

        Raises
        ------
        OutputError
            If an output is missing.
        SettingsError
            If a setting, an input or the name of an output is another, which is named.
        """
        for output, file in zip(paths, self.files, strict=False):
            file.check_there(output)
        check_same_run(settings, self.settings, path)

    def restore(self, simulation, paths):
        """Set the simulation and its output files back to the checkpoint.

        Raises
        ------
        OutputError
            If an output file is missing, shorter than it was, or another one; nothing has been touched then.
        SettingsError
            If OpenMM cannot read the state: another platform or version.
        """
        for path, file in zip(paths, self.files, strict=True):
            file.check(path, self.run)
        try:
            simulation.context.loadCheckpoint(self.state)
        except openmm.OpenMMException as error:
            raise SettingsError(
                f"the checkpoint does not fit ({error}): use the platform and the OpenMM it was written with"
            ) from error
        for path, file in zip(paths, self.files, strict=True):
            file.restore(path)


def check_checkpoint(checkpoint, trajectory, overwrite=False):
    """Refuse a checkpoint that may not be written, or a trajectory that could not be cut back to it (`OutputError`)."""
    check_output(checkpoint, overwrite)
    if Path(trajectory).suffix.lower() != ".dcd":
        raise OutputError(f"output {trajectory} given with a checkpoint: a name ending in .dcd is expected")


def steps_between(reportInterval):
    """Steps between two checkpoints, a multiple of the report interval."""
    return -(-CHECKPOINT_STEPS // reportInterval) * reportInterval
