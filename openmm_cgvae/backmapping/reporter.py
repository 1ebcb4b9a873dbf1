"""A reporter that writes all-atom frames during a coarse-grained run."""

import logging
import secrets
import weakref
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import OutputError, SettingsError, TopologyMismatchError
from openmm_cgvae.core.noise import checked_correlation_time
from openmm_cgvae.core.output import check_output
from openmm_cgvae.core.parallel import use_one_torch_thread
from openmm_cgvae.core.periodic import molecule_labels, wrap
from openmm_cgvae.core.worker import BatchWorker
from openmm_cgvae.io.dcd import DCDWriter
from openmm_cgvae.io.trajectory_files import box_lengths_and_angles

__all__ = ["BackmapReporter"]

logger = logging.getLogger(__name__)


class BackmapReporter:
    """Backmaps the running CG simulation and writes all-atom frames.

    Append it to ``simulation.reporters`` like a ``DCDReporter``; close it, or use it as a context manager, when the
    run is over (the end of the program does it too). Frames are backmapped in a thread beside the simulation, several
    at a time and in order; if they come faster than they can be backmapped, the simulation waits.

    Parameters
    ----------
    file : path
        All-atom trajectory ending in .dcd, .xtc or .pdb; created at the first report.
    reportInterval : int
        Steps between frames.
    backmapper : Backmapper
    append : bool
        Go on with an existing file (.dcd and .xtc).
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

    Raises
    ------
    OutputError
        If the file exists and neither `append` nor `overwrite` is given, or it cannot be written.
    SettingsError
        If a number is out of its range.
    """

    def __init__(
        self,
        file,
        reportInterval,
        backmapper,
        append=False,
        enforcePeriodicBox=None,
        nSamples=1,
        seed=None,
        minimizer=None,
        overwrite=False,
        correlationTime=None,
    ):
        if reportInterval < 1 or nSamples < 1:
            raise SettingsError(f"reportInterval={reportInterval}, nSamples={nSamples}: 1 or more is expected of both")
        self._path = check_output(file, overwrite or append)
        self._suffix = self._path.suffix.lower()
        if self._suffix not in (".dcd", ".xtc", ".pdb"):
            raise OutputError(f"output {file} given: a name ending in .dcd, .xtc or .pdb is expected")
        if append and (self._suffix == ".pdb" or not self._path.is_file()):
            raise OutputError(f"cannot append to {file}: an existing .dcd or .xtc file is expected")
        self._reportInterval = int(reportInterval)
        self._backmapper = backmapper
        self._append = append
        self._enforcePeriodicBox = enforcePeriodicBox
        self._nSamples = int(nSamples)
        self._seed = secrets.randbits(63) if seed is None else int(seed)
        self._minimizer = minimizer
        self._correlationTime = checked_correlation_time(correlationTime)
        self._correlation = 0.0
        self._writer = None
        self._worker = None
        self._finish = None
        self._periodic = self._wrap = False
        self._molecules = None
        self._closed = False
        self.n_frames = 0
        self.n_failed = 0

    @property
    def seed(self):
        """The seed in use."""
        return self._seed

    def describeNextReport(self, simulation):
        """Ask for positions as they are: bead positions are needed unwrapped, whatever is written."""
        steps = self._reportInterval - simulation.currentStep % self._reportInterval
        return {"steps": steps, "periodic": False, "include": ["positions"]}

    def report(self, simulation, state):
        """Hand the current frame to the worker that backmaps and writes it.

        Raises
        ------
        CGVAEError or other
            What went wrong with an earlier frame.
        """
        if self._closed:
            raise OutputError(f"reporter of {self._path} is closed: remove it from simulation.reporters")
        if self._worker is None:
            self._open(simulation)
        frame = simulation.currentStep // self._reportInterval
        beads = state.getPositions(asNumpy=True)._value
        vectors = state.getPeriodicBoxVectors(asNumpy=True)._value
        self._worker.put((frame, beads, vectors))

    def _process(self, items):
        """Backmap and write consecutive frames, in the worker's thread."""
        frames, beads, vectors = (np.array(column) for column in zip(*items, strict=True))
        atoms = self._backmapper.sample(
            beads,
            self._nSamples,
            self._seed,
            frames,
            correlation=self._correlation,
            box=vectors if self._periodic else None,
        )
        atoms = atoms.reshape(-1, *atoms.shape[2:])
        vectors = np.repeat(vectors, self._nSamples, axis=0)
        if self._minimizer is not None:
            boxes = vectors if self._minimizer.periodic else None
            result = self._minimizer.minimize(atoms, progress=False, boxVectors=boxes)
            atoms = result.positions
            self.n_failed += int(result.failed.sum())
        if self._wrap:
            atoms = wrap(atoms, vectors, self._molecules)
        self._writer.write(atoms, vectors)
        self.n_frames += len(frames)

    def _open(self, simulation):
        n_particles = simulation.topology.getNumAtoms()
        if n_particles != self._backmapper.n_beads:
            raise TopologyMismatchError(
                f"the simulation has {n_particles} particles, the model backmaps {self._backmapper.n_beads} beads: "
                "use the model of this CG system"
            )
        topology = self._backmapper.topology
        self._periodic = periodic = simulation.system.usesPeriodicBoundaryConditions()
        self._wrap = periodic if self._enforcePeriodicBox is None else self._enforcePeriodicBox
        bonds = [(a.index, b.index) for a, b in topology.bonds()]
        self._molecules = molecule_labels(topology.getNumAtoms(), bonds)
        if periodic:
            topology.setPeriodicBoxVectors(simulation.context.getState().getPeriodicBoxVectors())
        dt = simulation.integrator.getStepSize()
        self._correlation = self._correlationTime / (self._reportInterval * dt._value)
        # Samples of one frame share out the interval, which keeps the times of a DCD or XTC file even.
        timing = dt / self._nSamples, simulation.currentStep * self._nSamples, self._reportInterval
        self._writer = _FrameWriter(self._path, topology, timing, self._append)
        self._worker = BatchWorker(self._process, prepare=use_one_torch_thread)
        # Runs once: in `close`, or at the end of the program for those who never close a reporter.
        self._finish = weakref.finalize(self, _finish, self._worker, self._writer)

    def close(self):
        """Write what is still queued and finish the file; harmless if called again.

        Raises
        ------
        CGVAEError or other
            What went wrong with a frame that was still queued.
        """
        self._closed = True
        if self._finish is not None:
            self._finish()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        try:
            self.close()
        except Exception as own:
            if error is None:
                raise
            # What ended the run comes first: a frame that could not be backmapped may be its consequence.
            logger.warning("while closing %s: %s", self._path, own)


def _finish(worker, writer):
    try:
        worker.close()
    finally:
        writer.close()


class _FrameWriter:
    """DCD, XTC and PDB files, appended to or not, behind one call."""

    def __init__(self, path, topology, timing, append):
        from openmm.app import PDBFile, XTCFile

        path, self._topology, self._models = Path(path), topology, 0
        self._periodic = topology.getPeriodicBoxVectors() is not None
        self._suffix = path.suffix.lower()
        self._timing = timing
        if self._suffix == ".dcd":
            self._file = DCDWriter(path, topology.getNumAtoms(), append)
        elif self._suffix == ".xtc":
            if not append:
                path.unlink(missing_ok=True)
            self._file = XTCFile(str(path), topology, *timing, append)
        else:
            self._file = open(path, "w")  # noqa: SIM115 (closed by close)
            PDBFile.writeHeader(topology, self._file)

    def write(self, positions, vectors):
        """Write structures (f, n, 3) in nm, with box vectors (f, 3, 3) in nm where the topology is periodic."""
        from openmm import Vec3
        from openmm.app import PDBFile
        from openmm.unit import nanometer

        numbers = self._models + np.arange(len(positions))
        self._models += len(positions)
        if self._suffix == ".dcd":
            dt, first, interval = self._timing
            box = box_lengths_and_angles(vectors) if self._periodic else (None, None)
            self._file.write(positions, (first + numbers * interval) * dt._value, *box)
            return
        for number, frame, box in zip(numbers, positions, vectors, strict=True):
            if self._suffix == ".pdb":
                PDBFile.writeModel(self._topology, frame * nanometer, self._file, int(number) + 1)
            else:
                # OpenMM's XTC writer takes the vectors' components by name.
                vectors = [Vec3(*vector) for vector in box] * nanometer if self._periodic else None
                self._file.writeModel(frame, periodicBoxVectors=vectors)

    def close(self):
        if self._suffix == ".pdb":
            from openmm.app import PDBFile

            PDBFile.writeFooter(self._topology, self._file)
        # OpenMM opens an XTC file anew for every frame.
        if self._suffix != ".xtc":
            self._file.close()
