"""Reading, computing and writing at the same time: in order, bounded, and never failing silently."""

import contextlib
import queue
import threading

from openmm_cgvae.core.signals import uninterrupted
from openmm_cgvae.core.worker import BatchWorker

__all__ = ["read_ahead", "run_pipeline"]

END = object()


def run_pipeline(source, compute, write, done=None, depth=2):
    """``write(compute(item))`` for every item, one thread reading ahead and one writing behind.

    Reading and writing that release the interpreter's lock then cost no time beside the computing, which stays in
    the caller's thread. At most ``2 * depth + 3`` items or results exist at once.

    Parameters
    ----------
    source : iterable
    compute : callable
        Takes an item, returns a result.
    write : callable
        Takes a result; called in the order of the items.
    done : callable, optional
        Takes an item whose result waits to be written; for a progress bar.
    depth : int
        Items, and results, that may wait.

    Raises
    ------
    Exception
        The first of any of the three; nothing is read, computed or written after it but what was queued. All threads
        have ended when this returns or raises, by KeyboardInterrupt too.
    """

    def write_all(results):
        for result in results:
            write(result)

    writer = BatchWorker(write_all, batch=1, capacity=depth)
    items = read_ahead(source, depth)
    try:
        for item in items:
            writer.put(compute(item))
            if done is not None:
                done(item)
    finally:
        items.close()
        writer.close()


def read_ahead(iterable, depth=2):
    """Iterate in a thread, up to `depth` items ahead; errors of the iterable are raised where it is used.

    Yields
    ------
    object
        The items, in order.
    """
    waiting, stopped = queue.Queue(depth), threading.Event()
    thread = threading.Thread(target=_read, args=(iterable, waiting, stopped), name="openmm_cgvae reading", daemon=True)
    thread.start()
    try:
        while (entry := waiting.get())[0] is not END:
            yield entry[0]
        if entry[1] is not None:
            raise entry[1]
    finally:
        stopped.set()

        def end():
            while thread.is_alive():
                # Room for a reader that waits for it.
                with contextlib.suppress(queue.Empty):
                    waiting.get(timeout=0.02)

        uninterrupted(end)


def _read(iterable, waiting, stopped):
    """Queue (item, None) for each item, and at last (END, error or None)."""
    error = None
    try:
        for item in iterable:
            waiting.put((item, None))
            if stopped.is_set():
                return
    except BaseException as raised:
        error = raised
    waiting.put((END, error))
