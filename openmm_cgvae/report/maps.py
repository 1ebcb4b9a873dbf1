"""Two-dimensional maps: backbone torsions, rotamers and slow motions, of the reference, the structures and both."""

import numpy as np

from openmm_cgvae.core.errors import CGVAEError
from openmm_cgvae.metrics.residueshapes import HALF_TURN_CHI2
from openmm_cgvae.metrics.rotamers import side_chain_torsions
from openmm_cgvae.metrics.slow import slow_coordinates
from openmm_cgvae.metrics.structure import torsion_angles
from openmm_cgvae.preparation.structures import heavy_atoms
from openmm_cgvae.report.charts import Line, density, heat_map, line_chart, round_ticks, scale_legend
from openmm_cgvae.report.page import Section, figure, table

__all__ = ["map_section"]

# Bins along each axis, for at least so many points.
BINS = ((40_000, 72), (4_000, 48), (0, 36))
# Fewer points than this make no density to subtract.
LEAST_POINTS = 500
CHARTED = 20_000
DEGREES = (-180, 180, -180, 180), (range(-180, 181, 90), range(-180, 181, 90))
TURN = (0, 360, 0, 360), (range(0, 361, 90), range(0, 361, 90))


def map_section(subject):
    """Return the section of the maps."""
    parts, missing = [], []
    for draw in (_ramachandran, _rotamers, _slow_motions):
        content, sentence = draw(subject)
        parts.append(content)
        missing.append(sentence)
    if subject.reference is None and subject.crystal is None and any(parts):
        missing.append(
            "Maps of a reference, and differences from it, need reference MD (--reference), which was not given."
        )
    return Section("maps", "Conformations", "".join(parts), tuple(filter(None, missing)))


def _ramachandran(subject):
    own = _backbone(subject, subject.flat)
    if own is None:
        return "", "A Ramachandran map is left out: no residue has both phi and psi."
    if subject.reference is not None:
        other = _backbone(subject, subject.reference)
    else:
        other = None if subject.crystal is None else _crystal_backbone(subject)
    caption = f"Density of phi and psi over {_number(own)} in classes, each {10 ** (3 / 7):.1f} times the one before."
    axes = "phi (degrees)", "psi (degrees)", *DEGREES
    return _maps(
        "ramachandran", "Backbone: phi and psi", own, other, axes, caption, _figure_rows(subject, "ramachandran_js")
    ), ""


def _rotamers(subject):
    if not subject.is_protein:
        return "", "A rotamer map is left out: there are no side chains of a protein."
    own = _chis(subject, subject.residue_atoms.reshape(-1, *subject.residue_atoms.shape[2:]), subject.chain.mask)
    if not len(own):
        return "", "A rotamer map is left out: no side chain has chi1 and chi2."
    other = None
    if subject.reference is not None:
        other = _chis(subject, heavy_atoms(subject.reference, subject.topology)[0], subject.chain.mask)
    elif subject.crystal is not None:
        other = _chis(subject, subject.crystal.atoms[None], subject.crystal.mask)
    caption = (
        f"chi1 and chi2 of {_number(own)}; chi2 of Phe, Tyr and Asp, which repeats after half a turn, counts at both."
    )
    axes = "chi1 (degrees)", "chi2 (degrees)", *TURN
    return _maps("rotamers", "Side chains: chi1 and chi2", own, other, axes, caption), ""


def _slow_motions(subject):
    if subject.reference is None or not subject.is_small:
        return (
            "",
            "Slow motions (TICA) are left out: they are learned from reference MD, of molecules up to 1,500 atoms.",
        )
    try:
        found = slow_coordinates(subject.reference, subject.graph, subject.runs, subject.flat)
    except CGVAEError as error:
        return "", f"Slow motions (TICA) are left out: {error}."
    if found is None:
        return "", "Slow motions (TICA) are left out: no distance in this molecule varies by more than 0.01 nm."
    other, own = found
    low, high = np.percentile(other, (0.5, 99.5), axis=0)
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    rows = _figure_rows(subject, "tica_js")
    title = "Slow motions (TICA)"
    if own.shape[1] == 1:
        edges = np.linspace(low[0], high[0], 61)
        middle = (edges[1:] + edges[:-1]) / 2
        lines = [
            Line("reference", "ref", middle, density(other[:, 0], edges)),
            Line("structures", "gen", middle, density(own[:, 0], edges)),
        ]
        chart = line_chart(
            lines, "Density along the slowest motion, reference and structures", "slowest motion", "density"
        )
        body = f'{LINES}<div class="panels"><div class="panel">{chart}</div></div>'
        return figure("tica", title, body, f"{TICA} Only one motion is slow.", rows), ""
    ticks = tuple(round_ticks(float(a), float(b), 4) for a, b in zip(low, high, strict=True))
    axes = "slowest motion", "second", (low[0], high[0], low[1], high[1]), ticks
    return _maps("tica", title, own, other, axes, TICA, rows), ""


LINES = '<ul class="key"><li><i class="ref"></i>reference MD</li><li><i class="gen"></i>structures</li></ul>'
TICA = (
    "The slowest motions of the reference's backbone distances, found by time-lagged independent component analysis; "
    "structures are projected on them."
)


def _maps(name, title, own, other, axes, caption, rows=""):
    """One map of the structures, or three with those of the reference and the difference."""
    x_label, y_label, extent, ticks = axes
    sets = {"structures": own} if other is None or not len(other) else {"reference": other, "structures": own}
    bins = next(count for least, count in BINS if min(map(len, sets.values())) >= least)
    edges = [np.linspace(*extent[:2], bins + 1), np.linspace(*extent[2:], bins + 1)]
    found = {key: np.histogram2d(*points.T, bins=edges)[0] / len(points) for key, points in sets.items()}
    panels = []
    for key, values in found.items():
        chart = heat_map(values, f"{title} of the {key}: {_peak(values, edges)}", x_label, y_label, extent, ticks)
        panels.append(f'<div class="panel"><h4>{key.capitalize()}</h4>{chart}{scale_legend()}</div>')
    if len(sets) == 2 and min(map(len, sets.values())) >= LEAST_POINTS:
        values, top = found["structures"] - found["reference"], found["reference"].max()
        label = f"{title}: structures less reference, at most {np.abs(values).max() / top:.0%} of the highest density"
        chart = heat_map(values, label, x_label, y_label, extent, ticks, difference_of=top)
        panels.append(f'<div class="panel"><h4>Difference</h4>{chart}{scale_legend(True)}</div>')
        caption += " The difference is in classes from 2, 6, 15 and 35 % of the reference's highest density."
    elif len(sets) == 2:
        caption += " The reference has too few points for a difference."
    return figure(name, title, f'<div class="panels maps">{"".join(panels)}</div>', caption, rows)


def _peak(values, edges):
    """Where a density is highest, in words."""
    i, j = np.unravel_index(np.argmax(values), values.shape)
    x, y = (edge[k] + (edge[1] - edge[0]) / 2 for edge, k in zip(edges, (i, j), strict=True))
    return f"highest at {x:.3g}, {y:.3g}"


def _backbone(subject, positions):
    """phi and psi in degrees of all residues with both, (points, 2); None of none."""
    torsions = subject.graph.torsions
    pairs = [(phi, psi) for phi in torsions["phi"] for psi in _following(torsions["psi"], phi)]
    if not pairs:
        return None
    thinned = positions[:: max(1, len(positions) * len(pairs) // (10 * CHARTED))]
    angles = [torsion_angles(thinned, subject.graph, np.array(rows)).ravel() for rows in zip(*pairs, strict=True)]
    return np.degrees(np.stack(angles, axis=1))


def _following(rows, phi):
    return rows[rows[:, 1] == phi[2]]


def _crystal_backbone(subject):
    from openmm_cgvae.metrics.peptides import backbone_torsions

    crystal = subject.crystal
    angles = np.degrees(backbone_torsions(crystal.atoms, crystal.mask, crystal.connected)[:, :2])
    return angles[np.isfinite(angles).all(1)]


def _chis(subject, atoms, mask):
    """chi1 and chi2 in degrees from 0 to 360, (points, 2)."""
    types = subject.chain.residue_types
    chi = np.degrees(side_chain_torsions(types, atoms, mask)[..., :2]) % 360
    half = np.broadcast_to(HALF_TURN_CHI2[types], chi.shape[:-1])
    turned = (chi + np.array([0, 180])) % 360
    points = np.concatenate([chi[~half].repeat(2, axis=0), chi[half], turned[half]])
    return points[np.isfinite(points).all(1)]


def _number(points):
    return f"{len(points):,} pairs"


def _figure_rows(subject, name):
    """A table of the divergence and its floor, where they are measured."""
    value, floor = (subject.figures.get(key) for key in (name, f"{name}_floor"))
    if value is None:
        return ""
    return table(("", "divergence, nats"), [("structures against reference", f"{value:.4f}"),
                                            ("MD against MD (floor)", f"{floor:.4f}")])  # fmt: skip
