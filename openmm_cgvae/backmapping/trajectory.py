"""Backmap saved coarse-grained trajectories: streaming in, streaming out."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openmm_cgvae.backmapping.backmapper import as_sampler
from openmm_cgvae.backmapping.ensembles import boltzmann_weights, checked_ensemble, ensemble_files, ensemble_output
from openmm_cgvae.backmapping.frames import FrameBackmapper
from openmm_cgvae.backmapping.parts import PartOfFrames, write_parts
from openmm_cgvae.core.checks import checked_count, checked_number, checked_seed
from openmm_cgvae.core.errors import DataError
from openmm_cgvae.core.fingerprint import fingerprint, fingerprint_of
from openmm_cgvae.core.noise import checked_correlation_time
from openmm_cgvae.core.output import check_output, complete_output
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.core.representation import html_table
from openmm_cgvae.formats.joining import spacing_of
from openmm_cgvae.formats.structures import load_topology
from openmm_cgvae.io.contents import trajectory_fingerprint
from openmm_cgvae.io.journal import Journal
from openmm_cgvae.io.selection import FrameSelection
from openmm_cgvae.io.sources import given_paths
from openmm_cgvae.io.trajectory_files import (
    TrajectoryReader,
    TrajectoryWriter,
    check_format,
    frames_at_once,
    write_topology_beside,
)

if TYPE_CHECKING:
    from openmm_cgvae.atomistic.minimizer import Minimizer
    from openmm_cgvae.backmapping.sampler import Sampler
    from openmm_cgvae.core.types import Number, PathLike, SomeTopology, SomeTrajectory
    from openmm_cgvae.molecule.mapping import CGMapping

__all__ = ["BackmapSummary", "backmap_trajectory", "project_trajectory", "read_frame"]

logger = logging.getLogger(__name__)

# Frames that are backmapped together at most: enough for many cores at a time, few where each takes long, so that
# little is done again after an interruption.
FRAMES_A_PART, MINIMIZED_A_PART = 4000, 250
# Of the arrays of a part, those that the summary has.
PER_STRUCTURE = ("energy_before", "energy_after", "overlap", "chosen")


@dataclass
class BackmapSummary:
    """Result of `backmap_trajectory`.

    Parameters
    ----------
    n_frames, n_samples : int
        CG frames read, and structures written for each.
    seed : int
        That gives the same structures again.
    n_failed : int
        Structures that the minimiser had to leave as sampled.
    skipped : dict of int to str
        Frames of the file that could not be backmapped and were left out, and why.
    energies_before, energies_after : list of numpy.ndarray
        Potential energies in kJ/mol around the minimisation of all structures, a chunk each; empty without it.
    overlaps : list of numpy.ndarray
        How deep heavy atoms of all structures overlap, in nm, a chunk each, where the best by clash were asked for.
    chosen : list of numpy.ndarray
        Which sample of each frame is the best, a chunk each, where these were asked for.
    files : list of pathlib.Path
        What was written.
    """

    n_frames: int = 0
    n_samples: int = 1
    seed: int = 0
    n_failed: int = 0
    skipped: dict[int, str] = field(default_factory=dict)
    energies_before: list = field(default_factory=list)
    energies_after: list = field(default_factory=list)
    overlaps: list = field(default_factory=list)
    chosen: list = field(default_factory=list)
    files: list = field(default_factory=list)
    _moved: list = field(default_factory=list, repr=False)

    def add(self, arrays, record):
        """Count a part: its arrays, and its record in the journal."""
        self.n_frames += record["n_frames"]
        self.n_failed += record["n_failed"]
        self.skipped.update({int(frame): reason for frame, reason in record["skipped"].items()})
        self._moved.append(record["moved"])
        for name, values in zip(PER_STRUCTURE, (self.energies_before, self.energies_after, self.overlaps, self.chosen),
                                strict=True):  # fmt: skip
            if name in arrays:
                values.append(arrays[name])

    @property
    def bead_shift_nm(self) -> tuple[float, float]:
        """How far the model moved beads, in nm, on average and at most; zero where they are exact."""
        total, count, most = zip(*(self._moved or [(0.0, 1, 0.0)]), strict=True)
        return sum(total) / max(1, sum(count)), max(most)

    def _repr_html_(self) -> str:
        """Show the summary as a table in a notebook."""
        rows: list[tuple[Any, ...]] = [
            ("structures", f"{self.n_frames * self.n_samples:,}, {self.n_samples} of each of {self.n_frames:,} frames"),
            ("seed", self.seed),
        ]
        if self.skipped:
            rows.append(("frames left out", len(self.skipped)))
        if self.energies_before:
            before, after = self.median_energies()
            rows.append(("median energy, kJ/mol", f"{before:.5g} before, {after:.5g} after minimisation"))
            rows.append(("left unminimised", self.n_failed))
        return html_table("Backmapped", rows)

    def median_energies(self) -> tuple[float, ...]:
        """Return the median energies in kJ/mol before and after the minimisation (clashes would dominate a mean)."""
        return tuple(float(np.median(np.concatenate(e))) for e in (self.energies_before, self.energies_after))

    def weights(self, temperature: float = 300.0) -> np.ndarray:
        """Weights of the samples of each frame (frames, samples) by their energies at a temperature in K.

        Without a minimisation all are alike. Brief minimisation leaves little of the entropy: weights tell poor samples
        from good ones rather than how likely each is.
        """
        if not self.energies_after:
            return np.full((self.n_frames, self.n_samples), 1 / self.n_samples)
        return boltzmann_weights(np.concatenate(self.energies_after), self.n_samples, temperature)

    def to_dict(self) -> dict[str, Any]:
        """Everything in JSON types, energies as lists in the order of the structures, weights at 300 K by frame."""
        mean, most = self.bead_shift_nm
        energies = {"energies_before": self.energies_before, "energies_after": self.energies_after,
                    "overlaps_nm": self.overlaps, "chosen": self.chosen}  # fmt: skip
        weights = {"weights": self.weights().tolist()} if self.n_samples > 1 and self.energies_after else {}
        return {
            "n_frames": self.n_frames,
            "n_samples": self.n_samples,
            "seed": self.seed,
            "n_failed": self.n_failed,
            "skipped": {str(frame): reason for frame, reason in self.skipped.items()},
            "bead_shift_nm": {"mean": float(mean), "max": float(most)},
            "files": [str(file) for file in self.files],
            **{name: np.concatenate(parts).tolist() for name, parts in energies.items() if parts},
            **weights,
        }


def backmap_trajectory(
    trajectory: SomeTrajectory,
    backmapper: Sampler | PathLike,
    output: PathLike,
    n_samples: int = 1,
    seed: int | None = None,
    stride: int = 1,
    minimizer: Minimizer | None = None,
    overwrite: bool = False,
    chunk_size: int | None = None,
    progress: bool = True,
    correlation_time: Number | None = None,
    wrap: bool = False,
    salvage: bool = False,
    frame_interval: Number | None = None,
    on_bad_frame: str = "raise",
    rename: dict[str, str] | str | None = None,
    resume: bool = False,
    partial: bool = False,
    write_topology: bool = False,
    frames: Any = None,
    times: Any = None,
    client: Any = None,
    ensemble: str = "together",
    rank_by: str | None = None,
) -> BackmapSummary:
    """Turn a saved CG trajectory into an all-atom one, in constant memory.

    What is done is kept in a folder beside the output, ``aa.dcd.unfinished``, until it is complete, so that a call
    that is interrupted in any way (Ctrl-C, a full disk, a killed process) can go on.

    Parameters
    ----------
    trajectory : path, list of path, or object
        CG trajectory with the model's beads; any format mdtraj reads, mmCIF, and DCD of every dialect. Several files
        are read as one. Objects of mdtraj, MDAnalysis, ParmEd and OpenMM are taken too, see
        `openmm_cgvae.io.objects.in_memory`.
    backmapper : Sampler, or str or path
        A `Backmapper`, or what ``Backmapper.load`` takes.
    output : path
        All-atom trajectory ending in .dcd, .xtc (which rounds to 0.001 nm), .nc, .h5, .pdb or .cif, with the times and
        box of the CG frames. It appears when it is complete. With several samples, those of a frame follow one another
        and share out its time interval, since a DCD file can only hold evenly spaced times.
    n_samples : int
        Structures for each frame.
    seed : int, optional
        Same seed, same structures.
    stride : int
        Use every stride-th frame.
    minimizer : Minimizer, optional
        Minimise each structure briefly, beads restrained.
    overwrite : bool
        Replace an existing output.
    chunk_size : int, optional
        Structures held in memory at once, which make a part; by the number of atoms if omitted, 4000 frames at most,
        250 to be minimised. The last digits depend on it, and on nothing else that is not a setting: not on threads,
        workers or interruptions.
    progress : bool
        Show a progress bar.
    correlation_time : float or Quantity, optional
        ps over which the latent noise of a sample stays alike, so that a movie does not flicker; the distribution of
        each frame is the same with and without, and a frame's structure does not depend on `stride`. Frames must be
        evenly spaced in time. Files that do not tell times, such as PDB, need `frame_interval`.
    wrap : bool
        Translate molecules into the periodic box; otherwise each is where its first bead is.
    salvage : bool
        Use the complete frames of a DCD or XTC file that is cut off, as a run that was killed leaves it.
    frame_interval : float or Quantity, optional
        ps between the frames of the CG trajectory, where it does not tell their times, or tells wrong ones.
    on_bad_frame : {"raise", "skip"}
        What becomes of frames that cannot be backmapped, of a run that became unstable: an error, or left out and
        listed in the summary.
    rename : dict of str to str, or "order", optional
        Names of beads in the file (``BB``, or ``ALA:BB``) by those of the model, ``{"ALA:BB": "ALA"}``; "order" to
        take the beads for the model's, in their order, whatever they are called.
    resume : bool
        Go on with a call that was interrupted, if there was one: the output is, byte for byte, that of one which was
        not. `seed` may be left out, `on_bad_frame` may be another.
    partial : bool
        Make the output of what an interrupted call has done, and no more.
    write_topology : bool
        Write the first frame as ``aa.pdb`` beside ``aa.dcd`` too.
    frames, times
        Numbers, or first and last time in ps, of the CG frames to use, as `TrajectoryReader` takes them. A frame's
        structure does not depend on which others are used.
    client : distributed.Client, optional
        Of a Dask cluster, whose workers sample and minimise; this process reads and writes, and the output is the same.
    ensemble : {"together", "files", "best"}
        Several samples of a frame one after the other in one file; a file each, ``aa-1.dcd``, ``aa-2.dcd``, ...; or the
        best of each frame alone. The summary has energies, weights and ranks of all.
    rank_by : {"energy", "clash"}, optional
        What is best: the lowest energy after the minimisation, which is the default with a minimizer; or how little
        heavy atoms overlap, where there is none.

    Returns
    -------
    BackmapSummary

    Raises
    ------
    OutputError, DataError, TopologyMismatchError, PositionsError
        Before anything is written, or without leaving anything half-written.
    SettingsError
        If a setting is out of its range; or if it, or the hash of an input, differs from that of the call to go on
        with, naming it.
    """
    n_samples, sampler = checked_count("n_samples", n_samples), as_sampler(backmapper)
    rank_by = checked_ensemble(ensemble, rank_by, minimizer)
    correlation_time = checked_correlation_time(correlation_time)
    output = check_format(check_output(output, overwrite or resume or partial, given_paths(trajectory)))
    frame_interval = None if frame_interval is None else checked_number("frame_interval", frame_interval, "ps")
    size = frames_at_once(sampler.n_atoms, n_samples, FRAMES_A_PART if minimizer is None else MINIMIZED_A_PART)
    if chunk_size is not None:
        size = checked_count("chunk_size", chunk_size) // n_samples
    # At least two frames, which tell the spacing of the times.
    size = max(2, size)
    reader = TrajectoryReader(
        trajectory, sampler.cg_topology(), size, stride, salvage, frame_interval, rename, frames, times
    )
    if correlation_time and not reader.has_times:
        raise DataError(
            f"correlation time given, but {trajectory} does not tell the times of its frames: give the ps between them "
            "as frame_interval (--frame-interval)"
        )
    _warn_of_times(reader, output)
    settings = {
        "format": Path(output).suffix.lower(), "n_samples": n_samples, "seed": seed, "stride": stride,
        "chunk_size": size, "correlation_time": correlation_time, "wrap": wrap, "salvage": salvage,
        "frame_interval": frame_interval, "rename": rename, "frames": str(FrameSelection.of(frames, times)),
        "trajectory": trajectory_fingerprint(trajectory), "model": fingerprint_of(sampler),
        "minimizer": fingerprint_of(minimizer), "ensemble": ensemble, "rank_by": rank_by,
    }  # fmt: skip
    files = ensemble_files(output, ensemble, n_samples)
    journal = Journal(output, settings, resume or partial, overwrite, files)
    seed = journal.settings["seed"] = checked_seed(journal.settings["seed"])
    backmapped = FrameBackmapper(sampler, n_samples, seed, minimizer, on_bad_frame)
    compute = PartOfFrames(backmapped, n_samples, wrap, ensemble == "files", rank_by, sampler.topology)
    summary = BackmapSummary(n_samples=n_samples, seed=seed, files=files)
    with (
        journal,
        ensemble_output(files, sampler.topology, write_topology, journal.complete) as append,
        progress_bar(total=reader.n_frames, shown=progress, unit="frame", delay=2, leave=False) as bar,
    ):

        def write(arrays, record):
            if record["n_frames"]:
                append(*(arrays.get(name) for name in ("positions", "times", "lengths", "angles")))
            summary.add(arrays, record)

        items = timed_chunks(reader, correlation_time)
        write_parts(journal, items, compute, write, lambda item: bar.update(len(item[0].frames)), partial, client)
        if not summary.n_frames:
            journal.forget()
            raise DataError(f"no frame of {trajectory} could be backmapped; {next(iter(summary.skipped.values()))}")
    if summary.skipped:
        logger.warning("%d frames of %s could not be backmapped and are left out", len(summary.skipped), trajectory)
    return summary


def timed_chunks(reader, time):
    """Every chunk of a reader, its frames' spacing in ps, and a correlation time in ps as one in frames of the file."""
    interval, last, spacing = None, np.zeros(0), 0.0
    for chunk in reader:
        spacing = spacing_of(chunk.times) or spacing
        if time:
            times = np.append(last, chunk.times)
            steps, last = np.diff(times) / reader.stride, times[-1:]
            if interval is None and len(steps):
                # Round to 6 digits, the precision of float32 times, so that every stride gives the same interval.
                interval = float(f"{steps[0]:.6g}")
            # Within rounding.
            if len(steps) and not (interval > 0 and np.allclose(steps, interval, 1e-3, 1e-6 * abs(times).max())):
                raise DataError(
                    f"frames of {reader.path} are not evenly spaced in time ({steps.min():g} to {steps.max():g} ps): "
                    "write them so, or leave the correlation time out"
                )
        yield chunk, spacing, time / interval if interval else 0.0


def _warn_of_times(reader, output):
    if not reader.has_times and output.suffix.lower() == ".dcd":
        logger.warning(
            "%s does not tell the times of its frames, and %s will not either: give the ps between them as "
            "frame_interval (--frame-interval) where they matter", reader.path, output,
        )  # fmt: skip


def project_trajectory(
    trajectory: SomeTrajectory,
    topology: SomeTopology,
    mapping: CGMapping,
    output: PathLike,
    stride: int = 1,
    overwrite: bool = False,
    progress: bool = True,
    salvage: bool = False,
    frame_interval: Number | None = None,
    rename: dict[str, str] | str | None = None,
    resume: bool = False,
    partial: bool = False,
    write_topology: bool = False,
    frames: Any = None,
    times: Any = None,
) -> int:
    """Project an all-atom trajectory to beads, X = M x, in constant memory.

    Parameters
    ----------
    trajectory : path, list of path, or object
        All-atom trajectory as `backmap_trajectory` takes one of beads, molecules whole.
    topology : mdtraj.Topology, openmm.app.Topology, other library's, or path
        Of the trajectory; it must be the mapping's molecule.
    mapping : CGMapping
    output : path
        CG trajectory ending in .dcd, .xtc, .nc, .h5, .pdb or .cif.
    stride, overwrite, progress, salvage, frame_interval, rename, resume, partial, write_topology, frames, times
        As in `backmap_trajectory`.

    Returns
    -------
    int
        Number of frames written.
    """
    output = check_format(check_output(output, overwrite or resume or partial, given_paths(trajectory)))
    topology = load_topology(topology)
    mapping.check_topology(topology)
    reader = TrajectoryReader(trajectory, topology, None, stride, salvage, frame_interval, rename, frames, times)
    _warn_of_times(reader, output)
    settings = {
        "format": Path(output).suffix.lower(), "stride": stride, "salvage": salvage, "rename": rename,
        "frames": str(FrameSelection.of(frames, times)),
        "frame_interval": frame_interval and checked_number("frame_interval", frame_interval),
        "trajectory": trajectory_fingerprint(trajectory), "mapping": fingerprint(mapping.to_dict()),
    }  # fmt: skip
    written = 0
    with Journal(output, settings, resume or partial, overwrite) as journal, complete_output(output) as temporary:
        with (
            TrajectoryWriter(temporary, mapping.cg_topology(), name=output) as writer,
            progress_bar(total=reader.n_frames, shown=progress, unit="frame", delay=2, leave=False) as bar,
        ):

            def compute(chunk):
                arrays = {"positions": mapping.project(chunk.positions), "times": chunk.times}
                return arrays | {"lengths": chunk.lengths, "angles": chunk.angles}, {"n_frames": len(chunk.frames)}

            def write(arrays, record):
                nonlocal written
                writer.write(*(arrays.get(name) for name in ("positions", "times", "lengths", "angles")))
                written += record["n_frames"]

            write_parts(journal, reader, compute, write, lambda chunk: bar.update(len(chunk.frames)), partial)
        if write_topology:
            write_topology_beside(temporary, mapping.cg_topology(), output)
        journal.complete(temporary)
    return written


def read_frame(trajectory: PathLike, topology: SomeTopology, frame: int) -> np.ndarray:
    """Read one frame, molecules whole.

    Parameters
    ----------
    trajectory : path, list of path, or object
        As `backmap_trajectory` takes it; the complete frames of a file that is cut off.
    topology : mdtraj.Topology, openmm.app.Topology, other library's, or path
    frame : int
        Its number in the file, from 0.

    Returns
    -------
    numpy.ndarray, shape (n, 3)
        nm.

    Raises
    ------
    DataError, TopologyMismatchError
        If the file has no such frame, or as `TrajectoryReader` says.
    """
    reader = TrajectoryReader(trajectory, topology, salvage=True, chunk_size=1)
    n_frames = reader.n_frames
    if n_frames is None:
        n_frames = sum(len(chunk.frames) for chunk in TrajectoryReader(trajectory, topology, salvage=True))
    if frame != int(frame) or not 0 <= frame < n_frames:
        raise DataError(f"frame {frame} given: {trajectory} holds frames 0 to {n_frames - 1}")
    wanted = slice(int(frame), int(frame) + 1)
    return next(iter(TrajectoryReader(trajectory, topology, salvage=True, frames=wanted))).positions[0]
