"""One-dimensional distributions: torsions, bonds, angles and energies, with what MD scores against itself."""

from html import escape

import numpy as np

from openmm_cgvae.evaluation.subject import DENSE
from openmm_cgvae.metrics.peptides import backbone_torsions
from openmm_cgvae.metrics.rotamers import side_chain_torsions
from openmm_cgvae.metrics.structure import torsion_angles
from openmm_cgvae.metrics.torsions import find_torsions
from openmm_cgvae.preparation.structures import heavy_atoms
from openmm_cgvae.report.bonds import geometry_figure
from openmm_cgvae.report.charts import Line, density, line_chart
from openmm_cgvae.report.page import Section, figure, panel_grid, table

__all__ = ["distribution_section"]

TORSION_BINS, ENERGY_BINS = 60, 30
# Torsions that are drawn.
MOST = 60
SPLITS = 8
# Structures of a protein that are too few to draw every torsion.
FEW = 100
# Structures of a protein that are too few to draw every torsion.
FEW = 100
# Structures that bonds and angles are measured of.
THINNED, STRUCTURES = 2000, 50
CHAIN_TORSIONS = ("phi", "psi", "omega", "chi1", "chi2", "chi3", "chi4")


def distribution_section(subject):
    """Return the section of the distributions."""
    parts, missing = [], []
    for draw in (_torsions, geometry_figure, _energies):
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
    return figure("torsions", "Torsions", panel_grid(panels), caption, data), ""


def _torsion_panel(name, own, other, runs, fold, text):
    half = 180 / fold
    edges = np.linspace(-half, half, TORSION_BINS // fold + 1)
    middle = (edges[1:] + edges[:-1]) / 2

    def folded(values):
        return density((values + half) % (2 * half) - half, edges)

    lines, band = [Line("structures", "gen", middle, folded(own))], None
    if other is not None:
        lines.insert(0, Line("reference", "ref", middle, folded(other)))
        band = _band(other, runs, middle, folded)
    label = (
        f"{name}: density of structures"
        + (" and reference" if other is not None else "")
        + (f"; {text}" if text else "")
    )
    ticks = [round(half * share) for share in (-1, -0.5, 0, 0.5, 1)]
    chart = line_chart(lines, label, "degrees", "", (-half, half), ticks, band)
    return f'<div class="panel"><h4>{escape(name)}</h4><p>{text}</p>{chart}</div>'


def _band(values, runs, middle, folded):
    """Range of the histograms of random halves of the runs; None of one run."""
    own = np.unique(runs)
    if len(own) < 2:
        return None
    rng, found = np.random.default_rng(0), []
    for _ in range(SPLITS):
        half = np.isin(runs, rng.permutation(own)[: len(own) // 2])
        found += [folded(values[half]), folded(values[~half])]
    return middle, np.min(found, axis=0), np.max(found, axis=0)


def _chain_torsions(subject):
    """Torsions of a protein pooled over its residues, by kind."""
    if not subject.is_protein:
        return "", f"Torsions are left out: of more than {DENSE:,} atoms they are drawn of proteins only."
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
    return figure("torsions", "Torsions", panel_grid(panels), caption), ""


def _of_chain(chain, atoms, mask):
    """Degrees, shape (frames, N, 7)."""
    return np.degrees(
        np.concatenate(
            [backbone_torsions(atoms, mask, chain.connected), side_chain_torsions(chain.residue_types, atoms, mask)],
            axis=-1,
        )
    )


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
        lines = [Line("", kind, middle, density(np.clip(v, low, edges[-1]), edges)) for kind, v in sets]
        medians = ", ".join(f"{'MD' if kind == 'ref' else 'structures'} {np.median(v):.2f}" for kind, v in sets)
        chart = line_chart(lines, f"Energy {title.lower()}: medians {medians} kJ/mol an atom", "kJ/mol an atom", "")
        panels.append(f'<div class="panel"><h4>{title}</h4><p>median {medians}</p>{chart}</div>')
    count = len(next(iter(known.values())))
    caption = (
        f"Potential energy of {count:,} structures, beads held while minimising; the last bin holds what is beyond."
    )
    return figure("energies", "Energies", panel_grid(panels), caption), ""
