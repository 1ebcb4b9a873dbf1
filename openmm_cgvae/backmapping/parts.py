"""Frames made and written in parts that a journal keeps, so that a run that is interrupted goes on where it was."""

from contextlib import nullcontext
from operator import itemgetter

from openmm_cgvae.backmapping.ensembles import Overlaps, best_of
from openmm_cgvae.backmapping.frames import sample_times
from openmm_cgvae.core.cluster import in_order
from openmm_cgvae.core.errors import DataError
from openmm_cgvae.core.parallel import one_torch_thread
from openmm_cgvae.core.pipeline import run_pipeline
from openmm_cgvae.io.trajectory_files import box_lengths_and_angles

__all__ = ["PartOfFrames", "write_parts"]


class PartOfFrames:
    """Makes the arrays and the record of the part that a chunk of frames is.

    Parameters
    ----------
    backmapped : FrameBackmapper
    n_samples : int
    wrap : bool
        Translate molecules into the periodic box.
    shared_times : bool
        Whether all samples of a frame have its time, or share out the interval between two frames.
    rank_by : {"energy", "clash"} or None
        By what the best sample of a frame is kept; None keeps all.
    topology : openmm.app.Topology, optional
        Of the atoms, to rank by clash.
    """

    def __init__(self, backmapped, n_samples, wrap, shared_times=False, rank_by=None, topology=None):
        self._backmapped, self._n_samples, self._wrap = backmapped, n_samples, wrap
        self._shared_times, self._rank_by = shared_times, rank_by
        self._overlaps = Overlaps(topology) if rank_by == "clash" else None

    def __call__(self, item):
        """Backmap a chunk, with the spacing of its frames in ps and the correlation time in frames."""
        chunk, spacing, correlation = item
        # One structure would have all threads of torch, on whose number its last digits depend.
        with one_torch_thread() if len(chunk.frames) * self._n_samples == 1 else nullcontext():
            made = self._backmapped(chunk.positions, chunk.frames, correlation, chunk.vectors, into_box=self._wrap)
        if made.error is not None:
            raise made.error
        spacing = 0.0 if self._shared_times else spacing
        times = None if chunk.times is None else sample_times(chunk.times[made.rows], self._n_samples, spacing)
        lengths, angles = (None, None) if made.vectors is None else box_lengths_and_angles(made.vectors)
        arrays = {"positions": made.positions, "times": times, "lengths": lengths, "angles": angles}
        minimized = made.minimized
        if minimized is not None:
            arrays |= {"energy_before": minimized.energy_before, "energy_after": minimized.energy_after}
        if self._rank_by is not None:
            arrays = self._best(arrays, made.vectors)
        n_failed = 0 if minimized is None else int(minimized.failed.sum())
        return arrays, {
            "n_frames": len(made.rows), "n_failed": n_failed, "skipped": made.skipped, "moved": list(made.moved),
        }  # fmt: skip

    def _best(self, arrays, vectors):
        if self._rank_by == "clash":
            arrays["overlap"] = self._overlaps(arrays["positions"], vectors)
        scores = arrays["overlap" if self._rank_by == "clash" else "energy_after"]
        return best_of(arrays, scores.reshape(-1, self._n_samples))


def write_parts(journal, items, compute, write, done, partial=False, client=None):
    """Write all parts in order: those that the journal has from there, the others as they are made.

    Parameters
    ----------
    journal : Journal
        In use.
    items : iterable
        Of which each makes a part.
    compute : callable
        Takes an item; returns the arrays (dict) and the record (JSON types) of its part.
    write : callable
        Takes arrays and record, in order.
    done : callable
        Takes the item whose part waits to be written; for a progress bar.
    partial : bool
        Write the parts that there are, and make no others.
    client : distributed.Client, optional
        Of a Dask cluster, whose workers make the parts.
    """
    n_done = journal.n_done

    def part(numbered):
        number, item = numbered
        return number if number < n_done else compute(item)

    def keep(made):
        if isinstance(made, int):
            made = journal.part(made)
        else:
            journal.keep(*made)
        write(*made)

    if partial:
        if not n_done:
            raise DataError(f"no part of {journal.output} is there: run it, or go on with it by resume (--resume)")
        for number in range(n_done):
            keep(number)
    elif client is None:
        run_pipeline(enumerate(items), part, keep, lambda numbered: done(numbered[1]))
    else:
        run_pipeline(_on_cluster(client, compute, items, n_done), itemgetter(1), keep, lambda pair: done(pair[0]))


def _on_cluster(client, compute, items, n_done):
    """Yield items with their parts, of the first with their numbers."""
    items = iter(items)
    for number in range(n_done):
        yield next(items), number
    yield from in_order(client, compute, items)
