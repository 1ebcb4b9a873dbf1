"""One process a run: locks that end with the process that holds them, however it ends."""

import logging
import os
import socket
import threading
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path

from openmm_cgvae.core.errors import OutputError

__all__ = ["locked", "locking"]

logger = logging.getLogger(__name__)

# Locks that this process holds: lock file to (thread, times it was taken).
_held: dict[Path, tuple[int, int]] = {}
_guard = threading.Lock()


@contextmanager
def locked(*outputs):
    """Hold the lock of every output, files or folders, so that no other process writes them at the same time.

    The lock is one of the operating system on a hidden file beside the output (``.aa.dcd.lock``; in a folder
    ``.lock``): it ends with the process, by kill -9 too, and a file that such a process left is taken over and removed.
    A thread may take a lock again that it holds.

    Raises
    ------
    OutputError
        If another process, or another thread of this one, is at work on one of them.
    """
    files = sorted({_lock_file(output) for output in outputs if output is not None})
    with ExitStack() as stack:
        for file in files:
            stack.enter_context(_one(file))
        yield


def locking(name):
    """Decorate methods so that they hold the lock of ``self.<name>``, an output, while they run; of None none."""

    def decorated(method):
        @wraps(method)
        def held(self, *args, **options):
            with locked(getattr(self, name)):
                return method(self, *args, **options)

        return held

    return decorated


def _lock_file(output):
    output = Path(os.path.realpath(output))
    return output / ".lock" if output.is_dir() else output.with_name(f".{output.name[:200]}.lock")


@contextmanager
def _one(file):
    me = threading.get_ident()
    with _guard:
        owner, count = _held.get(file, (me, 0))
        if owner != me:
            raise _busy(file, f"another thread of this process, {os.getpid()}")
        handle = _taken(file) if count == 0 else None
        _held[file] = (me, count + 1)
    try:
        yield
    finally:
        with _guard:
            _held[file] = (me, _held[file][1] - 1)
            if _held[file][1] == 0:
                del _held[file]
        if handle is not None:
            # Removed while it is locked: who opened it before finds that it is gone, and begins anew.
            file.unlink(missing_ok=True)
            handle.close()


def _taken(file):
    """The open lock file, locked."""
    while True:
        # Not "w": who holds the lock is written in it.
        handle = open(file, "a+")  # noqa: SIM115 (closed with the lock)
        if not _try_lock(handle):
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            handle.close()
            raise _busy(file, holder)
        try:
            same = os.path.samestat(os.fstat(handle.fileno()), os.stat(file))
        except FileNotFoundError:
            same = False
        if same:
            break
        handle.close()
    handle.truncate(0)
    handle.write(f"process {os.getpid()} on {socket.gethostname()}")
    handle.flush()
    return handle


def _try_lock(handle):
    """Whether the lock could be had at once; true where the file system knows no locks, which the log says."""
    try:
        import fcntl
    except ImportError:
        # A system without them.
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        logger.warning("%s cannot be locked (%s): see that no other process writes there", handle.name, error)
    return True


def _busy(file, holder):
    name = file.parent if file.name == ".lock" else file.with_name(file.name[1 : -len(".lock")])
    return OutputError(f"{name} is being written by {holder}: wait until that has ended, or stop it")
