"""Outputs that appear complete or not at all, replace nothing unless told to, and are named when a disk is full.

All files are written through `complete_output`, or by a writer of trajectories inside `naming_output`.
"""

import errno
import hashlib
import json
import os
import platform
import re
from contextlib import contextmanager, suppress
from pathlib import Path

from openmm_cgvae.core.errors import OutputError

__all__ = [
    "FULL",
    "check_apart",
    "check_output",
    "complete_output",
    "existing_folder",
    "naming_output",
    "sync",
    "unfinished_folder",
    "write_json",
    "write_text",
]

# Bytes of a name from which a temporary one is made of its digest.
LONGEST = 200
# What only an output can be the reason of, whatever file the error names or does not name.
FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up", errno.EFBIG: "the file is too large"}
# Temporary files of this package: the name they are for, the machine and the process that writes them.
TEMPORARY = re.compile(r"\..*\.cgvae-(?P<host>[0-9a-f]{8})-(?P<pid>\d+)\.tmp")


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
    if path.exists() and not path.is_file():
        raise OutputError(f"output {path} is a device or a pipe: give the name of a file")
    if path.is_symlink() and not Path(os.path.realpath(path)).parent.is_dir():
        raise OutputError(f"output {path} is a link into a folder that does not exist: create it first")
    for given in inputs:
        if path.exists() and Path(given).exists() and path.samefile(given):
            raise OutputError(f"output {path} is an input of the same command: choose another name")
    if path.exists() and not overwrite:
        raise OutputError(f"output {path} exists: choose another name, or pass overwrite (--overwrite) to replace it")
    return path


def check_apart(outputs, inputs=None):
    """Refuse outputs of one command or call that are each other, or one of its inputs, links of all kinds resolved.

    Parameters
    ----------
    outputs, inputs : dict of str to path or None
        By what they are called in messages; None of those that are left out. Inputs may be names of what is no file.

    Raises
    ------
    OutputError
        Naming both.
    """
    outputs = [(what, Path(path)) for what, path in outputs.items() if path is not None]
    inputs = [(what, Path(path)) for what, path in (inputs or {}).items() if path is not None]
    for k, (what, path) in enumerate(outputs):
        for other, given in inputs:
            if _is_same(path, given):
                raise OutputError(
                    f"output {path} ({what}) is an input of the same command ({other}): choose another name"
                )
        for other, given in outputs[:k]:
            if _is_same(path, given):
                raise OutputError(
                    f"outputs {given} ({other}) and {path} ({what}) are the same file: give them different names"
                )


def _is_same(path, other):
    """Whether two names lead to the same place, one where there is no file yet too."""
    if os.path.realpath(path) == os.path.realpath(other):
        return True
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


@contextmanager
def complete_output(path):
    """Give a temporary name beside `path`; move it there on success, remove it on failure.

    What stood at `path` before stays until the new file is complete and on the disk. A link is followed. Temporary
    files that processes of this machine left when they were killed are removed from the folder.

    Raises
    ------
    OutputError
        If the disk does not take the file, naming it.
    """
    target = Path(os.path.realpath(path)) if Path(path).is_symlink() else Path(path)
    _remove_stale(target.parent)
    # The suffix stays last, since writers choose the format by it.
    temporary = target.with_name(f".{_short(target.stem)}.cgvae-{_host()}-{os.getpid()}.tmp{target.suffix}")
    try:
        with naming_output(path, temporary):
            yield temporary
            sync(temporary)
            temporary.replace(target)
            sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def naming_output(path, temporary=None):
    """Raise what the system says when a file cannot be written as an `OutputError` that names the output."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        named = error.filename is not None and os.fspath(error.filename) in {os.fspath(path), str(temporary)}
        # numpy counts what was written, and has no errno.
        short = error.errno is None and "written" in str(error)
        if not (error.errno in FULL or named or short):
            raise
        reason = FULL.get(error.errno, "the disk is full" if short else error.strerror)
        remedy = "free space there, or choose another place"
        raise OutputError(f"output {path} cannot be written: {reason}; {remedy}") from error


def write_text(path, text):
    """Write a text file, which appears complete."""
    with complete_output(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path, value):
    """Write a JSON file, which appears complete."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def sync(path):
    """Have the system put a file, or the names in a folder, on the disk: a power cut then leaves it whole."""
    try:
        number = os.open(path, os.O_RDONLY)
    except OSError:
        # Folders cannot be opened on every system; what lacks is noticed by whoever uses it.
        return
    try:
        os.fsync(number)
    except OSError as error:
        # Of file systems that cannot, not of those that are full.
        if error.errno in FULL or error.errno == errno.EIO:
            error.filename = str(path)
            raise
    finally:
        os.close(number)


def _remove_stale(folder):
    """Remove temporary files of processes of this machine that have ended without removing them."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            found = TEMPORARY.match(entry.name)
            if found and found["host"] == _host() and not _is_running(int(found["pid"])):
                with suppress(OSError):
                    os.unlink(entry.path)


def _is_running(pid):
    if os.name != "posix":
        # There is no harmless way to ask.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # It is another user's.
        return True
    return True


def _host():
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def unfinished_folder(output):
    """The folder in which the parts of an output are until it is complete: ``aa.dcd.unfinished``."""
    return Path(output).with_name(f"{Path(output).name}.unfinished")


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
