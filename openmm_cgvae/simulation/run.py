"""A CG run with all-atom frames: simulation, reporters and files in one call."""

import inspect
import secrets
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from openmm_cgvae.backmapping.backmapper import as_sampler
from openmm_cgvae.cg.box import tiled_topology
from openmm_cgvae.cg.system import create_cg_simulation, default_platform
from openmm_cgvae.core.errors import OutputError, SettingsError
from openmm_cgvae.core.fingerprint import fingerprint, fingerprint_of
from openmm_cgvae.core.lock import locked
from openmm_cgvae.core.output import check_apart, check_output
from openmm_cgvae.core.units import value_in_md_units
from openmm_cgvae.io.trajectory_files import topology_beside
from openmm_cgvae.simulation.checkpoint import RunCheckpoint, check_checkpoint, output_names, run_id
from openmm_cgvae.simulation.reporter import BackmapReporter
from openmm_cgvae.simulation.reporters import TrajectoryReporter
from openmm_cgvae.simulation.running import begin, run_to
from openmm_cgvae.simulation.system import SystemBackmapper

__all__ = ["RunSummary", "run_and_backmap", "whole_system"]

# What `run_and_backmap` takes that a run to go on with may be given otherwise: how far, how, and what is done with
# files. All else is in the checkpoint.
FREE = {"steps", "overwrite", "progress", "checkpoint", "resume"}


@dataclass(frozen=True)
class RunSummary:
    """Result of `run_and_backmap`.

    Parameters
    ----------
    steps, n_frames, n_failed : int
        Steps run and frames written by this call, structures left unminimised.
    seed : int
    seconds : float
        Wall time.
    skipped : dict of int to str
        Frames left out of the all-atom trajectory by this call, and why.
    """

    steps: int
    n_frames: int
    n_failed: int
    seed: int
    seconds: float
    skipped: dict[int, str] = field(default_factory=dict)


def run_and_backmap(
    backmapper,
    steps,
    reportInterval,
    file,
    cgFile=None,
    nSamples=1,
    seed=None,
    minimizer=None,
    overwrite=False,
    progress=True,
    potential=None,
    correlationTime=None,
    checkpoint=None,
    resume=False,
    onBadFrame="raise",
    **dynamics,
):
    """Run a model's own CG system and write all-atom frames as it goes.

    Parameters
    ----------
    backmapper : Backmapper, or str or path
        Of a model with a CG potential, unless one is given.
    steps, reportInterval : int
        Steps in all, those before `resume` included.
    file : path
        All-atom trajectory (.dcd, .xtc, .pdb; .dcd with a checkpoint).
    cgFile : path, optional
        Trajectory of the beads (.dcd).
    nSamples, seed, minimizer, overwrite, correlationTime, onBadFrame
        As in `BackmapReporter`; the seed also sets velocities and thermostat, and the minimizer is of `whole_system`.
    progress : bool
    potential : CGPotential, optional
        Instead of the model's own.
    checkpoint : path, optional
        Written when the run begins, every 20,000 steps or so, and at the end.
    resume : bool
        Go on from `checkpoint`; frames written after it are written again. The run is the same to the bit as one that
        was not interrupted, where OpenMM's checkpoints allow (on the Reference platform they do): its model,
        potential, minimizer, settings and outputs must be those it was begun with.
    **dynamics
        ``temperature``, ``friction``, ``timeStep``, ``platform``, ``copies``, ``box`` of `create_cg_simulation`.

    Returns
    -------
    RunSummary

    Raises
    ------
    SettingsError, OutputError, DataError
        Before anything is run.
    SimulationError
        If the run becomes unstable; the frames up to then are in the files, and the last good state is in
        ``<file>-last-state.xml``, as ``Simulation.saveState`` writes it.
    """
    given = {**locals(), **dynamics}
    backmapper = given["backmapper"] = as_sampler(backmapper)
    if not 1 <= reportInterval <= steps:
        numbers = f"steps={steps}, report interval={reportInterval}"
        raise SettingsError(f"{numbers} given: an interval from 1 to the number of steps is expected")
    _check_files(file, cgFile, checkpoint, overwrite or resume)
    if resume and checkpoint is None:
        raise SettingsError("resume given without a checkpoint: give the file that the run to go on with wrote")
    potential = given["potential"] = backmapper.cg_potential() if potential is None else potential
    paths = [Path(path) for path in (file, cgFile) if path is not None]
    with locked(checkpoint, *paths):
        saved = RunCheckpoint.load(checkpoint) if resume else None
        if seed is None:
            seed = given["seed"] = saved.settings.get("seed") if saved else secrets.randbits(63)
        settings = None if checkpoint is None else _settings(given)
        if saved:
            saved.check(settings, checkpoint, paths)
        simulation = create_cg_simulation(backmapper.mapping, potential, seed=seed, **dynamics)
        if saved:
            saved.restore(simulation, paths)
        else:
            begin(simulation, paths, checkpoint, settings)
        title = "" if settings is None else f"run {run_id(settings)}"
        atoms = BackmapReporter(
            file, reportInterval, whole_system(backmapper, dynamics.get("copies", 1), dynamics.get("box")),
            Path(file).is_file(), nSamples=nSamples, seed=seed, minimizer=minimizer, correlationTime=correlationTime,
            onBadFrame=onBadFrame, title=title,
        )  # fmt: skip
        done, seconds = run_to(
            simulation, steps, reportInterval, _reporters(atoms, cgFile, reportInterval, title), paths, checkpoint,
            settings, progress,
        )  # fmt: skip
    return RunSummary(done, atoms.n_frames, atoms.n_failed, seed, seconds, atoms.skipped)


@contextmanager
def _reporters(atoms, cgFile, reportInterval, title):
    """The reporters of a run, closed at its end; they go on with files that are there."""
    with atoms, ExitStack() as stack:
        if cgFile is None:
            yield [atoms]
        else:
            beads = TrajectoryReporter(cgFile, reportInterval, Path(cgFile).is_file(), title)
            yield [atoms, stack.enter_context(beads)]


def whole_system(backmapper, copies=1, box=None):
    """What backmaps all copies of a run: a `SystemBackmapper`, or the `Backmapper` itself for one molecule."""
    return SystemBackmapper(tiled_topology(backmapper.mapping, copies, box), backmapper) if copies > 1 else backmapper


def _settings(given):
    """What a run depends on, in JSON types: all arguments but those in FREE, objects by hashes."""
    # Of these the platform depends, which would be named in their place.
    defaults = {"copies": 1, "box": None} | {
        name: parameter.default
        for name, parameter in inspect.signature(create_cg_simulation).parameters.items()
        if name not in ("mapping", "start")
    }
    names = output_names(given["checkpoint"], file=given["file"], cgFile=given["cgFile"])
    given = defaults | {name: value for name, value in given.items() if name not in {*FREE, *names, "dynamics"}}
    potential = given["potential"]
    objects = {
        "backmapper": fingerprint_of(given.pop("backmapper")),
        "minimizer": fingerprint_of(given.pop("minimizer")),
        "potential": fingerprint(given.pop("potential").to_dict()),
    }
    # As the simulation takes them where they are left out.
    usual = {"temperature": potential.temperature, "timeStep": potential.time_step_ps,
             "platform": default_platform(given["box"])}  # fmt: skip
    return (
        names | objects | {name: _plain(usual.get(name) if value is None else value) for name, value in given.items()}
    )


def _plain(value):
    """A number, word or box, with or without units, in JSON types."""
    value = value_in_md_units(value)
    if isinstance(value, bool | str | int | None):
        return value
    array = np.asarray(value_in_md_units(list(value)) if isinstance(value, tuple | list) else value)
    return array.astype(float).tolist() if array.dtype.kind in "iuf" else str(value)


def _check_files(file, cgFile, checkpoint, overwrite):
    check_output(file, overwrite)
    if checkpoint is not None:
        check_checkpoint(checkpoint, file, overwrite)
    if cgFile is not None and check_output(cgFile, overwrite).suffix.lower() != ".dcd":
        raise OutputError(f"output {cgFile} given for the beads: a name ending in .dcd is expected")
    beside = {f"the structure beside {path}": topology_beside(path) for path in (file, cgFile) if path is not None}
    check_apart({"file": file, "cgFile": cgFile, "checkpoint": checkpoint, **beside})
