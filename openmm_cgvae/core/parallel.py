"""Calls on several cores, in order, for work that OpenMM or torch does outside Python."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

__all__ = [
    "available_cores",
    "even_slices",
    "in_even_slices",
    "in_threads",
    "on_torch_threads",
    "one_torch_thread",
    "use_one_torch_thread",
]


# Rows are cut into so many slices at least, of which none has fewer rows than this if it can be helped.
SHARES, FEWEST = 4, 32
# Two threads at once would take each other's number for the usual one.
_torch_threads = threading.Lock()


def available_cores():
    """Cores that this process may use, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def even_slices(n, most):
    """Return slices that divide n rows evenly, none longer than `most`; the same on every machine.

    The last digits of what torch computes depend on how many rows share a call, and so not on the number of threads.
    """
    step = min(most, max(FEWEST, -(-n // SHARES)))
    step = max(1, -(-n // max(1, -(-n // step))))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


@contextmanager
def one_torch_thread():
    """Restrict torch to one core in the block."""
    import torch

    before = torch.get_num_threads()
    use_one_torch_thread()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_threads(function, items, workers, prepare=None):
    """Yield ``function(item)`` for each item, in order, from several threads.

    The first error is raised here. After it, and after an interrupt, calls that have not begun are dropped.

    Parameters
    ----------
    function : callable
        Of one item; safe to call from several threads at once.
    items : sequence
    workers : int
        Threads; 1 to call in this one.
    prepare : callable, optional
        Called once in each of the threads, unless it is this one.
    """
    workers = min(workers, len(items))
    if workers < 2:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="openmm_cgvae", initializer=prepare)
    try:
        try:
            results = pool.map(function, items)
        except RuntimeError:
            # A reporter that is never closed still has frames to minimise when Python ends and starts no more threads.
            results = map(function, items)
        yield from results
    finally:
        pool.shutdown(cancel_futures=True)


def use_one_torch_thread():
    """Restrict torch to one core in the current thread, and in no other.

    torch keeps the number per thread, and gives threads that are new to it the number that was set last in any thread:
    that one is set back from a thread made for it.
    """
    import torch

    with _torch_threads:
        usual = torch.get_num_threads()
        torch.set_num_threads(1)
        if usual != 1:
            other = threading.Thread(target=torch.set_num_threads, args=(usual,))
            other.start()
            other.join()


def on_torch_threads(function, items, workers):
    """As `in_threads`, for a function that calls torch: each of several workers has one of torch's threads.

    Where arrays are small, threads that share each operator wait for one another more than they gain by it.
    """
    yield from in_threads(function, items, workers, prepare=use_one_torch_thread)


def in_even_slices(function, n, most, workers):
    """Yield ``function(part)`` for the `even_slices` of n rows, each on one of torch's threads.

    One row alone has all threads.
    """
    slices = even_slices(n, most)
    with one_torch_thread() if len(slices) == 1 < n else nullcontext():
        yield from on_torch_threads(function, slices, workers)
