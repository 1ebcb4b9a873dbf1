"""The table of figures: ours beside their floors, peers and the paper."""

import json

from openmm_cgvae.metrics.proteins import COLUMNS
from openmm_cgvae.pretrained.index import bundled_file, read_index
from openmm_cgvae.report.page import Section, table
from openmm_cgvae.report.paper_tables import paper_figures
from openmm_cgvae.report.verdict import shown

__all__ = ["figure_section"]

# Name, heading and form of the figures of a molecule, as `evaluate` calls them.
FIGURES = (
    ("valid_ratio_all", "Structures with the molecule's bonds", "percent"),
    ("valid_ratio_heavy", "the same, heavy atoms", "percent"),
    ("raw_valid_ratio_all", "the same, before the bounds", "percent"),
    ("chirality_ratio", "Right handedness", "percent"),
    ("cis_trans_ratio", "Right cis and trans", "percent"),
    ("prochirality_ratio", "Right names of CH2 hydrogens", "percent"),
    ("clash_ratio", "Structures with a clash", "percent"),
    ("cg_consistency_max_nm", "Farthest bead", "length"),
    ("recon_rmsd_heavy_angstrom", "RMSD of reconstruction, heavy atoms, \u00c5", "plain"),
    ("recon_rmsd_all_angstrom", "RMSD of reconstruction, all atoms, \u00c5", "plain"),
    ("gen_rmsd_heavy_angstrom", "RMSD of samples, heavy atoms, \u00c5", "plain"),
    ("gen_rmsd_all_angstrom", "RMSD of samples, all atoms, \u00c5", "plain"),
    ("lambda_heavy", "Edits of the bond graph, heavy atoms", "plain"),
    ("lambda_all", "Edits of the bond graph, all atoms", "plain"),
    ("torsion_js_backbone", "Backbone torsions, divergence, nats", "plain"),
    ("torsion_js_side_chain", "Side-chain torsions, divergence, nats", "plain"),
    ("torsion_js_rotatable_hydrogen", "Rotating hydrogens, divergence, nats", "plain"),
    ("ramachandran_js", "phi and psi together, divergence, nats", "plain"),
    ("tica_js", "Slow motions (TICA), divergence, nats", "plain"),
    ("bond_w1_nm", "Bond lengths, distance to MD", "length"),
    ("angle_w1_rad", "Bond angles, distance to MD", "angle"),
    ("diversity_ratio", "Spread of samples, of MD's", "plain"),
    ("energy_per_atom_after_kj_mol", "Energy after minimisation, kJ/mol an atom", "plain"),
    ("beyond_training", "Frames with bead distances that training did not see", "percent"),
    ("frames_per_second", "Structures a second", "plain"),
)
WORDS = {"good": "good", "watch": "watch", "bad": "not fit"}


def figure_section(subject, figures, protein, found):
    """Return the section of the table.

    Parameters
    ----------
    subject : Subject
    figures : dict
        As of `evaluate`.
    protein : dict
        As of `openmm_cgvae.report.figures.protein_means`.
    found : sequence of Check
    """
    states = {check.name: check for check in found}
    parts = [_molecule(subject, figures, states), _protein(subject, protein, states)]
    missing = () if any(parts) else (f"A table of figures is left out: nothing was measured of these {subject.n_atoms:,} atoms.",)
    return Section("figures", "Figures", "".join(parts), missing)


def _molecule(subject, figures, states):
    rows = [(name, heading, form) for name, heading, form in FIGURES if figures.get(name) is not None]
    if not rows:
        return ""
    source, paper = _paper(subject)
    lines = []
    for name, heading, form in rows:
        floor = next((figures[key] for key in (f"{name}_floor", f"md_{name}") if figures.get(key) is not None), None)
        line = [heading, shown(figures[name], form), "" if floor is None else shown(floor, form), *_judgement(states.get(name))]
        lines.append([*line, *([_reported(paper.get(name), form)] if source else [])])
    head = ["", "these", "floor, or MD itself", "wanted", "", *([f"paper, {source}"] if source else [])]
    note = (
        "<p>The paper's figures are of shuffled frames of explicit-solvent MD, mean \u00b1 standard error; ours of whole runs held "
        "out. The floor is what MD scores against other runs of MD.</p>"
        if source
        else "<p>The floor is what MD scores against other runs of MD.</p>"
        if subject.reference is not None
        else ""
    )
    return note + table(head, lines, caption="Figures by the molecule's bond graph")


def _judgement(check):
    """The limit, and a word that says on which side of it a figure is."""
    return ("", "") if check is None else (check.wanted, f'<span class="state {check.state}">{WORDS[check.state]}</span>')


def _paper(subject):
    """Name of the paper's table, and its figures by name, (mean, standard error), where it has this molecule."""
    if subject.mapping is None:
        return None, {}
    source, figures = paper_figures([residue.name for residue in subject.topology.residues()])
    own = {name: pair for (beads, name, model), pair in figures.items() if beads == subject.mapping.n_beads and model == "cgvae"}
    return (source, own) if own else (None, {})


def _reported(pair, form):
    return "" if pair is None else f"{shown(pair[0], form)} \u00b1 {shown(pair[1], form)}"


def _protein(subject, protein, states):
    if not protein:
        return ""
    peers = _peers(subject)
    lines = []
    for name, heading, kind in COLUMNS:
        own = protein.get(name)
        if own is None or own["value"] is None:
            continue
        cells = [_cell(row["figures"].get(name), kind) for row in peers.values()]
        lines.append([heading.replace("A a", "\u00c5 a"), _cell(own, kind), *_judgement(states.get(name)), *cells])
    chains = next((row["chains"] for row in peers.values()), 0)
    note = f"<p>Beside these: what crystals and other programs score on {chains} held-out chains, from C-alphas, not minimised.</p>" if peers else ""
    return note + table(["", "these", "wanted", "", *peers], lines, caption="Figures of proteins, against crystals")


def _peers(subject):
    """Rows of the bundled evaluation of the model's mapping, or of C-alphas, by name."""
    names = [name for name, entry in read_index().items() if "evaluation" in entry]
    mapping = subject.metadata.get("mapping", "ca")
    name = f"protein-{mapping}" if f"protein-{mapping}" in names else "protein-ca"
    return json.loads(bundled_file(name, "evaluation").read_text())["rows"] if name in names else {}


def _cell(figure, kind):
    if figure is None or figure["value"] is None:
        return ""
    if kind == "count":
        return f"{figure['sum']:g} of {figure['count']:,}"
    value = figure["value"] * {"share": 100, "rate": 1000}.get(kind, 1)
    return f"{value:.4g}" if abs(value) >= 99 else f"{value:.3g}"
