"""Output files of a run as they were at a checkpoint: told from foreign ones, and cut back to it."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from openmm_cgvae.core.errors import OutputError
from openmm_cgvae.formats.dcdwriter import HEADER_BYTES, without_counts

__all__ = ["WrittenFile", "remove_output"]

# Of the beginning of a file, which holds its frame count, and of the end of what was written: the same at every
# checkpoint, however long the file has become.
HEAD_BYTES, TAIL_BYTES = 4096, 65536


@dataclass(frozen=True)
class WrittenFile:
    """An output at a checkpoint.

    Parameters
    ----------
    size : int
        Bytes; 0 where it was not there yet.
    head : str
        Its first bytes, in hexadecimal.
    tail : str
        SHA-256 of its last bytes.
    """

    size: int = 0
    head: str = ""
    tail: str = ""

    @classmethod
    def of(cls, path):
        """Take the state of an output that is complete up to now."""
        path = Path(path)
        if not path.is_file():
            return cls()
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            return cls(size, file.read(min(size, HEAD_BYTES)).hex(), _tail(file, size))

    def check_there(self, path):
        """Refuse a file that is missing or shorter than it was (`OutputError`); returns its size."""
        size = os.path.getsize(path) if os.path.isfile(path) else 0
        if size < self.size:
            raise OutputError(f"output {path} of the run to go on with is missing or shorter than it was: begin anew")
        return size

    def check(self, path, run):
        """Refuse a file that is not the one the run wrote (`OutputError`); nothing is changed.

        Parameters
        ----------
        path : path
        run : str
            Id of the run, which its files have in their header.
        """
        size = self.check_there(path)
        if not size:
            return
        with open(path, "rb") as file:
            head = file.read(min(size, HEAD_BYTES))
            if self.size:
                known = bytes.fromhex(self.head)
                same = (
                    without_counts(head[: len(known)]) == without_counts(known) and _tail(file, self.size) == self.tail
                )
            else:
                # It began after the checkpoint; a process that was killed may have left less than a header.
                same = run.encode() in head[:HEADER_BYTES] or not head.strip(b"\0")
        if not same:
            raise OutputError(
                f"output {path} is not what the run to go on with wrote: give its own output, or begin a new run"
            )

    def restore(self, path):
        """Cut a file that has passed `check` back to what it was."""
        if not self.size:
            remove_output(path)
            return
        with open(path, "r+b") as file:
            file.write(bytes.fromhex(self.head))
            file.truncate(self.size)


def remove_output(path):
    """Remove an output that may be there; of a link what it leads to, so that the output will be there."""
    Path(os.path.realpath(path)).unlink(missing_ok=True)


def _tail(file, size):
    start = max(0, size - TAIL_BYTES)
    # What precedes in the header changes with every frame.
    start = max(start, min(size, HEADER_BYTES))
    file.seek(start)
    return hashlib.sha256(file.read(size - start)).hexdigest()
