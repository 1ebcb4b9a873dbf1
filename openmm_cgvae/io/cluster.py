"""Work on a Dask cluster: items in order, those of a lost worker again."""

import pickle
import threading
from collections import deque
from contextlib import contextmanager

from openmm_cgvae.core.errors import ClusterError, MissingDependencyError, one_line
from openmm_cgvae.core.parallel import available_cores

__all__ = ["cluster_client", "in_order", "made_in_order"]

# Items for every thread of the cluster that are under way or done and not yet asked for.
AHEAD = 2
# A worker calls one function at a time, however many threads it has: models and minimisers have threads of their own.
_ALONE = threading.Lock()


@contextmanager
def cluster_client(scheduler, workers=None, timeout=30):
    """Give a ``distributed.Client``, and None where no scheduler is given.

    Parameters
    ----------
    scheduler : str or None
        Address, or file, of a running scheduler; "local" for processes on this machine, which end with the block.
    workers : int, optional
        Processes of "local"; one a core if omitted.
    timeout : float
        Seconds to wait for the scheduler.

    Raises
    ------
    MissingDependencyError
        Without Dask distributed.
    ClusterError
        If the scheduler does not answer.
    """
    if scheduler is None:
        yield None
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise MissingDependencyError("a scheduler needs Dask: pip install 'openmm_cgvae[cluster]'") from error
    if scheduler == "local":
        with (
            LocalCluster(
                n_workers=workers or available_cores(), threads_per_worker=1, dashboard_address=None
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    named = {"scheduler_file": scheduler} if str(scheduler).endswith(".json") else {"address": scheduler}
    try:
        client = Client(**named, timeout=timeout)
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(f"no scheduler of Dask answers at {scheduler}: {one_line(error)}") from error
    with client:
        yield client


def in_order(client, function, items):
    """Yield (item, ``function(item)``) for every item, in order, each made by a worker of the cluster.

    So many items are under way as keep all workers busy. What a worker was at when it was lost, another does.

    Parameters
    ----------
    client : distributed.Client
    function : callable
        Pickled, once; what it returns too.
    items : iterable
        Read as far as items are under way.

    Raises
    ------
    ClusterError
        If workers are lost at the same item time and again, or the scheduler is.
    Exception
        The first of `function`.
    """
    import dask

    # Models are large, and submitted once; scattered they would be lost with the workers. (Python's own way to silence
    # a warning for a while changes the filters of other threads for good.)
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
        function = client.submit(_Loaded, pickle.dumps(function), pure=False)
    waiting = deque()
    try:
        for item in items:
            waiting.append((item, client.submit(_call, function, item, pure=False)))
            if len(waiting) >= max(2, AHEAD * sum(client.nthreads().values())):
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())
    finally:
        for _, future in waiting:
            future.cancel()


def made_in_order(function, items, client=None):
    """Yield ``function(item)`` for every item: here, or by a cluster as `in_order` has it."""
    if client is None:
        yield from map(function, items)
    else:
        for _, made in in_order(client, function, items):
            yield made


class _Loaded:
    """A function that each worker unpickles once, at its first call; only its bytes go from one worker to another.

    Loading a model takes seconds: done by all workers at the same time, not by the second after the first.
    """

    def __init__(self, pickled):
        self._pickled, self._function = pickled, None

    def __getstate__(self):
        return self.__dict__ | {"_function": None}

    def __call__(self, item):
        self._function = self._function or pickle.loads(self._pickled)
        return self._function(item)


def _call(function, item):
    with _ALONE:
        return function(item)


def _result(item, future):
    from distributed import CancelledError, KilledWorker

    try:
        return item, future.result()
    except KilledWorker as error:
        raise ClusterError(
            "workers of the cluster were lost at the same part of the work time and again: give them more memory, or "
            f"smaller parts ({one_line(error)})"
        ) from error
    except (CancelledError, OSError) as error:
        if isinstance(error, OSError) and future.status == "error":
            raise
        raise ClusterError(f"the scheduler of the cluster is lost: {one_line(error)}") from error
