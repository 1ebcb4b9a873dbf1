"""A CG run with all-atom frames: simulation, reporters and files in one call."""

import hashlib
import json
import secrets
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from openmm_cgvae.backmapping.backmapper import as_sampler
from openmm_cgvae.backmapping.reporter import BackmapReporter
from openmm_cgvae.backmapping.system import SystemBackmapper
from openmm_cgvae.cg.box import tiled_topology
from openmm_cgvae.cg.system import create_cg_simulation
from openmm_cgvae.core.errors import OutputError, SettingsError
from openmm_cgvae.core.output import check_output
from openmm_cgvae.simulation.checkpoint import RunCheckpoint, check_checkpoint, run_to
from openmm_cgvae.simulation.reporters import TrajectoryReporter

__all__ = ["RunSummary", "run_and_backmap", "whole_system"]


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
    backmapper = as_sampler(backmapper)
    if not 1 <= reportInterval <= steps:
        given = f"steps={steps}, report interval={reportInterval}"
        raise SettingsError(f"{given} given: an interval from 1 to the number of steps is expected")
    if not resume:
        _check_files(file, cgFile, checkpoint, overwrite)
    elif checkpoint is None:
        raise SettingsError("resume given without a checkpoint: give the file that the run to go on with wrote")
    paths = [Path(path) for path in (file, cgFile) if path is not None]
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
    written = []

    @contextmanager
    def reporters(append):
        atoms = BackmapReporter(
            file, reportInterval, whole, append, minimizer=minimizer, overwrite=overwrite, onBadFrame=onBadFrame,
            **options,
        )  # fmt: skip
        written.append(atoms)
        with atoms, ExitStack() as stack:
            beads = [] if cgFile is None else [stack.enter_context(TrajectoryReporter(cgFile, reportInterval, append))]
            yield [atoms, *beads]

    done, seconds = run_to(simulation, steps, reportInterval, reporters, paths, checkpoint, settings, progress)
    frames, failed = (sum(getattr(atoms, name) for atoms in written) for name in ("n_frames", "n_failed"))
    skipped = {number: reason for atoms in written for number, reason in atoms.skipped.items()}
    return RunSummary(done, frames, failed, seed, seconds, skipped)


def whole_system(backmapper, copies=1, box=None):
    """What backmaps all copies of a run: a `SystemBackmapper`, or the `Backmapper` itself for one molecule."""
    return SystemBackmapper(tiled_topology(backmapper.mapping, copies, box), backmapper) if copies > 1 else backmapper


def _as_settings(potential, given):
    """What a run depends on, in JSON types."""
    digest = hashlib.sha256(json.dumps(potential.to_dict()).encode()).hexdigest()
    return {"potential": digest} | {k: v if k == "seed" else str(v) for k, v in given.items()}


def _check_files(file, cgFile, checkpoint, overwrite):
    check_output(file, overwrite)
    if checkpoint is not None:
        check_checkpoint(checkpoint, file, overwrite)
    if cgFile is not None:
        _check_cg_file(cgFile, file, overwrite)


def _check_cg_file(cgFile, file, overwrite):
    cgFile, file = check_output(cgFile, overwrite), Path(file)
    if cgFile.suffix.lower() != ".dcd":
        raise OutputError(f"output {cgFile} given for the beads: a name ending in .dcd is expected")
    if cgFile.with_suffix("").resolve() == file.with_suffix("").resolve():
        raise OutputError(f"outputs {cgFile} and {file} given: beads and atoms need different names")
