"""A reporter that writes all-atom frames during a coarse-grained run."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING

import numpy as np

from openmm_cgvae.backmapping.backmapper import as_sampler
from openmm_cgvae.backmapping.frames import FrameBackmapper, sample_times
from openmm_cgvae.core.checks import checked_count, checked_seed
from openmm_cgvae.core.errors import OutputError, SettingsError, TopologyMismatchError
from openmm_cgvae.core.noise import checked_correlation_time
from openmm_cgvae.core.output import check_output
from openmm_cgvae.core.parallel import use_one_torch_thread
from openmm_cgvae.core.worker import BatchWorker
from openmm_cgvae.io.trajectory_files import TrajectoryWriter, box_lengths_and_angles, check_format
from openmm_cgvae.simulation.clock import FrameClock
from openmm_cgvae.simulation.molecules import check_order
from openmm_cgvae.simulation.numbering import numbered_as

if TYPE_CHECKING:
    from typing import Any

    import openmm
    from openmm import app

    from openmm_cgvae.atomistic.minimizer import Minimizer
    from openmm_cgvae.backmapping.sampler import Sampler
    from openmm_cgvae.core.types import Number, PathLike

__all__ = ["BackmapReporter"]

logger = logging.getLogger(__name__)

# Frames decoded in one call, and atoms of small molecules in it: larger batches make a frame cheaper.
MOST_FRAMES, ATOMS_AT_ONCE = 64, 5632
# Seconds after which frames are decoded though their group is not complete; that costs as much as a complete one.
PATIENCE = 2.0


class BackmapReporter:
    """Backmaps the running CG simulation and writes all-atom frames.

    Append it to ``simulation.reporters`` like a ``DCDReporter``; close it, or use it as a context manager, when the
    run is over (the end of the program does it too). Frames are backmapped in a thread beside the simulation, in order
    and in groups that their numbers fix, so that the same run gives the same bits. If they
    come faster than they can be backmapped, the simulation waits. A run that is to be
    resumed takes a `CheckpointReporter` of this package beside it, so that no checkpoint is ahead of the file.

    Parameters
    ----------
    file : path
        All-atom trajectory ending in .dcd, .xtc, .pdb or .cif; created at the first report.
    reportInterval : int
        Steps between frames.
    backmapper : Sampler, or str or path
        A `Backmapper`, or what ``Backmapper.load`` takes.
    append : bool
        Go on with an existing file (.dcd and .xtc), from the step that the simulation is at: frames of later steps,
        written after the checkpoint it was set back to, are cut off, which the log says.
    enforcePeriodicBox : bool or None
        Translate each molecule into the periodic box; None: where the system is periodic.
    nSamples : int
        All-atom structures for each frame, written one after the other.
    seed : int, optional
        Same seed and same CG frames, same structures; the frame number is the step divided by `reportInterval`.
    minimizer : Minimizer, optional
        Minimise each structure briefly, beads restrained.
    overwrite : bool
        Replace an existing file.
    correlationTime : float or Quantity, optional
        ps over which the latent noise of a sample stays alike, so that a movie does not flicker; the distribution of
        each frame is the same with and without. The noise depends on the frame number alone, so that runs that are
        resumed or appended to fit together.
    onBadFrame : {"raise", "skip"}
        What becomes of frames that cannot be backmapped, of a run that has become unstable: an error at the next
        report, with all frames before in the file, or left out and listed in `skipped`.
    title : str
        Of a new DCD file, a line of 80 characters at most.

    Attributes
    ----------
    n_frames, n_failed : int
        Frames written, and structures left unminimised.
    skipped : dict of int to str
        Frames left out, by number, and why.

    Raises
    ------
    OutputError
        If the file exists and neither `append` nor `overwrite` is given, or it cannot be written; at the first report,
        if the run does not go on where the file to append to ends: a gap, another interval, a box or none.
    SettingsError
        If a number is out of its range; at the first report, if `correlationTime` is given to a run whose steps have
        no fixed length.
    """

    def __init__(
        self,
        file: PathLike,
        reportInterval: int,
        backmapper: Sampler | PathLike,
        append: bool = False,
        enforcePeriodicBox: bool | None = None,
        nSamples: int = 1,
        seed: int | None = None,
        minimizer: Minimizer | None = None,
        overwrite: bool = False,
        correlationTime: Number | None = None,
        onBadFrame: str = "raise",
        title: str = "",
    ) -> None:
        self._reportInterval = checked_count("reportInterval", reportInterval)
        self._nSamples = checked_count("nSamples", nSamples)
        self._path = check_format(check_output(file, overwrite or append), append)
        self._backmapper = as_sampler(backmapper)
        self._append = append
        self._enforcePeriodicBox = enforcePeriodicBox
        self._seed = checked_seed(seed)
        # A sampler whose cost is linear says by its chunk size how many structures are worth sampling at once.
        most = getattr(self._backmapper, "chunk_size", MOST_FRAMES)
        at_once = min(MOST_FRAMES, most // self._nSamples, ATOMS_AT_ONCE // (self._backmapper.n_atoms * self._nSamples))
        self._group = max(1, at_once)
        self._backmapped = FrameBackmapper(
            self._backmapper, self._nSamples, self._seed, minimizer, onBadFrame, self._group
        )
        self._skips = onBadFrame == "skip"
        self._correlationTime = checked_correlation_time(correlationTime)
        self._correlation = 0.0
        self._title = title
        self._clock: Any = None
        self._first: int | None = None
        self._writer: Any = None
        self._worker: BatchWorker | None = None
        self._finish = None
        self._periodic = self._wrap = False
        self._closed = False
        self.n_frames = 0
        self.n_failed = 0
        self.skipped: dict[int, str] = {}

    @property
    def seed(self) -> int:
        """The seed in use."""
        return self._seed

    def describeNextReport(self, simulation: app.Simulation) -> dict[str, Any]:
        """Request unwrapped positions at the next multiple of the report interval."""
        self._first = simulation.currentStep if self._first is None else self._first
        steps = self._reportInterval - simulation.currentStep % self._reportInterval
        return {"steps": steps, "periodic": False, "include": ["positions"]}

    def report(self, simulation: app.Simulation, state: openmm.State) -> None:
        """Hand the current frame to the worker that backmaps and writes it.

        Raises
        ------
        CGVAEError or other
            What went wrong with an earlier frame.
        """
        if self._closed:
            raise OutputError(f"reporter of {self._path} is closed: remove it from simulation.reporters")
        worker = self._worker or self._open(simulation)
        frame, time = self._clock.frame(simulation), self._clock.time(simulation)
        beads = state.getPositions(asNumpy=True)._value
        vectors = state.getPeriodicBoxVectors(asNumpy=True)._value
        worker.put((frame, np.nan if time is None else time, beads, vectors))

    def _process(self, items):
        """Backmap and write consecutive frames, in the worker's thread."""
        frames, times, beads, vectors = (np.array(column) for column in zip(*items, strict=True))
        made = self._backmapped(beads, frames, self._correlation, vectors if self._periodic else None, self._wrap)
        if len(made.rows):
            box = (None, None) if made.vectors is None else box_lengths_and_angles(made.vectors)
            self._writer.write(made.positions, self._sample_times(times[made.rows]), *box)
        self.n_frames += len(made.rows)
        self.n_failed += 0 if made.minimized is None else int(made.minimized.failed.sum())
        self.skipped.update(made.skipped)
        for number, reason in made.skipped.items():
            logger.warning("frame %d is left out of %s: %s", number, self._path, reason)
        if made.error is not None:
            # Now that the frames before it are written.
            raise made.error

    def _sample_times(self, times):
        """Times (frames * samples,) of structures, or None where those of frames are not known."""
        if times is None or np.isnan(times).any():
            return None
        return sample_times(times, self._nSamples, self._clock.spacing_ps or 0.0)

    def _open(self, simulation):
        n_particles = simulation.topology.getNumAtoms()
        if n_particles != self._backmapper.n_beads:
            raise TopologyMismatchError(
                f"the simulation has {n_particles} particles, the model backmaps {self._backmapper.n_beads} beads: "
                "use the model of this CG system"
            )
        given, expected = (
            [(atom.residue.name, atom.name) for atom in topology.atoms()]
            for topology in (simulation.topology, self._backmapper.cg_topology())
        )
        check_order(given, expected, "the simulation")
        self._periodic = simulation.system.usesPeriodicBoundaryConditions()
        self._wrap = self._periodic if self._enforcePeriodicBox is None else self._enforcePeriodicBox
        self._clock = clock = FrameClock.of(simulation, self._reportInterval)
        if self._correlationTime and clock.spacing_ps is None:
            raise SettingsError(
                f"correlationTime={self._correlationTime:g} given for a {type(simulation.integrator).__name__}, "
                "whose steps have no fixed length: leave it out"
            )
        self._correlation = self._correlationTime / clock.spacing_ps if self._correlationTime else 0.0
        topology = numbered_as(self._backmapper.topology, self._backmapper.mapping, simulation.topology)
        self._writer = TrajectoryWriter(self._path, topology, self._append, title=self._title)
        # Refused here, before the run goes on, and not where frames are written.
        coming, before = self._sample_times(clock.coming(simulation)), (clock.frame(simulation) - 1) * self._nSamples
        gaps = self._skips or clock.variable
        self._writer.join(coming, self._periodic, gaps=gaps, before=before, spare=self._nSamples if self._first else 0)
        # Whole groups, where the worker has a choice.
        batch = MOST_FRAMES // self._group * self._group
        self._worker = BatchWorker(
            self._process, batch, patience=PATIENCE, prepare=use_one_torch_thread,
            ends=lambda item: (item[0] + 1) % batch == 0,
        )  # fmt: skip
        # Runs once: in `close`, or at the end of the program for those who never close a reporter.
        self._finish = weakref.finalize(self, _finish, self._worker, self._writer, self._append)
        return self._worker

    def flush(self) -> None:
        """Wait until all frames up to now are in the file and on the disk.

        Raises
        ------
        CGVAEError or other
            What went wrong with one of them.
        """
        if self._worker is not None and not self._closed:
            self._worker.flush()
            self._writer.flush()

    def close(self) -> None:
        """Write what is still queued and finish the file; harmless if called again.

        Raises
        ------
        CGVAEError or other
            What went wrong with a frame that was still queued.
        """
        self._closed = True
        if self._finish is not None:
            self._finish()

    def __enter__(self) -> BackmapReporter:
        return self

    def __exit__(self, kind, error, traceback):
        try:
            self.close()
        except Exception as own:
            if error is None:
                raise
            # Do not hide the error that ended the run, which may be the cause of this one.
            logger.warning("while closing %s: %s", self._path, own)


def _finish(worker, writer, appended):
    try:
        worker.close()
    finally:
        writer.close()
        # No frame was reached, or none was good: no file that is none.
        if not appended and writer.path.exists() and not writer.path.stat().st_size:
            writer.path.unlink()
