"""The strip that shows, residue by residue, where a protein's structures are good and where not."""

from html import escape

import numpy as np

from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS
from openmm_cgvae.io.thinning import thinned
from openmm_cgvae.metrics.covalent import good_angles, good_bonds
from openmm_cgvae.metrics.deviations import with_nearest_labels
from openmm_cgvae.metrics.overlaps import atom_contacts
from openmm_cgvae.metrics.peptides import ramachandran_outliers
from openmm_cgvae.metrics.rotamers import rotamer_outliers
from openmm_cgvae.report.page import Section, figure, table

__all__ = ["residue_quality", "residue_section"]

CONTACT = 2.6
# Structures that are measured, and residues that are drawn.
STRUCTURES, MOST_RESIDUES = 48, 1500
# Heading, unit, and where the second and third class begin; the first is anything above none.
ROWS = {
    "backbone": ("Ramachandran outlier", "%", (0.05, 0.3)),
    "side_chain": ("rotamer outlier", "%", (0.1, 0.4)),
    "geometry": ("bond or angle off", "%", (0.1, 0.4)),
    "contact": ("close contact", "%", (0.1, 0.4)),
    "spread": ("spread of samples", "\u00c5", (1.0, 2.0)),
    "deviation": ("deviation from the crystal", "\u00c5", (1.5, 3.0)),
}


def residue_section(subject):
    """Return the section of the strip."""
    if not subject.is_protein:
        return Section("residues", "Residue by residue", missing=(
            "Quality by residue is left out: fewer than three amino acids in a row that have their C-alpha.",
        ))  # fmt: skip
    quality = residue_quality(subject)
    worst = _worst(quality)
    names = [f"{residue.name}{residue.id}" for residue in subject.residues]
    shown = np.arange(len(names))
    missing = []
    if len(names) > MOST_RESIDUES:
        shown = np.sort(worst[:MOST_RESIDUES])
        missing.append(f"Of {len(names):,} residues, the {MOST_RESIDUES:,} with most to report are drawn.")
    if "spread" not in quality:
        missing.append("Spread by residue is left out: there is one structure a frame.")
    if "deviation" not in quality:
        missing.append("Deviation by residue is left out: no structure was given that the beads were taken from.")
    labels = "".join(f"<span>{ROWS[name][0]}</span>" for name in quality)
    strip = f'<span class="labels" aria-hidden="true">{labels}</span>' + "".join(
        _column(subject, quality, names, k) for k in shown
    )
    label = f"{len(names)} residues, rows from the top: {', '.join(ROWS[name][0] for name in quality)}"
    caption = (
        f"From the top: {', '.join(ROWS[name][0] for name in quality)}; each the share of {_count(subject)} structures "
        "in which it is found, or its size. Click on a residue to see it in [[view]]."
    )
    head = ["residue", *(f"{ROWS[name][0]}, {ROWS[name][1]}" for name in quality)]
    rows = [(escape(names[k]), *(_text(name, values[k]) for name, values in quality.items())) for k in worst[:20]]
    drawn = f'{KEY}<div class="strip" role="img" aria-label="{escape(label)}">{strip}</div>'
    data = table(head, rows, caption="The residues with most to report")
    body = figure("strip", "Quality of every residue", drawn, caption, data)
    return Section("residues", "Residue by residue", body, tuple(missing))


KEY = (
    '<ul class="key strip-key"><li><i class="g0"></i> none</li><li><i class="g1"></i> little</li>'
    '<li><i class="g2"></i> to watch</li><li><i class="g3"></i> much</li></ul>'
)


def residue_quality(subject):
    """Measure every residue of a protein.

    Returns
    -------
    dict of str to numpy.ndarray, shape (N,)
        Shares of the structures with a Ramachandran or rotamer outlier (``backbone``, ``side_chain``), with a bond or
        angle unlike those of crystals (``geometry``), with a heavy atom below 2.6 Angstrom of another residue
        (``contact``); NaN where a residue has none. ``spread`` of samples and ``deviation`` from the crystal, root mean
        squares over heavy atoms in Angstrom, where they are known.
    """
    chain = subject.chain
    types, mask, connected = chain.residue_types, chain.mask, chain.connected
    every = subject.residue_atoms.reshape(-1, *subject.residue_atoms.shape[2:])
    atoms = every[thinned(len(every), STRUCTURES)]
    quality = {
        "backbone": _share(*ramachandran_outliers(types, atoms, mask, connected)),
        "side_chain": _share(*rotamer_outliers(types, atoms, mask)),
        "geometry": _off(types, atoms, mask, connected),
        "contact": _contacts(types, atoms, mask, connected),
    }
    if subject.residue_atoms.shape[1] > 1:
        spread = subject.residue_atoms.var(axis=1).sum(-1).mean(0)
        quality["spread"] = np.sqrt(_mean(spread, mask))
    crystal = subject.crystal
    if crystal is not None:
        both = mask & crystal.mask
        named = with_nearest_labels(types, atoms, crystal.atoms, both)
        quality["deviation"] = np.sqrt(_mean(np.square(named - crystal.atoms).sum(-1).mean(0), both))
    return quality


def _share(true, known):
    with np.errstate(invalid="ignore"):
        count = np.broadcast_to(known, true.shape).sum(0)
        return np.where(count > 0, (true & known).sum(0) / np.maximum(count, 1), np.nan)


def _off(types, atoms, mask, connected):
    wrong = np.zeros(atoms.shape[:2], dtype=bool)
    for test in (good_bonds, good_angles):
        good, known = test(types, atoms, mask, connected)
        wrong |= (~good & known).any(-1)
    return wrong.mean(0)


def _contacts(types, atoms, mask, connected):
    found = np.zeros(len(types))
    for frame in atoms:
        residues, _, _ = atom_contacts(types, frame, mask, connected, CONTACT)
        found[np.unique(residues)] += 1
    return found / len(atoms)


def _mean(values, mask):
    return np.where(mask, values, 0).sum(-1) / np.maximum(mask.sum(-1), 1)


def _worst(quality):
    """Residues by what there is to report, most first."""
    score = sum(np.nan_to_num(values) / ROWS[name][2][1] for name, values in quality.items())
    return np.argsort(-score, kind="stable")


def _level(name, value):
    if not np.isfinite(value):
        return "x"
    low, high = ROWS[name][2]
    nothing = value <= (0 if ROWS[name][1] == "%" else low / 2)
    return 0 if nothing else 1 if value < low else 2 if value < high else 3


def _text(name, value):
    if not np.isfinite(value):
        return ""
    return f"{100 * value:.0f}" if ROWS[name][1] == "%" else f"{value:.2f}"


def _column(subject, quality, names, k):
    """One residue: its letter, a number now and then, and a cell a row."""
    residue = subject.residues[k]
    told = "; ".join(
        f"{ROWS[name][0]} {_text(name, v[k])} {ROWS[name][1]}" for name, v in quality.items() if np.isfinite(v[k])
    )
    cells = "".join(f'<i class="g{_level(name, values[k])}"></i>' for name, values in quality.items())
    number = str(residue.id) if k % 10 == 0 else "&nbsp;"
    letter = AMINO_ACIDS[subject.chain.residue_types[k]]
    return (
        f'<span class="residue" data-residue="{residue.index}" title="{escape(names[k])}: {escape(told)}">'
        f"<u>{number}</u><b>{letter}</b>{cells}</span>"
    )


def _count(subject):
    return f"{min(STRUCTURES, subject.structures.shape[0] * subject.structures.shape[1]):,}"
