"""Which frames of a trajectory are read: by number, by time, or every so many."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from openmm_cgvae.core.errors import DataError, SettingsError
from openmm_cgvae.core.units import value_in_md_units

__all__ = ["FrameSelection", "parse_frames", "parse_times"]

# Of a time in files, which is rounded.
ROUNDING = 1e-6


@dataclass(frozen=True)
class FrameSelection:
    """Frames from `start` on, before `stop`, every `step`-th, of times from `begin` to `end`.

    Parameters
    ----------
    start, stop : int or None
        Numbers over all files, from 0; negative ones count from the end.
    step : int
    begin, end : float or None
        ps, both included.
    """

    start: int | None = None
    stop: int | None = None
    step: int = 1
    begin: float | None = None
    end: float | None = None

    @classmethod
    def of(cls, frames: Any = None, times: Any = None, stride: int = 1) -> FrameSelection:
        """Make one of what users give.

        Parameters
        ----------
        frames : slice, range or pair of int, optional
        times : pair of float or Quantity, optional
            First and last time in ps; None in it for no limit.
        stride : int
            Step where `frames` has none.

        Raises
        ------
        SettingsError
            If it is none of these, a step is below 1, or both have a step.
        """
        try:
            whole = int(stride)
        except (TypeError, ValueError):
            whole = 0
        if whole != stride or whole < 1:
            raise SettingsError(f"stride={stride} given: a whole number of 1 or more is expected")
        start, stop, step = _limits(frames)
        if step not in (None, 1) and whole != 1:
            raise SettingsError(f"stride={stride} and frames with a step of {step} given: give one of them")
        begin, end = _times(times)
        return cls(start, stop, whole if step in (None, 1) else step, begin, end)

    @property
    def by_time(self) -> bool:
        """Whether times have to be known."""
        return self.begin is not None or self.end is not None

    def counted(self, n_frames: int | None) -> FrameSelection:
        """The same with numbers counted from the start alone; `DataError` if the number of frames is asked for."""
        ends = [limit for limit in (self.start, self.stop) if limit is not None and limit < 0]
        if not ends:
            return self
        if n_frames is None:
            raise DataError(
                f"frame {ends[0]}, counted from the end, asked of a file that tells its number of frames only when it "
                "is read: give numbers from the start"
            )
        start, stop = (limit if limit is None or limit >= 0 else max(0, n_frames + limit)
                       for limit in (self.start, self.stop))  # fmt: skip
        return FrameSelection(start, stop, self.step, self.begin, self.end)

    def numbers(self, first: int, n_frames: int) -> np.ndarray:
        """Numbers within a file of n frames, of which the first has the number `first` over all files."""
        start = self.start or 0
        begin = start - first if first <= start else (start - first) % self.step
        stop = n_frames if self.stop is None else min(n_frames, self.stop - first)
        return np.arange(begin, max(begin, stop), self.step)

    def has(self, numbers: np.ndarray) -> np.ndarray:
        """Which of these numbers over all files are selected, (f,) of bool."""
        start = self.start or 0
        found = (numbers >= start) & ((numbers - start) % self.step == 0)
        return found if self.stop is None else found & (numbers < self.stop)

    def timely(self, times: np.ndarray) -> np.ndarray:
        """Which of these times in ps are selected, (f,) of bool."""
        slack = ROUNDING * np.maximum(1.0, abs(times))
        found = np.ones(len(times), dtype=bool)
        if self.begin is not None:
            found &= times >= self.begin - slack
        if self.end is not None:
            found &= times <= self.end + slack
        return found

    def __str__(self) -> str:
        parts = []
        if (self.start, self.stop, self.step) != (None, None, 1):
            parts.append(f"frames {_joined(self.start, self.stop)}{f':{self.step}' if self.step > 1 else ''}")
        if self.by_time:
            parts.append(f"times {_joined(self.begin, self.end)}")
        return " and ".join(parts) or "all frames"


def _joined(first, last):
    return ":".join("" if limit is None else f"{limit:g}" for limit in (first, last))


def _limits(frames):
    if frames is None:
        return None, None, None
    if isinstance(frames, slice | range):
        limits = frames.start, frames.stop, frames.step
    else:
        limits = (*frames, None) if isinstance(frames, tuple | list) and len(frames) in (2, 3) else (frames,)
    whole = len(limits) >= 3 and all(limit is None or _is_whole(limit) for limit in limits[:3])
    if not whole or (limits[2] is not None and limits[2] < 1):
        raise SettingsError(
            f"frames={frames} given: a first number, one to stop before, and a step of 1 or more are expected, as in "
            "slice(100, 2000, 10), or 100:2000:10 on the command line"
        )
    return limits[:3]


def _is_whole(number):
    return hasattr(number, "__index__") and not isinstance(number, bool)


def _times(times):
    if times is None:
        return None, None
    try:
        limits = [None if limit is None else float(value_in_md_units(limit)) for limit in times]
    except (TypeError, ValueError):
        limits = []
    given = [limit for limit in limits if limit is not None]
    if len(limits) != 2 or not all(map(math.isfinite, given)) or (len(given) == 2 and given[0] > given[1]):
        raise SettingsError(f"times={times} given: a first and a last time in ps are expected, as in (10, 50)")
    return limits


def parse_frames(text: str | None) -> slice | None:
    """Read ``100:2000:10`` as Python's slices are written; None of None.

    Raises
    ------
    SettingsError
        If it is none.
    """
    if text is None:
        return None
    try:
        limits = [int(part) if part.strip() else None for part in text.split(":")]
    except ValueError:
        limits = []
    if len(limits) not in (2, 3):
        raise SettingsError(f"--frames {text} given: START:STOP or START:STOP:STEP is expected, as in 100:2000:10")
    return slice(*limits)


def parse_times(text: str | None) -> tuple[float | None, ...] | None:
    """Read ``10:50`` as a first and a last time in ps; None of None.

    Raises
    ------
    SettingsError
        If it is none.
    """
    if text is None:
        return None
    try:
        limits = tuple(float(part) if part.strip() else None for part in text.split(":"))
    except ValueError:
        limits = ()
    if len(limits) != 2:
        raise SettingsError(f"--times {text} given: FIRST:LAST in ps is expected, as in 10:50")
    return limits
