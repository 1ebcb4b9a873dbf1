"""Progress bars: one function makes them all, and one switch leaves them out."""

from contextlib import contextmanager

__all__ = ["progress_bar", "progress_bars"]

_wanted = True


def progress_bar(*args, shown=True, delay=3.0, **settings):
    """Return a ``tqdm`` bar with rate and time left, which appears once it has been worked for some seconds.

    Parameters
    ----------
    *args, **settings
        Of ``tqdm.tqdm``.
    shown : bool
        Whether to show it, unless `progress_bars` leaves out all.
    delay : float
        Seconds.

    Raises
    ------
    ImportError
        If there is no tqdm.
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
