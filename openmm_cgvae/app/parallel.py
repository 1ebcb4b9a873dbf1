"""Calls on several cores, in order, for work that OpenMM or torch does outside Python."""

import os
from concurrent.futures import ThreadPoolExecutor

__all__ = ["available_cores", "in_threads"]


def available_cores():
    """Cores that this process may use, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(function, items, workers):
    """Yield ``function(item)`` for each item, in order, from several threads.

    The first error is raised here. After it, and after an interrupt, calls that have not begun are dropped.

    Parameters
    ----------
    function : callable
        Of one item; safe to call from several threads at once.
    items : sequence
    workers : int
        Threads; 1 to call in this one.
    """
    workers = min(workers, len(items))
    if workers < 2:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="openmm_cgvae")
    try:
        try:
            results = pool.map(function, items)
        except RuntimeError:
            # A reporter that is never closed still has frames to minimise when Python ends and starts no more threads.
            results = map(function, items)
        yield from results
    finally:
        pool.shutdown(cancel_futures=True)
