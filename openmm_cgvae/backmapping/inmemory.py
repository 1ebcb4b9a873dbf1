"""Backmap into an object of another library, without a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from openmm_cgvae.backmapping.backmapper import as_sampler
from openmm_cgvae.backmapping.frames import FrameBackmapper, sample_times
from openmm_cgvae.backmapping.trajectory import timed_chunks
from openmm_cgvae.core.checks import check_memory, checked_count, checked_seed
from openmm_cgvae.core.errors import DataError
from openmm_cgvae.core.noise import checked_correlation_time
from openmm_cgvae.io.objects import as_library, check_library
from openmm_cgvae.io.trajectory_files import TrajectoryReader, frames_at_once

if TYPE_CHECKING:
    from openmm_cgvae.atomistic.minimizer import Minimizer
    from openmm_cgvae.backmapping.sampler import Sampler
    from openmm_cgvae.core.types import Number, PathLike, SomeTrajectory

__all__ = ["backmap_in_memory"]


def backmap_in_memory(
    trajectory: SomeTrajectory,
    backmapper: Sampler | PathLike,
    library: str = "mdtraj",
    n_samples: int = 1,
    seed: int | None = None,
    minimizer: Minimizer | None = None,
    correlation_time: Number | None = None,
    wrap: bool = False,
    on_bad_frame: str = "raise",
    **reading: Any,
) -> Any:
    """Backmap a CG trajectory, and return the structures as an object of a library.

    Structures are those that `backmap_trajectory` writes.

    Parameters
    ----------
    trajectory : path, list of path, or object
        As `backmap_trajectory` takes it: of mdtraj, MDAnalysis, ParmEd or OpenMM too.
    backmapper : Sampler, or str or path
    library : {"mdtraj", "mdanalysis", "openmm", "parmed"}
        For a ``Trajectory``, a ``Universe``, a pair of ``Topology`` and a ``Quantity`` of positions, a ``Structure``.
        The last two have no times, and the box of the first frame.
    n_samples, seed, minimizer, correlation_time, wrap, on_bad_frame
        As in `backmap_trajectory`.
    **reading
        ``stride``, ``frames``, ``times``, ``salvage``, ``frame_interval``, ``rename`` of `backmap_trajectory`.

    Returns
    -------
    object
        Samples of a frame follow one another.

    Raises
    ------
    SettingsError
        If there is no such library, or the structures do not fit into memory.
    DataError, TopologyMismatchError, PositionsError
        As `backmap_trajectory`.
    """
    check_library(library)
    n_samples, sampler = checked_count("n_samples", n_samples), as_sampler(backmapper)
    correlation_time = checked_correlation_time(correlation_time)
    size = max(2, frames_at_once(sampler.n_atoms, n_samples))
    reader = TrajectoryReader(trajectory, sampler.cg_topology(), size, **reading)
    if correlation_time and not reader.has_times:
        raise DataError("correlation time given, but the trajectory does not tell the times of its frames: give "
                        "frame_interval")  # fmt: skip
    n_frames = reader.n_frames or 0
    check_memory(2 * 12 * n_frames * n_samples * sampler.n_atoms, f"{n_frames} frames of {n_samples} samples")
    backmapped = FrameBackmapper(sampler, n_samples, checked_seed(seed), minimizer, on_bad_frame)
    positions: list[Any] = []
    times: list[Any] = []
    vectors: list[Any] = []
    for chunk, spacing, correlation in timed_chunks(reader, correlation_time):
        made = backmapped(chunk.positions, chunk.frames, correlation, chunk.vectors, into_box=wrap)
        if made.error is not None:
            raise made.error
        positions.append(made.positions)
        vectors.append(made.vectors)
        times.append(None if chunk.times is None else sample_times(chunk.times[made.rows], n_samples, spacing))
    joined: list[Any] = [None if parts[0] is None else np.concatenate(parts) for parts in (positions, times, vectors)]
    if not len(joined[0]):
        raise DataError("no frame of the trajectory could be backmapped: all are bad")
    return as_library(library, sampler.topology, *joined)
