"""Interruptions that wait until a training has saved its state."""

import signal
import threading
from contextlib import contextmanager

__all__ = ["Interruption", "deferred_interruption"]


class Interruption:
    """Whether the process was asked to stop."""

    asked = False


@contextmanager
def deferred_interruption():
    """Note Ctrl-C and SIGTERM instead of stopping at once; a second one stops at once.

    At the end the noted one is raised, as ``KeyboardInterrupt``. Outside of the main thread, where Python delivers no
    signals, nothing changes.

    Yields
    ------
    Interruption
    """
    interruption, before = Interruption(), {}

    def note(number, frame):
        interruption.asked = True
        restore()

    def restore():
        for number, handler in before.items():
            signal.signal(number, handler)
        before.clear()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    try:
        yield interruption
    finally:
        restore()
    if interruption.asked:
        raise KeyboardInterrupt
