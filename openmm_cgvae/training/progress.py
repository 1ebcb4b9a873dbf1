"""Progress bars of a training."""

import math
import time
from contextlib import contextmanager, suppress

from openmm_cgvae.core.progress import progress_bar as core_bar
from openmm_cgvae.training.distributed import rank

__all__ = ["allowed_units", "progress_bar"]


@contextmanager
def progress_bar(total, wanted, unit, initial=0, seconds=math.inf):
    """Show a bar of `total` units, or of those that the seconds given allow, in the first process alone.

    Yields
    ------
    callable or None
        ``tick(n=1, **measured)`` moves the bar on by n and shows what was measured. None if no bar is wanted, or there
        is no tqdm: a training node may have torch and numpy alone, and the log tells the progress there.
    """
    bar, begun = None, time.monotonic()
    if wanted and rank() == 0:
        with suppress(ImportError):
            bar = core_bar(total=total, initial=initial, unit=unit)
    if bar is None:
        yield None
        return
    with bar:

        def tick(n=1, **measured):
            # Not by a `Budget`, which asks the first process's clock, and the others make no bar.
            done = bar.n + n - initial
            bar.total = allowed_units(done, time.monotonic() - begun, total - initial, seconds) + initial
            bar.update(n)
            if measured:
                bar.set_postfix(measured)

        yield tick


def allowed_units(done, elapsed, total, seconds):
    """Tell how many of `total` units can be done within some seconds, if they go on as those that are done have."""
    if not elapsed:
        return total
    return max(done, min(total, round(done * seconds / elapsed))) if math.isfinite(seconds) else total
