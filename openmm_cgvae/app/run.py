"""A CG run with all-atom frames: simulation, reporters and files in one call."""

import time
from dataclasses import dataclass
from pathlib import Path

from openmm_cgvae.app.cgsystem import create_cg_simulation, run_steps
from openmm_cgvae.app.reporter import BackmapReporter
from openmm_cgvae.errors import OutputError, SettingsError
from openmm_cgvae.output import check_output

__all__ = ["RunSummary", "run_and_backmap"]


@dataclass(frozen=True)
class RunSummary:
    """What `run_and_backmap` did: frames written, structures left unminimised, the seed, and the wall time."""

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
    **dynamics,
):
    """Run a model's own CG system and write all-atom frames as it goes.

    Parameters
    ----------
    backmapper : Backmapper
        Of a model with a CG potential.
    steps, reportInterval : int
    file : path
        All-atom trajectory (.dcd, .xtc, .pdb).
    cgFile : path, optional
        Trajectory of the beads (.dcd).
    nSamples, seed, minimizer, overwrite
        As in `BackmapReporter`; the seed also sets velocities and thermostat.
    progress : bool
    **dynamics
        ``temperature``, ``friction``, ``timeStep``, ``platform`` of `create_cg_simulation`.

    Returns
    -------
    RunSummary

    Raises
    ------
    SettingsError, OutputError
        Before anything is run.
    SimulationError
        If the run becomes unstable; the frames up to then are in the files.
    """
    from openmm.app import DCDReporter

    if not 1 <= reportInterval <= steps:
        given = f"steps={steps}, report interval={reportInterval}"
        raise SettingsError(f"{given} given: an interval from 1 to the number of steps is expected")
    if cgFile is not None:
        _check_cg_file(cgFile, file, overwrite)
    simulation = create_cg_simulation(backmapper.mapping, backmapper.cg_potential(), seed=seed, **dynamics)
    reporter = BackmapReporter(
        file, reportInterval, backmapper, nSamples=nSamples, seed=seed, minimizer=minimizer, overwrite=overwrite
    )
    if cgFile is not None:
        simulation.reporters.append(DCDReporter(str(cgFile), reportInterval))
    started = time.perf_counter()
    with reporter:
        simulation.reporters.append(reporter)
        run_steps(simulation, steps, progress=progress)
    seconds = time.perf_counter() - started
    # OpenMM's reporter closes its file when it goes.
    simulation.reporters.clear()
    return RunSummary(reporter.n_frames, reporter.n_failed, reporter.seed, seconds)


def _check_cg_file(cgFile, file, overwrite):
    cgFile, file = check_output(cgFile, overwrite), Path(file)
    if cgFile.suffix.lower() != ".dcd":
        raise OutputError(f"output {cgFile} given for the beads: a name ending in .dcd is expected")
    if cgFile.with_suffix("").resolve() == file.with_suffix("").resolve():
        raise OutputError(f"outputs {cgFile} and {file} given: beads and atoms need different names")
