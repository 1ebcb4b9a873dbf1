"""A report of a subject: what is measured, judged and drawn, put together."""

import numpy as np

from openmm_cgvae.evaluation.judgement import checks
from openmm_cgvae.evaluation.measures import molecule_figures, protein_means
from openmm_cgvae.evaluation.surprise import beyond_training
from openmm_cgvae.report.beadmap import mapping_section
from openmm_cgvae.report.curves import training_section
from openmm_cgvae.report.distributions import distribution_section
from openmm_cgvae.report.maps import map_section
from openmm_cgvae.report.page import page, write_page
from openmm_cgvae.report.residues import residue_section
from openmm_cgvae.report.tables import figure_section
from openmm_cgvae.report.verdict import verdict_html
from openmm_cgvae.report.view import view_section

__all__ = ["SECTIONS", "report_html", "write_report"]

# Sections between the view and the table, in the order of the page: each takes the `Subject` and returns a `Section`.
LARGE_ATOMS = 300
SECTIONS = [map_section, distribution_section, residue_section, mapping_section]


def write_report(path, subject, overwrite=False):
    """Write the report of a subject as one HTML file.

    Parameters
    ----------
    path : path
    subject : Subject
    overwrite : bool

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OutputError
        If the file may not be written.
    """
    return write_page(path, report_html(subject), overwrite)


def report_html(subject):
    """Return the page of a subject; see `write_report`."""
    figures = molecule_figures(subject) | _derived(subject)
    subject.figures = figures
    protein, floors = protein_means(subject), protein_means(subject, of_reference=True)
    found = checks(figures, protein, floors, same_beads=subject.origin is not None, large=subject.n_atoms > LARGE_ATOMS)
    view, payload = view_section(subject)
    sections = [view, *(section(subject) for section in SECTIONS), training_section(subject.training_log)]
    sections.append(figure_section(subject, figures, protein, floors, found))
    return page(subject.title, _lead(subject), verdict_html(found, _notes(subject)), sections, subject.sources, payload)


def _derived(subject):
    """Figures that follow from what a subject holds."""
    derived, energies = {}, subject.energies
    if {"minimised", "md minimised"} <= set(energies):
        medians = [float(np.nanmedian(energies[name])) for name in ("minimised", "md minimised")]
        derived["energy_excess"] = medians[0] - medians[1]
    known = [subject.figures.get(f"{prefix}energy_per_atom_after_kj_mol") for prefix in ("", "md_")]
    if "energy_excess" not in derived and None not in known:
        derived["energy_excess"] = known[0] - known[1]
    if subject.potential is not None and subject.beads is not None:
        derived["beyond_training"] = float(beyond_training(subject.potential, subject.beads).mean())
    return derived


def _lead(subject):
    frames, samples = subject.structures.shape[:2]
    text = f"{frames:,} {'frame' if frames == 1 else 'frames'}"
    text += f" with {samples} structures each" if samples > 1 else ""
    text += f" of {subject.n_atoms:,} atoms"
    if subject.mapping is not None:
        text += f" on {subject.mapping.n_beads:,} beads"
    if subject.reference is not None:
        text += f", beside {len(subject.reference):,} frames of reference MD in {len(np.unique(subject.runs))} runs"
    elif subject.crystal is not None:
        text += ", built from the beads of a structure and compared with it"
    return text + "."


def _notes(subject):
    if subject.reference is None and subject.crystal is None:
        yield (
            "Without a reference this says whether the structures are sound, not whether their conformations are "
            "distributed as they should be."
        )
    elif subject.reference is not None and subject.origin is None:
        yield (
            "The beads are of another run than the reference: what differs from MD may come from the coarse-grained "
            "force field as much as from the model."
        )
