"""Progress bars of a training."""

from contextlib import contextmanager, suppress

from openmm_cgvae.core.progress import progress_bar as core_bar
from openmm_cgvae.training.distributed import rank

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(total, wanted, unit, initial=0):
    """Show a bar of `total` units, in the first process alone.

    Yields
    ------
    callable or None
        ``tick(n=1, **measured)`` moves the bar on by n and shows what was measured. None if no bar is wanted, or there
        is no tqdm: a training node may have torch and numpy alone, and the log tells the progress there.
    """
    bar = None
    if wanted and rank() == 0:
        with suppress(ImportError):
            bar = core_bar(total=total, initial=initial, unit=unit)
    if bar is None:
        yield None
        return
    with bar:

        def tick(n=1, **measured):
            bar.update(n)
            if measured:
                bar.set_postfix(measured)

        yield tick
