"""Tables of plain text, and of what notebooks show in place of a bare ``repr``."""

from html import escape
from itertools import zip_longest

__all__ = ["html_table", "shown_value", "text_table"]

# Of a notebook's own colours, so that it fits light and dark ones.
CELL = "text-align:left;padding:.15em 1em .15em 0"


def html_table(title, rows, *head):
    """Return an HTML table.

    Parameters
    ----------
    title : str
    rows : iterable of tuple
        Cells; what is no text is shown by `shown_value`.
    *head : str
        Headings of the columns, none if omitted.

    Returns
    -------
    str
    """
    top = "".join(f'<th scope="col" style="{CELL}">{escape(name)}</th>' for name in head)
    lines = []
    for first, *cells in rows:
        rest = "".join(f'<td style="{CELL}">{escape(shown_value(cell))}</td>' for cell in cells)
        lines.append(
            f'<tr><th scope="row" style="{CELL};font-weight:normal">{escape(shown_value(first))}</th>{rest}</tr>'
        )
    caption = f'<caption style="text-align:left;font-weight:bold;padding:.3em 0">{escape(title)}</caption>'
    heading = f"<thead><tr>{top}</tr></thead>" if head else ""
    return f"<table>{caption}{heading}<tbody>{''.join(lines)}</tbody></table>"


def text_table(rows, *head):
    """Return a table in columns of plain text.

    Parameters
    ----------
    rows : iterable of tuple
        Cells, as of `html_table`; rows may differ in length.
    *head : str
        Headings of the columns, none if omitted.

    Returns
    -------
    str
    """
    cells = [[shown_value(cell) for cell in row] for row in ([head] if head else []) + list(rows)]
    widths = [max(map(len, column)) for column in zip_longest(*cells, fillvalue="")]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)


def shown_value(value):
    """A value as text: four digits of a number, a dash for None, the items of a list."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
