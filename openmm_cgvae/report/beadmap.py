"""The mapping, drawn on the molecule: in two dimensions for small molecules, along the sequence for proteins."""

from html import escape

import numpy as np

from openmm_cgvae.molecule.layout import flat_layout, symbol_of
from openmm_cgvae.report.page import Section, figure, table

__all__ = ["WHEEL", "mapping_section"]

# Okabe and Ito's colours without black, and one more; those of report.js.
WHEEL = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800", "#7a6fd0")
# Heavy atoms that a drawing can show, and residues and beads that are listed.
MOST_DRAWN, MOST_RESIDUES, MOST_BEADS = 60, 600, 40
SCALE, MARGIN = 30, 26


def mapping_section(subject):
    """Return the section of the mapping."""
    mapping = subject.mapping
    if mapping is None:
        return Section("mapping", "Mapping", missing=("The mapping is left out: no model was given that has one.",))
    heavy = int((subject.graph.atomic_numbers > 1).sum())
    each = subject.n_atoms / mapping.n_beads
    lead = f"<p>{subject.n_atoms:,} atoms on {mapping.n_beads:,} beads, {each:.1f} atoms a bead.</p>"
    rows = [
        (escape(name), f"{len(bead)}", f"{mass:.1f}", escape(", ".join(_names(subject, bead))))
        for name, bead, mass in list(zip(mapping.names, mapping.beads, mapping.masses, strict=True))[:MOST_BEADS]
    ]
    data = table(("bead", "atoms", "mass, amu", "heavy atoms"), rows)
    missing = ()
    drawn = _drawing(subject) if heavy <= MOST_DRAWN and not subject.is_protein else None
    if drawn is not None:
        caption = (
            "Heavy atoms by bead; hydrogens belong to the bead of their heavy atom unless the table says otherwise."
        )
        body = figure("mapping", "Beads on the molecule", drawn + _key(mapping), caption, data)
    elif subject.is_protein:
        sequence, missing = _sequence(subject)
        caption = "Under every residue the beads that its heavy atoms belong to, by colour; colours repeat."
        body = figure("mapping", "Beads along the sequence", sequence, caption, data)
    else:
        body, missing = data, ("The mapping is not drawn: this molecule has too many atoms to be laid out flat.",)
    return Section("mapping", "Mapping", lead + body, missing)


def _names(subject, bead):
    listed = list(subject.topology.atoms())
    return [listed[i].name for i in bead if listed[i].element is None or listed[i].element.symbol != "H"][:12]


def _key(mapping):
    parts = zip(mapping.names, mapping.beads, strict=True)
    items = "".join(
        f'<li><i style="background:{WHEEL[k % len(WHEEL)]}"></i> {escape(name)} ({len(bead)} atoms)</li>'
        for k, (name, bead) in enumerate(parts)
        if k < MOST_BEADS
    )
    return f'<ul class="key strip-key">{items}</ul>'


def _drawing(subject):
    """The heavy atoms in two dimensions as SVG; None where RDKit cannot lay them out."""
    graph = subject.graph
    laid = flat_layout(graph.atomic_numbers, graph.bonds, _orders(subject.topology))
    if laid is None:
        return None
    heavy, points, orders, charges = laid
    hydrogens = [sum(graph.atomic_numbers[j] == 1 for j in graph.neighbours[i]) for i in heavy]
    x, y = (SCALE * (points - points.min(0)) + MARGIN).T
    y = y.max() + MARGIN - y
    beads = subject.mapping.assignment[heavy]
    parts = []
    for bead in np.unique(beads):
        # A group is as one shape, so that its parts do not shine through each other.
        ends = [(i, j) for i, j in orders if beads[i] == beads[j] == bead]
        inner = [_line("", x[i], y[i], x[j], y[j]) for i, j in ends]
        own = beads == bead
        inner += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="12"/>' for a, b in zip(x[own], y[own], strict=True)]
        parts.append(f'<g class="bead" style="color:{_colour(bead)}">{"".join(inner)}</g>')
    for (i, j), order in orders.items():
        parts += [_line("bond", *ends) for ends in _strokes(x[i], y[i], x[j], y[j], order)]
    numbers = graph.atomic_numbers[heavy]
    for a, b, number, count, charge in zip(x, y, numbers, hydrogens, charges, strict=True):
        label = _label(int(number), count, charge)
        if label:
            parts.append(f'<circle class="halo" cx="{a:.1f}" cy="{b:.1f}" r="8.5"/>')
            parts.append(f'<text x="{a:.1f}" y="{b:.1f}">{label}</text>')
    told = "; ".join(
        f"bead {name}: {', '.join(_names(subject, bead))}"
        for name, bead in zip(subject.mapping.names, subject.mapping.beads, strict=True)
    )
    box = f'viewBox="0 0 {x.max() + MARGIN:.0f} {y.max() + MARGIN:.0f}"'
    wide = f'style="width:{min(34.0, (x.max() + MARGIN) / 11):.1f}rem;max-width:100%"'
    return f'<svg class="beadmap" {box} {wide} role="img" aria-label="{escape(told)}">{"".join(parts)}</svg>'


def _orders(topology):
    """Orders of the bonds by their atoms, None where the topology does not tell them."""
    orders = {tuple(sorted((bond[0].index, bond[1].index))): bond.order for bond in topology.bonds()}
    return None if None in orders.values() else orders


def _label(number, hydrogens, charge):
    """What is written at an atom; nothing at a carbon, but at the end of a chain."""
    if number == 6 and hydrogens < 3 and not charge:
        return ""
    symbol = symbol_of(number)
    count = (
        f"H{f'<tspan dy=&quot;3&quot; font-size=&quot;8&quot;>{hydrogens}</tspan>' if hydrogens > 1 else ''}"
        if hydrogens
        else ""
    )
    sign = {1: "+", -1: "\u2212"}.get(charge, "")
    return (symbol + count + sign).replace("&quot;", '"')


def _strokes(x1, y1, x2, y2, order):
    """Lines of a bond: one, two or three side by side."""
    length = max(1e-6, float(np.hypot(x2 - x1, y2 - y1)))
    across = np.array([-(y2 - y1), x2 - x1]) / length
    offsets = {2.0: (-2.2, 2.2), 3.0: (-3.6, 0.0, 3.6)}.get(float(order), (0.0,))
    for offset in offsets:
        dx, dy = across * offset
        yield x1 + dx, y1 + dy, x2 + dx, y2 + dy


def _line(kind, x1, y1, x2, y2, more=""):
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {more}/>'


def _colour(bead):
    return WHEEL[int(bead) % len(WHEEL)]


def _sequence(subject):
    """Residues as chips with the beads of their heavy atoms, and a sentence on those that are not shown."""
    assignment, names = subject.mapping.assignment, subject.mapping.names
    residues = [residue for residue in subject.topology.residues() if residue.name not in ("HOH", "WAT")]
    chips = []
    for residue in residues[:MOST_RESIDUES]:
        atoms = [a.index for a in residue.atoms() if a.element is None or a.element.symbol != "H"]
        beads = list(dict.fromkeys(assignment[atoms].tolist()))
        blocks = "".join(f'<i style="background:{_colour(bead)}"></i>' for bead in beads)
        told = escape(f"{residue.name}{residue.id}: {', '.join(names[bead] for bead in beads)}")
        name = f"{escape(residue.name)}<small>{escape(str(residue.id))}</small>"
        chips.append(f'<span title="{told}">{name}<em>{blocks}</em></span>')
    missing = ()
    if len(residues) > MOST_RESIDUES:
        missing = (f"The first {MOST_RESIDUES} of {len(residues):,} residues are drawn.",)
    label = escape(f"{len(residues)} residues with their beads")
    return f'<div class="sequence" role="img" aria-label="{label}">{"".join(chips)}</div>', missing
