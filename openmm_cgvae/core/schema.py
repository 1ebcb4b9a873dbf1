"""What the entries of a JSON file of ours may be, and a check that names the first one that is something else.

A schema is a function of a value and of what to call it: ``record({"epoch": whole(0)})(value, "metadata")``.
"""

import math
from collections.abc import Callable
from typing import Any

__all__ = ["anything", "either", "entries", "flag", "listing", "nothing", "number", "one_of", "record", "text", "whole"]

Schema = Callable[[Any, str], None]
LONGEST_SHOWN = 40


def _refuse(value: Any, name: str, expected: str) -> None:
    shown = repr(value)
    if len(shown) > LONGEST_SHOWN:
        shown = f"{shown[:LONGEST_SHOWN]}..."
    raise ValueError(f"{name} is {shown}, {expected} is expected")


def anything(value: Any, name: str) -> None:
    """Allow everything."""


def nothing(value: Any, name: str) -> None:
    """Allow null."""
    if value is not None:
        _refuse(value, name, "null")


def flag(value: Any, name: str) -> None:
    """Allow true and false."""
    if not isinstance(value, bool):
        _refuse(value, name, "true or false")


def number(low: float = -math.inf, high: float = math.inf, above: float = -math.inf) -> Schema:
    """Allow finite numbers from `low` to `high`, and above `above`."""

    def check(value, name):
        known = isinstance(value, int | float) and not isinstance(value, bool)
        if not (known and abs(value) < math.inf and low <= value <= high and value > above):
            _refuse(value, name, f"a number{_range(low, high, above)}")

    return check


def whole(low: float = -math.inf, high: float = 2**63) -> Schema:
    """Allow whole numbers from `low` to `high`."""

    def check(value, name):
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            _refuse(value, name, f"a whole number{_range(low, high, -math.inf)}")

    return check


def _range(low, high, above):
    bounds = [f"above {above:g}"] if above > -math.inf else [f"from {low:g}"] if low > -math.inf else []
    return "".join(f" {bound}" for bound in [*bounds, *([f"to {high:g}"] if high < 2**63 else [])])


def text(most: int = 100_000) -> Schema:
    """Allow text of so many characters at most."""

    def check(value, name):
        if not isinstance(value, str) or len(value) > most:
            _refuse(value, name, f"text of {most} characters at most")

    return check


def one_of(*values: Any) -> Schema:
    """Allow these values only."""

    def check(value, name):
        if not any(type(value) is type(known) and value == known for known in values):
            _refuse(value, name, " or ".join(map(repr, values)))

    return check


def either(*schemas: Schema) -> Schema:
    """Allow what one of the schemas allows; the error is the last one's."""

    def check(value, name):
        for schema in schemas[:-1]:
            try:
                return schema(value, name)
            except ValueError:
                continue
        return schemas[-1](value, name)

    return check


def listing(item: Schema = anything, length: int | None = None) -> Schema:
    """Allow lists of such items, of that length if one is given."""

    def check(value, name):
        if not isinstance(value, list) or length not in (None, len(value)):
            _refuse(value, name, "a list" if length is None else f"a list of {length}")
        for k, part in enumerate(value):
            item(part, f"{name}[{k}]")

    return check


def entries(item: Schema) -> Schema:
    """Allow objects whose entries, whatever their names, are such items."""

    def check(value, name):
        if not isinstance(value, dict):
            _refuse(value, name, "an object with named entries")
        for key, part in value.items():
            item(part, f"{name}.{key}")

    return check


def record(known: dict[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """Allow objects in which entries of these names are such items; others may be there, the `required` must."""

    def check(value, name):
        entries(anything)(value, name)
        for key in required:
            if key not in value:
                raise ValueError(f"{name} has no {key}")
        for key, item in known.items():
            if key in value:
                item(value[key], f"{name}.{key}")

    return check
