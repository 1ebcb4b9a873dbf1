"""What a command did: a table for people, JSON for programs."""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from openmm_cgvae.core.output import check_output, write_text
from openmm_cgvae.core.representation import shown_value, text_table

__all__ = ["STDOUT", "Summary", "check_json", "print_table", "tell"]

# ``--json`` without a file.
STDOUT = "-"


@dataclass
class Summary:
    """What a command did, which ``run`` returns.

    Parameters
    ----------
    rows : sequence of tuple
        Of the table: names, and one or more values.
    facts : dict, optional
        For ``--json``; the rows if omitted.
    head : sequence of str
        Headings of the columns, if there are more than two.
    note : str
        What to do next, below the table.
    status : int
        Exit code.
    """

    rows: Sequence[tuple]
    facts: dict[str, Any] | None = None
    head: Sequence[str] = ()
    note: str = ""
    status: int = 0
    is_written: bool = field(default=False, init=False)

    def to_json(self):
        """The facts as text; names of rows are brought to ``lower_case``."""
        facts = self.facts
        if facts is None:
            facts = {re.sub(r"\W+", "_", name.strip().lower()).strip("_"): value for name, value in self.rows}
        return json.dumps(
            facts, indent=1, default=lambda value: value.tolist() if hasattr(value, "tolist") else str(value)
        )

    def write(self, path):
        """Write the JSON file, which appears complete."""
        write_text(path, self.to_json() + "\n")
        self.is_written = True


def check_json(options):
    """Refuse a file for ``--json`` that may not be written, before any work is done (`OutputError`)."""
    if options.json in (None, STDOUT):
        return
    # Commands without --overwrite are repeated to go on.
    replaced = not hasattr(options, "overwrite")
    check_output(
        options.json, replaced or any(getattr(options, name, 0) for name in ("overwrite", "resume", "partial"))
    )


def tell(summary, options):
    """Print a `Summary`, or write it, as the options ask; return the exit code."""
    if summary is None:
        return 0
    if options.json == STDOUT:
        print(summary.to_json())
    elif options.json and not summary.is_written:
        # A command may have, together with its other outputs.
        summary.write(options.json)
    if not options.quiet and options.json != STDOUT:
        print_table(summary.rows, *summary.head)
        if summary.note:
            print(f"\n{summary.note}")
    return summary.status


def print_table(rows, *head):
    """Print a table: by ``rich`` in a terminal, in plain columns elsewhere."""
    if sys.stdout is None or not sys.stdout.isatty():
        print(text_table(rows, *head))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*head, show_header=bool(head), box=SIMPLE_HEAD if head else None, pad_edge=False)
    for name, *cells in rows:
        table.add_row(Text(shown_value(name), style="bold"), *(Text(shown_value(cell)) for cell in cells))
    Console(highlight=False).print(table)
