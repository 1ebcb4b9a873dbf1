"""Backmap saved coarse-grained trajectories: streaming in, streaming out."""

import secrets
from dataclasses import dataclass, field

import numpy as np

from openmm_cgvae.errors import SettingsError, TopologyMismatchError
from openmm_cgvae.output import check_output, complete_output
from openmm_cgvae.trajectory_files import TrajectoryReader, TrajectoryWriter, check_format

__all__ = ["BackmapSummary", "backmap_trajectory", "project_trajectory"]


@dataclass
class BackmapSummary:
    """What `backmap_trajectory` did.

    Parameters
    ----------
    n_frames, n_samples : int
        CG frames read, and structures written for each.
    seed : int
        That gives the same structures again.
    n_failed : int
        Structures that the minimiser had to leave as sampled.
    energies_before, energies_after : list of numpy.ndarray
        Potential energies in kJ/mol around the minimisation, a chunk each; empty without it.
    """

    n_frames: int = 0
    n_samples: int = 1
    seed: int = 0
    n_failed: int = 0
    energies_before: list = field(default_factory=list)
    energies_after: list = field(default_factory=list)

    def median_energies(self):
        """Median energy in kJ/mol before and after the minimisation; a clash would rule a mean."""
        return tuple(float(np.median(np.concatenate(e))) for e in (self.energies_before, self.energies_after))


def backmap_trajectory(
    trajectory,
    backmapper,
    output,
    n_samples=1,
    seed=None,
    stride=1,
    minimizer=None,
    overwrite=False,
    chunk_size=1000,
    progress=True,
):
    """Turn a saved CG trajectory into an all-atom one, in constant memory.

    Parameters
    ----------
    trajectory : path
        CG trajectory with the model's beads; any format mdtraj reads.
    backmapper : Backmapper
    output : path
        All-atom trajectory ending in .dcd, .xtc (which rounds to 0.001 nm) or .pdb, with the times and box of the CG
        frames. It appears when it is complete. With several samples, those of a frame follow one another and share
        out its time interval, since a DCD file can only hold evenly spaced times.
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
    chunk_size : int
        Structures held in memory at once.
    progress : bool
        Show a progress bar.

    Returns
    -------
    BackmapSummary

    Raises
    ------
    OutputError, DataError, TopologyMismatchError, PositionsError
        Before anything is written, or without leaving anything half-written.
    """
    from tqdm.auto import tqdm

    if n_samples < 1:
        raise SettingsError(f"n_samples={n_samples} given: 1 or more is expected")
    output = check_format(check_output(output, overwrite, [trajectory]))
    if minimizer is not None and minimizer.mapping != backmapper.mapping:
        raise TopologyMismatchError("the minimizer is of another mapping than the backmapper: make it of the same")
    # At least two frames, which tell the spacing of the times.
    reader = TrajectoryReader(trajectory, backmapper.cg_topology(), max(2, chunk_size // n_samples), stride)
    summary = BackmapSummary(n_samples=n_samples, seed=secrets.randbits(63) if seed is None else int(seed))
    with complete_output(output) as temporary, TrajectoryWriter(temporary, backmapper.topology) as writer:
        bar = tqdm(total=reader.n_frames, disable=not progress, unit="frame", delay=2, leave=False)
        spacing = 0.0
        for chunk in reader:
            spacing = chunk.times[1] - chunk.times[0] if len(chunk.times) > 1 else spacing
            atoms = backmapper.sample(chunk.positions, n_samples, summary.seed, chunk.frames)
            atoms = atoms.reshape(-1, backmapper.n_atoms, 3)
            if minimizer is not None:
                atoms = _minimized(atoms, np.repeat(chunk.positions, n_samples, axis=0), minimizer, summary)
            box = (None, None) if chunk.lengths is None else (
                np.repeat(chunk.lengths, n_samples, axis=0), np.repeat(chunk.angles, n_samples, axis=0)
            )  # fmt: skip
            writer.write(atoms, _sample_times(chunk.times, n_samples, spacing), *box)
            summary.n_frames += len(chunk.frames)
            bar.update(len(chunk.frames))
        bar.close()
    return summary


def _minimized(atoms, beads, minimizer, summary):
    result = minimizer.minimize(atoms, beads, progress=False)
    summary.n_failed += int(result.failed.sum())
    summary.energies_before.append(result.energy_before)
    summary.energies_after.append(result.energy_after)
    return result.positions


def _sample_times(times, n_samples, spacing):
    """The samples of a frame share out its time interval: a DCD file can only hold evenly spaced times."""
    return (times[:, None] + np.arange(n_samples) * spacing / n_samples).ravel()


def project_trajectory(trajectory, topology, mapping, output, stride=1, overwrite=False, progress=True):
    """Project an all-atom trajectory to beads, X = M x, in constant memory.

    Parameters
    ----------
    trajectory : path
        All-atom trajectory, any format mdtraj reads, molecules whole.
    topology : mdtraj.Topology or openmm.app.Topology
        Of the trajectory; it must be the mapping's molecule.
    mapping : CGMapping
    output : path
        CG trajectory ending in .dcd, .xtc or .pdb.
    stride, overwrite, progress
        As in `backmap_trajectory`.

    Returns
    -------
    int
        Number of frames written.
    """
    from tqdm.auto import tqdm

    output = check_format(check_output(output, overwrite, [trajectory]))
    mapping.check_topology(topology)
    reader = TrajectoryReader(trajectory, topology, stride=stride)
    written = 0
    with complete_output(output) as temporary, TrajectoryWriter(temporary, mapping.cg_topology()) as writer:
        bar = tqdm(total=reader.n_frames, disable=not progress, unit="frame", delay=2, leave=False)
        for chunk in reader:
            writer.write(mapping.project(chunk.positions), chunk.times, chunk.lengths, chunk.angles)
            written += len(chunk.frames)
            bar.update(len(chunk.frames))
        bar.close()
    return written
