"""Outputs that appear complete or not at all, and replace nothing unless told to."""

import hashlib
import os
from contextlib import contextmanager
from pathlib import Path

from openmm_cgvae.core.errors import OutputError

__all__ = ["check_output", "complete_output", "existing_folder"]

# Bytes of a name from which a temporary one is made of its digest.
LONGEST = 200


def check_output(path, overwrite=False, inputs=()):
    """Refuse an output that cannot or may not be written, before any work is done.

    Parameters
    ----------
    path : path
    overwrite : bool
        Whether an existing file may be replaced.
    inputs : sequence of path
        Files that may not be replaced whatever `overwrite` says.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OutputError
        If the folder is missing, or the file exists and `overwrite` is false.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise OutputError(f"folder {path.parent} of output {path} does not exist: create it first")
    if path.is_dir():
        raise OutputError(f"output {path} is a folder: give the name of a file")
    for given in inputs:
        if path.exists() and Path(given).exists() and path.samefile(given):
            raise OutputError(f"output {path} is an input of the same command: choose another name")
    if path.exists() and not overwrite:
        raise OutputError(f"output {path} exists: choose another name, or pass overwrite (--overwrite) to replace it")
    return path


@contextmanager
def complete_output(path):
    """Give a temporary name beside `path`; move it there on success, remove it on failure.

    What stood at `path` before stays until the new file is complete.
    """
    path = Path(path)
    # The suffix stays last, since writers choose the format by it.
    temporary = path.with_name(f".{_short(path.stem)}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _short(stem):
    """A name that has room for more beside it in the 255 bytes that file systems give."""
    if len(os.fsencode(stem)) < LONGEST:
        return stem
    return f"{stem[:20]}-{hashlib.sha256(os.fsencode(stem)).hexdigest()[:16]}"


def existing_folder(folder):
    """Make a folder for outputs if it is missing; its parent must exist (`OutputError`)."""
    folder = Path(folder)
    if not folder.parent.is_dir():
        raise OutputError(f"folder {folder.parent} does not exist: create it first")
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: give the name of a folder")
    folder.mkdir(exist_ok=True)
    return folder
