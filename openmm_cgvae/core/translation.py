"""Errors of other packages on what users give, as ours: one line that says what to do next."""

import sys
import sysconfig
from contextlib import contextmanager
from pathlib import Path

from openmm_cgvae.core.errors import CGVAEError, one_line

__all__ = ["said_by_library", "translated"]

OWN = Path(__file__).parents[1]


@contextmanager
def translated(kind, text):
    """Raise whatever another package raises in the block as an error of ours.

    Parameters
    ----------
    kind : type
        A `CGVAEError`.
    text : str
        What was given, what is expected, what to do; ``{reason}`` in it becomes what the package said.
    """
    try:
        yield
    except CGVAEError:
        raise
    # Packages raise errors of any type on malformed input.
    except Exception as error:
        reason = one_line(error).rstrip(".:") or type(error).__name__
        raise kind(text.replace("{reason}", reason)) from error


def said_by_library(error):
    """What another package says in an error that it raised itself, on one line; None of an error of our own code."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    path = Path(place.tb_frame.f_code.co_filename) if place is not None else OWN
    package = _package(path)
    if package is None:
        return None
    return f"{package} says: {one_line(error) or type(error).__name__}"


def _package(path):
    """Name of the installed package that a file belongs to; None of this one's, and of Python's own."""
    if path.is_relative_to(OWN):
        return None
    for root in {sysconfig.get_path(name) for name in ("purelib", "platlib")} | set(sys.path):
        if root and path.is_relative_to(root) and "site-packages" in str(path):
            return path.relative_to(root).parts[0].removesuffix(".py")
    return None
