"""Results in JSON that are read back, each by one schema: evaluations, cases of a benchmark, logs of trainings."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.core.reading import MOST_JSON_BYTES, parsed_json, read_json, reading, regular_file
from openmm_cgvae.core.schema import (
    Schema,
    anything,
    either,
    entries,
    listing,
    nothing,
    number,
    record,
    text,
    whole,
)

__all__ = [
    "BENCHMARK_CASE",
    "EVALUATION",
    "FIGURE",
    "PROTEIN_EVALUATION",
    "SETTINGS",
    "figures",
    "read_log",
    "read_record",
    "read_records",
]

FIGURE = either(nothing, number())
# What a folder or a run was begun with.
SETTINGS = entries(anything)
TORSION = record({"kind": text(100), "divergence": number(), "floor": number()}, ("kind", "divergence", "floor"))
NAMED: dict[str, Schema] = {
    "model": text(),
    "reference": listing(text()),
    "frames": whole(1),
    "runs": whole(1),
    "samples": whole(1),
    "seed": whole(),
    "torsions": entries(TORSION),
}


def figures(named: dict[str, Schema], required: tuple[str, ...]) -> Schema:
    """Allow objects with entries of these names, and figures, which are numbers or null."""

    def check(value, name):
        record(named, required)(value, name)
        entries(FIGURE)({key: part for key, part in value.items() if key not in named}, name)

    return check


# Of a model of one molecule, as ``evaluate --json`` writes it.
EVALUATION = figures(NAMED, ("frames", "samples", "valid_ratio_all"))
BENCHMARK_CASE = record(
    {
        "mapping": text(), "model": text(), "split": text(), "fold": whole(0), "n_beads": whole(1),
        "residues": listing(text()), "command": either(nothing, text()), "settings": SETTINGS,
        "training": record({"epochs": number(0), "minutes": number(0)}, ("epochs", "minutes")),
        "figures": figures(NAMED, ()),
    },
    ("mapping", "model", "split", "fold", "n_beads", "residues", "command", "settings", "training", "figures"),
)  # fmt: skip
ADDED = record({"value": FIGURE, "sum": number(), "count": number(0)}, ("value", "sum", "count"))
SUMMARY = {"chains": whole(0), "residues": whole(0), "figures": entries(ADDED)}
PROTEINS = record(SUMMARY | {"long": record(SUMMARY, tuple(SUMMARY))}, tuple(SUMMARY))
# Of a model of any protein.
PROTEIN_EVALUATION = record({"rows": entries(PROTEINS), "chains": listing(text())}, ("rows",))


def read_record(
    path: str | Path, schema: Schema, kind: str, writer: str, error: Callable[[str], Exception] = DataError
) -> Any:
    """Read a JSON file that must be what a schema allows.

    Parameters
    ----------
    path : path
    schema : callable
        Of `openmm_cgvae.core.schema`.
    kind, writer, error
        As `openmm_cgvae.core.reading.reading` takes them; `error` is raised of anything else.
    """
    with reading(path, kind, writer, error):
        value = read_json(path)
        schema(value, "it")
        return value


def read_records(path: str | Path, schema: Schema, kind: str, writer: str) -> list[Any]:
    """Read a JSON text a line; a last line that is cut off, as a killed process leaves it, is left out.

    Raises
    ------
    DataError
        If any other line is not what the schema allows, naming it.
    """
    found = []
    with reading(path, kind, writer, DataError):
        regular_file(path)
        with open(path, "rb") as file:
            for count, line in enumerate(iter(lambda: file.readline(MOST_JSON_BYTES), b""), 1):
                if not line.endswith(b"\n"):
                    break
                value = parsed_json(line)
                schema(value, f"line {count}")
                found.append(value)
    return found


def read_log(path: str | Path) -> list[dict[str, str]]:
    """Read the lines of a training's ``training.csv``, each a dict of its columns.

    Raises
    ------
    DataError
        If a line has no number in a column.
    """
    with reading(path, "log of a training", "'openmm-cgvae train'", DataError), open(path, newline="") as file:
        try:
            rows = list(csv.DictReader(file))
        except csv.Error as error:
            raise DataError(str(error)) from error
        for count, row in enumerate(rows, 1):
            for name, value in row.items():
                try:
                    # An empty cell is a figure that is not known.
                    float(value or "nan")
                except (TypeError, ValueError):
                    raise DataError(f"{name} of its line {count} is {value!r}, a number is expected") from None
        return rows
