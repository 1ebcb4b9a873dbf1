"""Bond lengths and angles, against the reference, against crystals, or as they are."""

from html import escape

import numpy as np

from openmm_cgvae.io.thinning import thinned
from openmm_cgvae.metrics.residueshapes import residue_shapes
from openmm_cgvae.metrics.structure import bond_angles, bond_lengths
from openmm_cgvae.metrics.vectors import angle, distance
from openmm_cgvae.report.charts import Line, density, line_chart
from openmm_cgvae.report.page import figure, panel_grid, table

__all__ = ["geometry_figure"]

LENGTH_BINS = 60
# Structures that are measured.
MOST, MOST_OF_PROTEINS = 2000, 50


def geometry_figure(subject):
    """Bond lengths and angles, against the reference, against crystals, or as they are."""
    if subject.reference is None and subject.is_protein:
        return _crystal_geometry(subject)
    return _own_geometry(subject)


def _crystal_geometry(subject):
    """Bonds and angles of heavy atoms within residues, how far from the mean of crystals."""
    chain, shapes, rows = subject.chain, residue_shapes(), thinned(len(subject.residue_atoms), MOST_OF_PROTEINS)
    types, atoms = chain.residue_types, subject.residue_atoms[rows, 0]
    panels = []
    for name, slots, means, unit in (
        ("Bonds of heavy atoms", shapes.bonds[types], shapes.bond_lengths[types], "\u00c5"),
        ("Angles of heavy atoms", shapes.angles[types], shapes.angle_means[types], "degrees"),
    ):
        sets = [("gen", _off_crystals(atoms, slots, means, chain.mask))]
        if subject.crystal is not None:
            sets.insert(0, ("ref", _off_crystals(subject.crystal.atoms[None], slots, means, subject.crystal.mask)))
        panels.append(_deviation_panel(name, sets, unit))
    caption = "How far bonds and angles within residues are from the mean of crystal structures, pooled."
    if subject.crystal is not None:
        caption += " Dashed, the structure that the beads were taken from."
    return figure("geometry", "Bonds and angles", panel_grid(panels), caption), ""


def _off_crystals(atoms, slots, means, mask):
    """Deviations of the bonds or angles (N, k, 2 or 3) that are there, of all frames, flat."""
    rows = np.arange(len(slots))[:, None, None]
    there = (slots >= 0).all(-1) & mask[rows, np.maximum(slots, 0)].all(-1)
    points = [
        np.asarray(atoms, dtype=float)[:, rows[..., 0], np.maximum(slots[..., k], 0)] for k in range(slots.shape[-1])
    ]
    values = distance(*points) if len(points) == 2 else np.degrees(angle(*points))
    return (values - means)[:, there].ravel()


def _deviation_panel(name, sets, unit):
    low, high = np.percentile(np.concatenate([values for _, values in sets]), (0.1, 99.9))
    edges = np.linspace(low, max(high, low + 1e-3), LENGTH_BINS + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    lines = [Line("", kind, middle, density(values, edges)) for kind, values in sets]
    spread = ", ".join(f"{'crystal' if kind == 'ref' else 'structures'} {values.std():.3f}" for kind, values in sets)
    chart = line_chart(lines, f"{name}: spread {spread} {unit}", f"deviation ({unit})", "")
    return f'<div class="panel"><h4>{name}</h4><p>spread, {unit}: {spread}</p>{chart}</div>'


def _own_geometry(subject):
    """Bond lengths and angles: how far from the mean of the reference, or as they are without one."""
    graph, flat = subject.graph, _some(subject.flat)
    reference = None if subject.reference is None else _some(subject.reference)
    hydrogen = (graph.atomic_numbers == 1)[graph.bonds].any(1)
    middles = [i for i, row in enumerate(graph.neighbours) for k in range(len(row)) for _ in row[k + 1 :]]
    ends = [(a, b) for row in graph.neighbours for k, a in enumerate(row) for b in row[k + 1 :]]
    light = (graph.atomic_numbers == 1)[np.array(ends, dtype=np.int64).reshape(-1, 2)].any(1)
    panels, worst = [], []
    for measure, factor, unit, parts in (
        (bond_lengths, 10.0, "\u00c5", {"Bonds of heavy atoms": ~hydrogen, "Bonds to hydrogen": hydrogen}),
        (bond_angles, 180 / np.pi, "degrees", {"Angles of heavy atoms": ~light, "Angles with hydrogen": light}),
    ):
        own = factor * measure(flat, graph)
        other = None if reference is None else factor * measure(reference, graph)
        panels += [_length_panel(name, own, other, part, unit) for name, part in parts.items() if part.any()]
        if other is not None:
            names = _bond_names(graph) if measure is bond_lengths else _angle_names(graph, middles, ends)
            off = own.mean(0) - other.mean(0)
            worst += [(names[k], f"{off[k]:+.3f} {unit}", f"{own[:, k].std():.3f}", f"{other[:, k].std():.3f}")
                      for k in np.argsort(-np.abs(off))[:6]]  # fmt: skip
    caption = (
        "Deviations of every bond and angle from its own mean in the reference, pooled."
        if reference is not None
        else "As they are: without reference MD there is no mean to take them from."
    )
    data = table(("farthest from MD", "shift of the mean", "spread", "spread in MD"), worst) if worst else ""
    return figure("geometry", "Bonds and angles", panel_grid(panels, 4), caption, data), ""


def _length_panel(name, own, other, part, unit):
    means = 0.0 if other is None else other[:, part].mean(0)
    values, expected = own[:, part] - means, None if other is None else other[:, part] - means
    low, high = np.percentile(values if expected is None else np.concatenate([values, expected]), (0.1, 99.9))
    edges = np.linspace(low, max(high, low + 1e-3), LENGTH_BINS + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    lines = [Line("structures", "gen", middle, density(values, edges))]
    if expected is not None:
        lines.insert(0, Line("reference", "ref", middle, density(expected, edges)))
    axis = f"deviation ({unit})" if expected is not None else unit
    spread = f"spread {values.std():.3f} {unit}" + ("" if expected is None else f", in MD {expected.std():.3f}")
    chart = line_chart(lines, f"{name}: {spread}", axis, "")
    return f'<div class="panel"><h4>{name}</h4><p>{spread}</p>{chart}</div>'


def _bond_names(graph):
    return [f"{_atom(graph, i)}\u2013{graph.names[j]}" for i, j in graph.bonds]


def _angle_names(graph, middles, ends):
    return [
        f"{_atom(graph, a)}\u2013{graph.names[m]}\u2013{graph.names[b]}"
        for m, (a, b) in zip(middles, ends, strict=True)
    ]


def _atom(graph, i):
    return escape(f"{graph.residues[i]}{graph.residue_index[i] + 1} {graph.names[i]}")


def _some(positions):
    return positions[thinned(len(positions), MOST)]
