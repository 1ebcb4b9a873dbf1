"""The table of figures: ours beside their floors, peers and the paper."""

import json
import re

from openmm_cgvae.evaluation.judgement import shown
from openmm_cgvae.io.bundled import bundled_file, read_index
from openmm_cgvae.metrics.proteins import COLUMNS
from openmm_cgvae.report.page import Section, table
from openmm_cgvae.report.paper_tables import paper_figures

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
# Headings of proteins' figures that are too short to stand alone.
HEADINGS = {
    "rmsd_backbone": "RMSD backbone, \u00c5",
    "rmsd_side_chain": "RMSD side chain, \u00c5",
    "d_residues": "mirrored residues (D)",
    "wrong_side_chain_centres": "mirrored Ile and Thr at C-beta",
    "cis": "cis peptide bonds",
    "cis_proline": "cis before proline",
    "diversity": "diversity (FlowBack's DIV)", "twisted_peptides": "twisted peptide bonds (> 30 degrees), %",
}  # fmt: skip
# What rounding leaves of nothing.
NOTHING = 5e-4
ANGSTROM = re.compile(r"\bA\b(?!-)")
WORDS = {"good": "good", "watch": "watch", "bad": "not fit"}


def figure_section(subject, figures, protein, floors, found):
    """Return the section of the table.

    Parameters
    ----------
    subject : Subject
    figures : dict
        As of `evaluate`.
    protein, floors : dict
        As of `openmm_cgvae.evaluation.measures.protein_means`, and of the reference.
    found : sequence of Check
    """
    states = {check.name: check for check in found}
    parts = [_molecule(subject, figures, states), _protein(subject, protein, floors, states)]
    missing = (
        ()
        if any(parts)
        else (f"A table of figures is left out: nothing was measured of these {subject.n_atoms:,} atoms.",)
    )
    return Section("figures", "Figures", "".join(parts), missing)


def _molecule(subject, figures, states):
    rows = [(name, heading, form) for name, heading, form in FIGURES if figures.get(name) is not None]
    if not rows:
        return ""
    source, paper = _paper(subject)
    lines = []
    for name, heading, form in rows:
        floor = next((figures[key] for key in (f"{name}_floor", f"md_{name}") if figures.get(key) is not None), None)
        line = [
            heading,
            shown(figures[name], form),
            "" if floor is None else shown(floor, form),
            *_judgement(states.get(name)),
        ]
        lines.append([*line, *([_reported(paper.get(name), form)] if source else [])])
    head = ["", "these", "floor, or MD itself", "wanted", "", *([f"paper, {source}"] if source else [])]
    note = (
        "<p>The paper's figures are of shuffled frames of explicit-solvent MD, mean \u00b1 standard error; ours of "
        "whole runs held out. The floor is what MD scores against other runs of MD.</p>"
        if source
        else "<p>The floor is what MD scores against other runs of MD.</p>"
        if subject.reference is not None
        else ""
    )
    return note + table(head, lines, caption="Figures by the molecule's bond graph")


def _judgement(check):
    """The limit, and a word that says on which side of it a figure is."""
    return (
        ("", "") if check is None else (check.wanted, f'<span class="state {check.state}">{WORDS[check.state]}</span>')
    )


def _paper(subject):
    """Name of the paper's table, and its figures by name, (mean, standard error), where it has this molecule."""
    if subject.mapping is None:
        return None, {}
    source, figures = paper_figures([residue.name for residue in subject.topology.residues()])
    own = {
        name: pair
        for (beads, name, model), pair in figures.items()
        if beads == subject.mapping.n_beads and model == "cgvae"
    }
    return (source, own) if own else (None, {})


def _reported(pair, form):
    return "" if pair is None else f"{shown(pair[0], form)} \u00b1 {shown(pair[1], form)}"


def _protein(subject, protein, floors, states):
    if not protein:
        return ""
    peers, lines = _peers(subject), []
    for name, heading, kind in COLUMNS:
        own = protein.get(name)
        if own is None or own["value"] is None:
            continue
        others = [_cell(floors.get(name), kind)] if floors else []
        cells = [_cell(row["figures"].get(name), kind) for row in peers.values()]
        heading = HEADINGS.get(name) or ANGSTROM.sub("\u00c5", heading)
        lines.append([heading, _cell(own, kind), *others, *_judgement(states.get(name)), *cells])
    note = ""
    if peers:
        chains = next(row["chains"] for row in peers.values())
        note = (
            f"<p>Beside these, what crystals and other programs score on {chains} held-out chains, not minimised.</p>"
        )
    head = ["", "these", *(["MD"] if floors else []), "wanted", "", *peers]
    return note + table(head, lines, caption="Figures of proteins, against crystals")


def _peers(subject):
    """Rows of the bundled evaluation of the model's mapping, or of C-alphas; none of models of one molecule."""
    if subject.metadata.get("kind", "protein") != "protein":
        return {}
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
    return "0" if abs(value) < NOTHING else f"{value:.4g}" if abs(value) >= 99 else f"{value:.3g}"
