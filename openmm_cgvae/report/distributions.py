"""One-dimensional distributions: torsions, bonds, angles and energies, with what MD scores against itself."""

from html import escape

import numpy as np

from openmm_cgvae.evaluation.subject import thinned
from openmm_cgvae.metrics.peptides import backbone_torsions
from openmm_cgvae.metrics.residueshapes import residue_shapes
from openmm_cgvae.metrics.rotamers import side_chain_torsions
from openmm_cgvae.metrics.structure import bond_angles, bond_lengths, torsion_angles
from openmm_cgvae.metrics.torsions import find_torsions
from openmm_cgvae.metrics.vectors import angle, distance
from openmm_cgvae.preparation.structures import heavy_atoms
from openmm_cgvae.report.charts import Line, line_chart
from openmm_cgvae.report.page import Section, figure, table

__all__ = ["distribution_section"]

TORSION_BINS, LENGTH_BINS, ENERGY_BINS = 60, 60, 30
# Torsions shown at once; the others are behind a click, up to the most.
SHOWN, MOST = 9, 60
SPLITS = 8
# Structures of a protein that are too few to draw every torsion.
FEW = 100
# Structures that bonds and angles are measured of.
THINNED, STRUCTURES = 2000, 50
CHAIN_TORSIONS = ("phi", "psi", "omega", "chi1", "chi2", "chi3", "chi4")


def distribution_section(subject):
    """Return the section of the distributions."""
    parts, missing = [], []
    for draw in (_torsions, _geometry, _energies):
        content, sentence = draw(subject)
        parts.append(content)
        missing.append(sentence)
    if subject.reference is None and any(parts):
        missing.append("The floor of MD against MD is left out: it needs reference MD (--reference) of several runs.")
    key = _key(subject) if any(parts) else ""
    return Section(
        "distributions", "Distributions", key + "".join(parts) if any(parts) else "", tuple(filter(None, missing))
    )


def _key(subject):
    reference = ""
    if subject.reference is not None:
        reference = '<li><i class="ref"></i>reference MD</li><li><i class="band"></i>halves of the MD (floor)</li>'
    elif subject.crystal is not None:
        reference = '<li><i class="ref"></i>the structure that the beads are of</li>'
    return f'<ul class="key"><li><i class="gen"></i>structures</li>{reference}</ul>'


def _torsions(subject):
    few = subject.is_protein and len(subject.flat) < FEW
    if few or not subject.is_small:
        return _chain_torsions(subject)
    torsions = find_torsions(subject.graph)
    if not torsions:
        return "", "Torsions are left out: the molecule has none that turn."
    measured = subject.figures.get("torsions") or {}
    excess = {name: values["divergence"] - values["floor"] for name, values in measured.items()}
    order = sorted(torsions, key=lambda torsion: -excess.get(torsion.name, 0.0))
    own = np.degrees(torsion_angles(subject.flat, subject.graph, np.array([t.atoms for t in order])))
    other = None
    if subject.reference is not None:
        other = np.degrees(torsion_angles(subject.reference, subject.graph, np.array([t.atoms for t in order])))
    panels = []
    for k, torsion in enumerate(order[:MOST]):
        reference = None if other is None else other[:, k]
        figures = measured.get(torsion.name)
        text = f"divergence {figures['divergence']:.4f}, floor {figures['floor']:.4f} nats" if figures else ""
        panels.append(_torsion_panel(torsion.name, own[:, k], reference, subject.runs, torsion.fold, text))
    caption = (
        "Every torsion of the molecule, folded by its symmetry; those farthest above their floor come first. The band "
        "is the range of the histograms of halves of the reference, each half whole runs."
        if other is not None
        else "Every torsion of the molecule, folded by its symmetry."
    )
    rows = [(escape(name), f"{v['divergence']:.4f}", f"{v['floor']:.4f}") for name, v in measured.items()]
    data = table(("torsion", "divergence, nats", "floor"), rows) if rows else ""
    return figure("torsions", "Torsions", _grid(panels), caption, data), ""


def _torsion_panel(name, own, other, runs, fold, text):
    half = 180 / fold
    edges = np.linspace(-half, half, TORSION_BINS // fold + 1)
    middle = (edges[1:] + edges[:-1]) / 2

    def density(values):
        return np.histogram((values + half) % (2 * half) - half, edges, density=True)[0]

    lines, band = [Line("structures", "gen", middle, density(own))], None
    if other is not None:
        lines.insert(0, Line("reference", "ref", middle, density(other)))
        band = _band(other, runs, middle, density)
    label = (
        f"{name}: density of structures"
        + (" and reference" if other is not None else "")
        + (f"; {text}" if text else "")
    )
    ticks = [round(half * share) for share in (-1, -0.5, 0, 0.5, 1)]
    chart = line_chart(lines, label, "degrees", "", (-half, half), ticks, band)
    return f'<div class="panel"><h4>{escape(name)}</h4><p>{text}</p>{chart}</div>'


def _band(values, runs, middle, density):
    """Range of the histograms of random halves of the runs; None of one run."""
    own = np.unique(runs)
    if len(own) < 2:
        return None
    rng, found = np.random.default_rng(0), []
    for _ in range(SPLITS):
        half = np.isin(runs, rng.permutation(own)[: len(own) // 2])
        found += [density(values[half]), density(values[~half])]
    return middle, np.min(found, axis=0), np.max(found, axis=0)


def _chain_torsions(subject):
    """Torsions of a protein pooled over its residues, by kind."""
    if not subject.is_protein:
        return "", f"Torsions are left out: of more than {subject.n_atoms:,} atoms they are drawn of proteins only."
    chain, atoms = subject.chain, subject.residue_atoms
    own = _of_chain(chain, atoms.reshape(-1, *atoms.shape[2:]), chain.mask)
    other = None
    if subject.reference is not None:
        other = _of_chain(chain, heavy_atoms(subject.reference, subject.topology)[0], chain.mask)
    elif subject.crystal is not None:
        other = _of_chain(chain, subject.crystal.atoms[None], subject.crystal.mask)
    panels = []
    for k, name in enumerate(CHAIN_TORSIONS):
        values = own[..., k][np.isfinite(own[..., k])]
        reference = None if other is None else other[..., k][np.isfinite(other[..., k])]
        if len(values):
            count = np.isfinite(own[0, :, k]).sum()
            panels.append(_torsion_panel(name, values, reference, np.zeros(1), 1, f"{count} residues"))
    what = "the crystal" if subject.crystal is not None and subject.reference is None else "the reference"
    caption = "Pooled over residues" + (f"; the dashed line is {what}." if other is not None else ".")
    return figure("torsions", "Torsions", _grid(panels), caption), ""


def _of_chain(chain, atoms, mask):
    """Degrees, shape (frames, N, 7)."""
    return np.degrees(
        np.concatenate(
            [backbone_torsions(atoms, mask, chain.connected), side_chain_torsions(chain.residue_types, atoms, mask)],
            axis=-1,
        )
    )


def _geometry(subject):
    """Bond lengths and angles, against the reference, against crystals, or as they are."""
    if subject.reference is None and subject.is_protein:
        return _crystal_geometry(subject)
    return _own_geometry(subject)


def _crystal_geometry(subject):
    """Bonds and angles of heavy atoms within residues, how far from the mean of crystals."""
    chain, shapes, rows = subject.chain, residue_shapes(), thinned(len(subject.residue_atoms), STRUCTURES)
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
    return figure("geometry", "Bonds and angles", _grid(panels), caption), ""


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
    lines = [Line("", kind, middle, np.histogram(values, edges, density=True)[0]) for kind, values in sets]
    spread = ", ".join(f"{'crystal' if kind == 'ref' else 'structures'} {values.std():.3f}" for kind, values in sets)
    chart = line_chart(lines, f"{name}: spread {spread} {unit}", f"deviation ({unit})", "")
    return f'<div class="panel"><h4>{name}</h4><p>spread, {unit}: {spread}</p>{chart}</div>'


def _own_geometry(subject):
    """Bond lengths and angles: how far from the mean of the reference, or as they are without one."""
    graph, flat = subject.graph, _thinned(subject.flat)
    reference = None if subject.reference is None else _thinned(subject.reference)
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
    return figure("geometry", "Bonds and angles", _grid(panels, 4), caption, data), ""


def _length_panel(name, own, other, part, unit):
    means = 0.0 if other is None else other[:, part].mean(0)
    values, expected = own[:, part] - means, None if other is None else other[:, part] - means
    low, high = np.percentile(values if expected is None else np.concatenate([values, expected]), (0.1, 99.9))
    edges = np.linspace(low, max(high, low + 1e-3), LENGTH_BINS + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    lines = [Line("structures", "gen", middle, np.histogram(values, edges, density=True)[0])]
    if expected is not None:
        lines.insert(0, Line("reference", "ref", middle, np.histogram(expected, edges, density=True)[0]))
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


def _energies(subject):
    """Energies an atom before and after minimisation."""
    known = subject.energies
    if not known:
        return (
            "",
            "Energies are left out: no structure was minimised (give --energies, or evaluate without --no-minimize).",
        )
    panels = []
    for title, own, other in (("As sampled", "sampled", "md"), ("After minimisation", "minimised", "md minimised")):
        sets = [(kind, known[name]) for kind, name in (("ref", other), ("gen", own)) if name in known]
        sets = [(kind, values[np.isfinite(values)]) for kind, values in sets]
        sets = [(kind, values) for kind, values in sets if len(values)]
        if not sets:
            continue
        low, high = np.percentile(np.concatenate([values for _, values in sets]), (0, 98))
        edges = np.linspace(low, max(high, low + 0.1), ENERGY_BINS + 1)
        middle = (edges[1:] + edges[:-1]) / 2
        lines = [
            Line("", kind, middle, np.histogram(np.clip(v, low, edges[-1]), edges, density=True)[0]) for kind, v in sets
        ]
        medians = ", ".join(f"{'MD' if kind == 'ref' else 'structures'} {np.median(v):.2f}" for kind, v in sets)
        chart = line_chart(lines, f"Energy {title.lower()}: medians {medians} kJ/mol an atom", "kJ/mol an atom", "")
        panels.append(f'<div class="panel"><h4>{title}</h4><p>median {medians}</p>{chart}</div>')
    count = len(next(iter(known.values())))
    caption = (
        f"Potential energy of {count:,} structures, beads held while minimising; the last bin holds what is beyond."
    )
    return figure("energies", "Energies", _grid(panels), caption), ""


def _thinned(positions):
    return positions[:: max(1, len(positions) // THINNED)]


def _grid(panels, shown=SHOWN):
    """Panels side by side, those past the first few behind a click."""
    first = f'<div class="panels">{"".join(panels[:shown])}</div>'
    if len(panels) <= shown:
        return first
    more = f'<div class="panels">{"".join(panels[shown:])}</div>'
    return f"{first}<details><summary>{len(panels) - shown} more</summary>{more}</details>"
