"""Work beside the simulation: in order, bounded, and never failing silently."""

import atexit
import queue
import threading
import time
from contextlib import suppress

from openmm_cgvae.core.signals import uninterrupted

__all__ = ["BatchWorker"]

CLOSE = object()
# Seconds after which a thread that waits looks whether the other one is still there.
LOOK = 1.0


class BatchWorker:
    """A thread that hands items, in order and several at a time, to a function.

    Parameters
    ----------
    process : callable
        Takes a non-empty list of items. Its first exception ends the work and is raised by every
        later `put`, or by `close` if there is none.
    batch : int
        Most items a call.
    capacity : int
        Items that may wait; `put` blocks beyond, so that memory does not grow.
    patience : float
        Seconds to wait for a batch to fill.
    prepare : callable, optional
        Called once in the thread before any work.
    ends : callable, optional
        Takes an item and tells whether a batch ends with it, full or not.
    """

    def __init__(self, process, batch=64, capacity=256, patience=0.25, prepare=None, ends=None):
        self._process = process
        self._prepare = prepare
        self._batch = batch
        self._ends = ends
        self._patience = patience
        self._queue = queue.Queue(capacity)
        self._error = None
        self._raised = self._hurried = False
        # Not the thread's own state: a `join` that Ctrl-C interrupts takes it for ended.
        self._ended = threading.Event()
        # At the end of Python a thread must not be at work outside of it.
        atexit.register(self._end)
        self._thread = threading.Thread(target=self._work, name="openmm_cgvae backmapping", daemon=True)
        self._thread.start()

    def put(self, item):
        """Queue an item, waiting for room if need be."""
        self._raise_error()
        self._queue.put(item)

    def flush(self):
        """Wait until everything queued is done; raises the error of unfinished work."""
        self._raise_error()
        done = threading.Event()
        self._queue.put(done)
        while not done.wait(LOOK) and self._thread.is_alive():
            pass
        self._raise_error()

    def close(self):
        """Finish everything queued and end the thread; raises the error of unfinished work, unless `put` has.

        Ctrl-C meanwhile drops what is queued; it is raised when the thread has ended.
        """
        atexit.unregister(self._end)
        uninterrupted(self._end, self._hurry)
        if not self._raised:
            self._raise_error()

    def _end(self):
        while not self._ended.is_set():
            with suppress(queue.Full):
                self._queue.put(CLOSE, timeout=0.1)
                self._ended.wait()
        self._thread.join()

    def _hurry(self):
        self._hurried = True

    def _raise_error(self):
        if self._error is not None:
            self._raised = True
            raise self._error

    def _work(self):
        try:
            self._work_until_closed()
        finally:
            self._ended.set()

    def _work_until_closed(self):
        closing = failed = False
        while not closing:
            items, closing, waiting = self._collect()
            # After an error the queue is still emptied, so that `put` cannot block for ever.
            if items and not failed and not self._hurried:
                try:
                    if self._prepare is not None:
                        self._prepare()
                        self._prepare = None
                    self._process(items)
                except BaseException as error:
                    self._error, failed = error, True
            if waiting is not None:
                waiting.set()

    def _collect(self):
        """Items of the next batch, whether they are the last, and who waits for them to be done, or None."""
        items = []
        deadline = None
        while len(items) < self._batch:
            try:
                wait = None if deadline is None else max(0.0, deadline - time.monotonic())
                item = self._queue.get(timeout=wait)
            except queue.Empty:
                break
            if item is CLOSE:
                return items, True, None
            if isinstance(item, threading.Event):
                return items, False, item
            items.append(item)
            if self._ends is not None and self._ends(item):
                break
            deadline = deadline or time.monotonic() + self._patience
        return items, False, None
