"""A CG run with all-atom frames: simulation, reporters and files in one call."""

import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from openmm_cgvae.app.cgbox import tiled_topology
from openmm_cgvae.app.cgsystem import create_cg_simulation, run_steps
from openmm_cgvae.app.checkpoint import RunCheckpoint
from openmm_cgvae.app.reporter import BackmapReporter
from openmm_cgvae.app.systembackmapper import SystemBackmapper
from openmm_cgvae.errors import OutputError, SettingsError
from openmm_cgvae.output import check_output

__all__ = ["RunSummary", "run_and_backmap", "whole_system"]

# Between checkpoints, about; a multiple of the report interval.
CHECKPOINT_STEPS = 20_000


@dataclass(frozen=True)
class RunSummary:
    """What `run_and_backmap` did.

    Parameters
    ----------
    steps, n_frames, n_failed : int
        Steps run and frames written by this call, structures left unminimised.
    seed : int
    seconds : float
        Wall time.
    """

    steps: int
    n_frames: int
    n_failed: int
    seed: int
    seconds: float


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
    **dynamics,
):
    """Run a model's own CG system and write all-atom frames as it goes.

    Parameters
    ----------
    backmapper : Backmapper
        Of a model with a CG potential, unless one is given.
    steps, reportInterval : int
        Steps in all, those before `resume` included.
    file : path
        All-atom trajectory (.dcd, .xtc, .pdb; .dcd with a checkpoint).
    cgFile : path, optional
        Trajectory of the beads (.dcd).
    nSamples, seed, minimizer, overwrite, correlationTime
        As in `BackmapReporter`; the seed also sets velocities and thermostat, and the minimizer is of `whole_system`.
    progress : bool
    potential : CGPotential, optional
        Instead of the model's own.
    checkpoint : path, optional
        Written every 20,000 steps or so, and at the end.
    resume : bool
        Go on from `checkpoint`; frames written after it are written again. The run is the same to the bit as one that
        was not interrupted, where OpenMM's checkpoints allow (on the Reference platform they do).
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
    from tqdm.auto import tqdm

    if not 1 <= reportInterval <= steps:
        given = f"steps={steps}, report interval={reportInterval}"
        raise SettingsError(f"{given} given: an interval from 1 to the number of steps is expected")
    if not resume:
        _check_files(file, cgFile, checkpoint, overwrite)
    elif checkpoint is None:
        raise SettingsError("resume given without a checkpoint: give the file that the run to go on with wrote")
    paths = [Path(path) for path in (file, cgFile) if path is not None]
    lastState = paths[0].with_name(f"{paths[0].stem}-last-state.xml")
    potential = backmapper.cg_potential() if potential is None else potential
    saved = RunCheckpoint.load(checkpoint) if resume else None
    if seed is None:
        seed = saved.settings["seed"] if saved else secrets.randbits(63)
    options = {"nSamples": nSamples, "seed": seed, "correlationTime": correlationTime}
    settings = _as_settings(potential, {"reportInterval": reportInterval, **options, **dynamics})
    if saved:
        saved.check(settings)
    simulation = create_cg_simulation(backmapper.mapping, potential, seed=seed, **dynamics)
    if saved:
        saved.restore(simulation, paths)
    whole = whole_system(backmapper, dynamics.get("copies", 1), dynamics.get("box"))
    started, first, frames, failed = time.perf_counter(), simulation.currentStep, 0, 0
    # Files are complete when their reporters are closed, which is when a checkpoint can be taken.
    segment = steps if checkpoint is None else -(-CHECKPOINT_STEPS // reportInterval) * reportInterval
    with tqdm(total=steps, initial=first, unit="step", unit_scale=True, delay=3, disable=not progress) as bar:
        while (todo := steps - simulation.currentStep) > 0:
            append = simulation.currentStep > 0
            atoms = BackmapReporter(
                file, reportInterval, whole, append, minimizer=minimizer, overwrite=overwrite, **options
            )
            reporters = [atoms, *_cg_reporters(cgFile, reportInterval, append)]
            _run_segment(simulation, min(segment, todo), reporters, lastState, bar)
            frames, failed = frames + atoms.n_frames, failed + atoms.n_failed
            if checkpoint is not None:
                RunCheckpoint.take(simulation, settings, paths).save(checkpoint)
    return RunSummary(simulation.currentStep - first, frames, failed, seed, time.perf_counter() - started)


def whole_system(backmapper, copies=1, box=None):
    """What backmaps all copies of a run: a `SystemBackmapper`, or the `Backmapper` itself for one molecule."""
    return SystemBackmapper(tiled_topology(backmapper.mapping, copies, box), backmapper) if copies > 1 else backmapper


def _as_settings(potential, given):
    """What a run depends on, in JSON types."""
    digest = hashlib.sha256(json.dumps(potential.to_dict()).encode()).hexdigest()
    return {"potential": digest} | {k: v if k == "seed" else str(v) for k, v in given.items()}


def _cg_reporters(file, interval, append):
    from openmm.app import DCDReporter

    return [] if file is None else [DCDReporter(str(file), interval, append)]


def _run_segment(simulation, steps, reporters, lastState, bar):
    """Run until all files are complete; the first reporter is that of the atoms."""
    with reporters[0]:
        simulation.reporters.extend(reporters)
        try:
            run_steps(simulation, steps, bar, lastState)
        finally:
            # OpenMM's reporter closes its file when it goes.
            simulation.reporters.clear()
            reporters.clear()


def _check_files(file, cgFile, checkpoint, overwrite):
    check_output(file, overwrite)
    if checkpoint is not None:
        check_output(checkpoint, overwrite)
        if Path(file).suffix.lower() != ".dcd":
            raise OutputError(f"output {file} given with a checkpoint: a name ending in .dcd is expected")
    if cgFile is not None:
        _check_cg_file(cgFile, file, overwrite)


def _check_cg_file(cgFile, file, overwrite):
    cgFile, file = check_output(cgFile, overwrite), Path(file)
    if cgFile.suffix.lower() != ".dcd":
        raise OutputError(f"output {cgFile} given for the beads: a name ending in .dcd is expected")
    if cgFile.with_suffix("").resolve() == file.with_suffix("").resolve():
        raise OutputError(f"outputs {cgFile} and {file} given: beads and atoms need different names")
