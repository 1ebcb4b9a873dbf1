"""Files that users give, read within bounds: whatever is wrong with one becomes a single error of ours."""

import json
import pickle
import stat
import struct
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path

from openmm_cgvae.core.errors import CGVAEError, one_line

__all__ = ["MOST_JSON_BYTES", "parsed_json", "read_json", "reading", "regular_file"]

# Bytes of a JSON text, and lists and objects in it, each of which takes some 64 bytes in Python.
MOST_JSON_BYTES = 1 << 25
MOST_JSON_PARTS = 1 << 21
MOST_DIGITS = 400

# What Python, numpy and torch raise on a file that is missing a part, damaged, or something else.
UNREADABLE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def reading(path, kind, expected, error):
    """Turn whatever a damaged or foreign file makes Python raise into one error that names the file.

    Parameters
    ----------
    path : path
    kind : str
        What the file is to be, such as "dataset".
    expected : str
        Who writes such files, for the message.
    error : type
        Exception to raise, one of ours.
    """
    try:
        yield
    except CGVAEError as problem:
        if isinstance(problem, error) and str(path) in str(problem) and "\n" not in str(problem):
            raise
        said = one_line(problem).rstrip(".")
        raise error(f"{path} is not a {kind} to use: {said}; what {expected} writes is expected") from problem
    except FileNotFoundError as problem:
        raise error(f"{kind} {path} does not exist: {expected} makes one") from problem
    except OSError as problem:
        raise error(f"{kind} {path} cannot be read: {problem.strerror or one_line(problem)}") from problem
    except UNREADABLE as problem:
        raise error(f"{path} is not a {kind} ({_said(problem)}): what {expected} writes is expected") from problem


def _said(problem):
    """What an exception says, with its type where that alone says something."""
    text = one_line(problem)
    return f"{type(problem).__name__}: {text}" if isinstance(problem, LookupError) or not text else text


def regular_file(path):
    """Return the size of a file in bytes; ``OSError`` if it is a folder, a device or a pipe, which may have no end."""
    found = Path(path).stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(21, "Is a directory")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(22, "it is a device or a pipe, a file is expected")
    return found.st_size


def read_json(path):
    """Read a JSON file as `parsed_json`."""
    size = regular_file(path)
    if size > MOST_JSON_BYTES:
        raise ValueError(f"{size} bytes of JSON, {MOST_JSON_BYTES} at most are read")
    return parsed_json(Path(path).read_bytes())


def parsed_json(content):
    """Parse JSON text (bytes) whose size and number of parts are bounded.

    Raises
    ------
    ValueError
        If it is no JSON, too large, too deep, or names an entry twice.
    """
    if len(content) > MOST_JSON_BYTES:
        raise ValueError(f"{len(content)} bytes of JSON, {MOST_JSON_BYTES} at most are read")
    parts = content.count(b"[") + content.count(b"{")
    if parts > MOST_JSON_PARTS:
        raise ValueError(f"{parts} lists in JSON, {MOST_JSON_PARTS} at most are read")
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_distinct, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("lists in lists without end in JSON") from error


def _distinct(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def _whole(text):
    # int() of millions of digits takes minutes in Pythons that allow it.
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)
