"""Progress bars: one function makes them all, and one switch leaves them out."""

from contextlib import contextmanager

__all__ = ["progress_bar", "progress_bars"]

_wanted = True


def progress_bar(*args, shown=True, delay=3.0, **settings):
    """Return a ``tqdm`` bar of `args` and `settings` with rate and time left, to appear after `delay` seconds of work.

    It stays hidden if it is not to be `shown`, or where `progress_bars` leaves out all.
    """
    from tqdm.auto import tqdm

    return tqdm(*args, disable=not (shown and _wanted), delay=delay, **settings)


@contextmanager
def progress_bars(wanted):
    """Leave out all progress bars of this process, whoever asks for them, if not `wanted`."""
    global _wanted
    before, _wanted = _wanted, wanted
    try:
        yield
    finally:
        _wanted = before
