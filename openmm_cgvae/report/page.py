"""The page: sections, numbered figures, and one file that needs no other."""

import json
import re
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

from openmm_cgvae import __version__
from openmm_cgvae.core.output import check_output, write_text

__all__ = ["Section", "figure", "page", "panel_grid", "table", "write_page"]

ASSETS = files("openmm_cgvae.report") / "assets"
# What a reference to a figure looks like in texts: [[torsions]].
REFERENCE = re.compile(r"\[\[([\w-]+)\]\]")
# Panels of a figure that are shown at once; the others are behind a click.
SHOWN = 9


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Parameters
    ----------
    id : str
        For links.
    title : str
    body : str
        HTML; empty if there is nothing to show.
    missing : sequence of str
        What is left out, a sentence each that says why.
    """

    id: str
    title: str
    body: str = ""
    missing: tuple = ()


def figure(id, title, content, caption, data=""):
    """Return a numbered figure.

    Parameters
    ----------
    id : str
        What ``[[id]]`` in texts refers to.
    title, content, caption : str
        HTML.
    data : str
        A table behind the figure, for who wants the numbers or cannot see them.
    """
    behind = f'<details class="data"><summary>Values behind this figure</summary>{data}</details>' if data else ""
    return (
        f'<figure id="fig-{id}">{content}'
        f'<figcaption><b><span class="number"></span> {title}.</b> {caption}</figcaption>{behind}</figure>'
    )


def table(head, rows, kind="", caption=""):
    """Return a table; cells are HTML, the first of a row is its heading."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    lines = []
    for first, *cells in rows:
        lines.append(f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>')
    name = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption or "table")}">'
        f'<table class="{kind}">{name}<thead><tr>{top}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def panel_grid(panels, shown=SHOWN):
    """Panels side by side, those past the first few behind a click."""
    first = f'<div class="panels">{"".join(panels[:shown])}</div>'
    if len(panels) <= shown:
        return first
    more = f'<div class="panels">{"".join(panels[shown:])}</div>'
    return f"{first}<details><summary>{len(panels) - shown} more</summary>{more}</details>"


def page(title, lead, verdict, sections, sources, payload=None):
    """Put a page together.

    Parameters
    ----------
    title : str
    lead, verdict : str
        HTML.
    sections : sequence of Section
    sources : sequence of (str, str)
        Name and text, for the foot.
    payload : dict, optional
        Data of the three-dimensional view, JSON types.

    Returns
    -------
    str
    """
    shown = [section for section in sections if section.body]
    links = "".join(f'<li><a href="#{section.id}">{section.title}</a></li>' for section in shown)
    parts = [
        f'<section id="{section.id}"><h2>{section.title}</h2>{section.body}{_left_out(section)}</section>'
        for section in shown
    ]
    lacking = [sentence for section in sections if not section.body for sentence in section.missing]
    if lacking:
        items = "".join(f"<li>{sentence}</li>" for sentence in lacking)
        parts.append(f'<section id="left-out"><h2>Not on this page</h2><ul class="left-out">{items}</ul></section>')
    main = _numbered("\n".join([verdict, f'<nav aria-label="Contents"><ul>{links}</ul></nav>', *parts]))
    return Template(_asset("report.html")).substitute(
        title=escape(title),
        lead=lead,
        main=main,
        sources="".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in sources),
        version=__version__,
        style=_asset("report.css"),
        viewer=_viewer(payload),
    )


def write_page(path, html, overwrite=False):
    """Write a page, complete or not at all; `OutputError` as of `check_output`."""
    path = check_output(path, overwrite)
    write_text(path, html)
    return path


def _asset(name):
    return (ASSETS / name).read_text(encoding="utf-8")


def _viewer(payload):
    """Scripts of the view; without one, nothing."""
    if payload is None:
        return ""
    # A closing tag within a string would end the element.
    data = json.dumps(payload, separators=(",", ":")).replace("</", "<\\/")
    notice = (
        "3Dmol.js, BSD-3-Clause, (c) University of Pittsburgh and contributors; see 3Dmol-LICENSE.txt of openmm_cgvae"
    )
    return (
        f'<script type="application/json" id="view-data">{data}</script>\n'
        f"<script>/* {notice} */\n{_asset('3Dmol-min.js')}</script>\n<script>{_asset('report.js')}</script>"
    )


def _left_out(section):
    return "".join(f'<p class="left-out">{sentence}</p>' for sentence in section.missing)


def _numbered(html):
    """Give every figure its number, and what refers to it."""
    ids = re.findall(r'<figure id="fig-([\w-]+)">', html)
    numbers = {name: k + 1 for k, name in enumerate(ids)}
    for name, number in numbers.items():
        opening = f'<figure id="fig-{name}">'
        before, after = html.split(opening, 1)
        html = before + opening + after.replace('<span class="number"></span>', f"Figure {number}.", 1)

    def link(match):
        name = match.group(1)
        known = name in numbers
        return f'<a href="#fig-{name}">Figure {numbers[name]}</a>' if known else '<a href="#figures">the table</a>'

    return REFERENCE.sub(link, html)
