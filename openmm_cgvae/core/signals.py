"""SIGTERM and Ctrl-C: raised where all is cleaned up on the way, or noted until a state is saved."""

import signal
import threading
from contextlib import contextmanager

__all__ = ["Interruption", "Terminated", "deferred_interruption", "raised_sigterm", "uninterrupted"]


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM, as batch systems do before they kill it."""


class Interruption:
    """Whether the process was asked to stop, and by which signal."""

    asked = False
    signal = None


def _in_main_thread():
    return threading.current_thread() is threading.main_thread()


@contextmanager
def raised_sigterm():
    """Raise `Terminated` at SIGTERM, so that files and threads end as they do after Ctrl-C.

    Outside of the main thread, where Python delivers no signals, nothing changes.
    """

    def end(number, frame):
        raise Terminated

    if not _in_main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def deferred_interruption():
    """Note Ctrl-C and SIGTERM instead of stopping at once; a second one stops at once.

    At the end the noted one is raised, as ``KeyboardInterrupt``, of which `Terminated` is one. Outside of the main
    thread, where Python delivers no signals, nothing changes.

    Yields
    ------
    Interruption
    """
    interruption, before = Interruption(), {}

    def note(number, frame):
        interruption.asked, interruption.signal = True, number
        restore()

    def restore():
        for number, handler in before.items():
            signal.signal(number, handler)
        before.clear()

    if _in_main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    try:
        yield interruption
    finally:
        restore()
    if interruption.asked:
        raise Terminated if interruption.signal == signal.SIGTERM else KeyboardInterrupt


def uninterrupted(wait, hurry=None):
    """``wait()`` to its end, again after each interrupt; the first of them is raised then.

    For the end of threads: one that is left behind ends the process by force where it is in C++.

    Parameters
    ----------
    wait : callable
        May be called several times.
    hurry : callable, optional
        Called after an interrupt, to shorten the waiting.
    """
    interrupt = None
    while True:
        try:
            wait()
            break
        except KeyboardInterrupt as error:
            interrupt = interrupt or error
            if hurry is not None:
                hurry()
    if interrupt is not None:
        raise interrupt
