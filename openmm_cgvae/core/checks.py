"""Numbers that users give, checked once and in one wording."""

import math
import os
import secrets
from dataclasses import fields
from numbers import Real
from types import NoneType
from typing import get_args, get_type_hints

import numpy as np

from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.units import value_in_md_units

__all__ = [
    "check_memory",
    "check_ranges",
    "check_types",
    "checked_count",
    "checked_frames",
    "checked_number",
    "checked_seed",
]


# What a setting of a type has to be.
EXPECTED = {bool: "True or False", int: "a whole number", float: "a number", str: "a word"}


def check_memory(n_bytes, what):
    """Refuse what needs more memory than the machine has (`SettingsError`); `what` says of what, for the message."""
    try:
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        # Not told on this system.
        return
    if n_bytes > available:
        raise SettingsError(
            f"{what} given, which need {n_bytes / 2**30:.3g} GiB of memory: this machine has {available / 2**30:.3g}"
        )


def check_types(config):
    """Hold the settings of a dataclass against its type hints; a whole number that was given as a float becomes an int.

    Raises
    ------
    SettingsError
        If a setting is of another type, a number is not finite, or a seed is negative.
    """
    hints = get_type_hints(type(config))
    for field in fields(config):
        value, kinds = getattr(config, field.name), get_args(hints[field.name]) or (hints[field.name],)
        if value is None and NoneType in kinds:
            continue
        for kind, expected in EXPECTED.items():
            if kind in kinds:
                if kind in (int, float) and not _is_number(value):
                    expected = "a number"
                elif _is_a(kind, value):
                    expected = None
                if expected:
                    raise SettingsError(f"{field.name}={value!r} given: {expected} is expected")
                # 2e7, as one writes it.
                object.__setattr__(config, field.name, kind(value) if kind is int else value)
                break
        if field.name == "seed":
            checked_seed(value)


def check_ranges(config, positive=(), zero=(), part=(), below_one=()):
    """Hold settings of a dataclass, given by name, against their ranges.

    Parameters
    ----------
    config : dataclass
    positive, zero : sequence of str
        Of those above 0, and of those of 0 or more.
    part, below_one : sequence of str
        Of those from 0 to 1, and of those that must not be 1 either. None, where a type allows it, is in any range.

    Raises
    ------
    SettingsError
        If one is out of range.
    """
    ranges = (
        (positive, lambda value: value > 0, "a positive number"),
        (zero, lambda value: value >= 0, "0 or more"),
        (part, lambda value: 0 <= value <= 1, "0 to 1"),
        (below_one, lambda value: 0 <= value < 1, "0 or more and below 1"),
    )
    for names, fits, expected in ranges:
        for name in names:
            value = getattr(config, name)
            if value is not None and not fits(value):
                raise SettingsError(f"{name}={value} given: {expected} is expected")


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_a(kind, value):
    return isinstance(value, kind) if kind in (bool, str) else kind is float or value == int(value)


def checked_number(name, value, unit="", zero=False):
    """Return a number or ``Quantity`` as a float in OpenMM's units.

    Parameters
    ----------
    name : str
        What the user calls it.
    value : float or Quantity
    unit : str
        For the message.
    zero : bool
        Whether 0 is in range, as all that is above it.

    Raises
    ------
    SettingsError
        If it is no finite number, or out of range.
    """
    try:
        number = float(value_in_md_units(value))
    except (TypeError, ValueError):
        number = math.nan
    if not (0 < number < math.inf or (zero and number == 0)):
        expected = f"a number {'of 0 or more' if zero else 'above 0'}{unit and f' in {unit}'}"
        raise SettingsError(f"{name}={value} given: {expected} is expected")
    return number


def checked_count(name, value):
    """Return a whole number of 1 or more as an int (`SettingsError` if it is not)."""
    number = checked_number(name, value)
    if number != int(number):
        raise SettingsError(f"{name}={value} given: a whole number is expected")
    return int(number)


def checked_seed(seed):
    """Return a seed from 0 to 2**64 - 1 as an int, drawn at random if None (`SettingsError` if out of range)."""
    seed = secrets.randbits(63) if seed is None else int(seed)
    if not 0 <= seed < 2**64:
        raise SettingsError(f"seed={seed} given: an integer from 0 to 2**64 - 1 is expected")
    return seed


def checked_frames(frames, n_frames, bits=63):
    """Return the numbers that key the noise of frames, an int array (n_frames,); 0, 1, 2, ... if None.

    Raises
    ------
    SettingsError
        If there is not one for each frame, or one is negative or not below ``2**bits``.
    """
    frames = np.arange(n_frames) if frames is None else np.asarray(frames)
    if frames.shape != (n_frames,) or (frames < 0).any() or (frames >= 1 << bits).any():
        raise SettingsError(
            f"frames={frames} given: a number from 0 to 2**{bits} - 1 for each of {n_frames} frames is expected"
        )
    return frames.astype(np.int64)
