"""A file being written, whose errors name it and whose end is checked: a full disk is never taken for success."""

import os
from contextlib import contextmanager, suppress
from pathlib import Path

from openmm_cgvae.core.errors import OutputError, one_line
from openmm_cgvae.core.output import FULL

__all__ = ["OutputFile", "naming"]


@contextmanager
def naming(path):
    """Turn every ``OSError`` of the block, in which that file alone is written, into an `OutputError` that names it."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        reason = FULL.get(error.errno, error.strerror or one_line(error))
        raise OutputError(
            f"output {path} cannot be written: {reason}; free space there, or choose another place"
        ) from error


class OutputFile:
    """A binary file that is written without a buffer of its own: an error is raised where it happens.

    Parameters
    ----------
    path : path
    append : bool
        Go on with an existing file.
    name : path, optional
        What messages call the file, where `path` is a temporary one.

    Raises
    ------
    OutputError
        Here and in every method, if the disk does not take what is written.
    """

    def __init__(self, path, append=False, name=None):
        self.path, self.name = Path(path), name or path
        with naming(self.name):
            self._file = open(self.path, "r+b" if append else "wb", buffering=0)  # noqa: SIM115 (closed by close)
            self._size = os.fstat(self._file.fileno()).st_size
        # Whether an error was raised: what is to follow at the end of the file then need not.
        self.failed = False

    @property
    def closed(self):
        """Whether `close` was called."""
        return self._file.closed

    def append(self, content):
        """Write bytes at the end; of what the disk does not take whole, nothing stays."""
        try:
            self._put(self._size, content)
        except OutputError:
            with suppress(OSError):
                self._file.truncate(self._size)
            raise
        self._size += len(content)

    def overwrite(self, at, content):
        """Write bytes over those at a place."""
        self._put(at, content)

    def truncate(self, size):
        """Cut the file."""
        with naming(self.name):
            self._file.truncate(size)
        self._size = size

    def _put(self, at, content):
        try:
            with naming(self.name):
                self._file.seek(at)
                rest = memoryview(content)
                while len(rest):
                    rest = rest[self._file.write(rest) :]
        except OutputError:
            self.failed = True
            raise

    def flush(self):
        """Have what was written put on the disk."""
        with naming(self.name):
            os.fsync(self._file.fileno())

    def close(self):
        """Finish the file, and make sure that all of it is there; harmless if called again."""
        if self._file.closed:
            return
        try:
            if self.failed:
                return
            with naming(self.name):
                # Some file systems tell only now that there is no room.
                os.fsync(self._file.fileno())
                found = os.fstat(self._file.fileno()).st_size
            if found != self._size:
                raise OutputError(
                    f"output {self.name} has {found} bytes where {self._size} were written: another program has "
                    "changed it, or the disk is faulty"
                )
        finally:
            with naming(self.name):
                self._file.close()
