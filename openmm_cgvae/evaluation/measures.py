"""Figures of a subject: by the names of `openmm_cgvae.evaluation.evaluate.evaluate`, and those of proteins."""

import logging

import numpy as np

from openmm_cgvae.core.errors import CGVAEError
from openmm_cgvae.io.thinning import thinned
from openmm_cgvae.metrics import (
    bead_figures,
    cis_trans,
    diversity_ratio,
    each_torsion_divergence,
    geometry_distance,
    handedness,
    protein_figures,
    structure_summary,
    tica_divergence,
    torsion_divergence,
)
from openmm_cgvae.metrics.residueshapes import CA
from openmm_cgvae.metrics.torsions import KINDS
from openmm_cgvae.preparation.structures import heavy_atoms

__all__ = ["molecule_figures", "protein_means"]

logger = logging.getLogger(__name__)

# Frames at which the spread of samples is compared with that of MD.
SPREAD_FRAMES = 150
# Structures of a protein whose figures are averaged.
PROTEIN_STRUCTURES = 24
# Structures of which bonds and angles are compared.
GEOMETRY_FRAMES = 1000


def molecule_figures(subject):
    """Measure the structures of a molecule by its bond graph; what is known already is not measured again.

    Returns
    -------
    dict
        As of `evaluate`, as far as there is something to measure; empty for large systems.
    """
    if subject.figures or not subject.is_small:
        return dict(subject.figures)
    figures = _structure(subject)
    if subject.reference is not None:
        for measure in (_geometry, _torsions, _slow_motions, _diversity):
            figures |= measure(subject)
    return {"frames": len(subject.structures), "samples": subject.structures.shape[1], **figures}


def protein_means(subject, of_reference=False):
    """Average the figures of proteins over structures.

    Parameters
    ----------
    subject : Subject
    of_reference : bool
        Of the reference MD instead.

    Returns
    -------
    dict of str to dict
        ``value``, ``sum`` and ``count`` by name as in `openmm_cgvae.metrics.protein_summary`; empty for what is no
        protein, or has no reference.
    """
    if not subject.is_protein or (of_reference and subject.reference is None):
        return {}
    if of_reference:
        rows = thinned(len(subject.reference), PROTEIN_STRUCTURES)
        atoms = heavy_atoms(subject.reference[rows], subject.topology)[0]
    else:
        every = subject.residue_atoms.reshape(-1, *subject.residue_atoms.shape[2:])
        atoms = every[thinned(len(every), PROTEIN_STRUCTURES)]
    chain, crystal = subject.chain, subject.crystal
    sums = {}
    for one in atoms:
        if crystal is None:
            found = bead_figures(chain.residue_types, one, chain.mask, chain.connected, one[:, CA])
            # Of C-alphas against themselves.
            del found["bead_shift"]
        else:
            found = protein_figures(chain.residue_types, one, crystal.atoms, crystal.mask, chain.connected, chain.mask)
        for name, pair in found.items():
            sums[name] = np.add(sums.get(name, (0, 0)), pair)
    return {
        name: {"value": float(total / count) if count else None, "sum": float(total), "count": int(count)}
        for name, (total, count) in sums.items()
    }


def _structure(subject):
    repeated = subject.structures.shape[1]
    signs, trans = subject.reference_signs, None
    if subject.origin is not None:
        origin = subject.reference[subject.origin]
        signs = np.repeat(handedness(origin, subject.graph), repeated, axis=0)
        trans = np.repeat(cis_trans(origin, subject.graph), repeated, axis=0)
    if signs is None:
        signs = handedness(subject.flat[:1], subject.graph)[0]
    beads = None if subject.beads is None else np.repeat(subject.beads, repeated, axis=0)
    summary = structure_summary(subject.flat, subject.graph, signs, beads, subject.mapping, trans)
    del summary["frames"]
    if subject.reference is None:
        return summary
    ideal = structure_summary(subject.reference, subject.graph, subject.reference_signs)
    return summary | {f"md_{name}": ideal[name] for name in ("valid_ratio_all", "valid_ratio_heavy", "clash_ratio")}


def _geometry(subject):
    first = np.isin(subject.runs, np.unique(subject.runs)[::2])
    sets = (subject.flat, subject.reference, subject.reference[first], subject.reference[~first])
    # Bonds and angles relax within frames: some tell as much as all.
    flat, reference, one, other = (positions[thinned(len(positions), GEOMETRY_FRAMES)] for positions in sets)
    found = geometry_distance(flat, reference, subject.graph)
    floor = geometry_distance(one, other, subject.graph)
    figures = {}
    for name, source in (("bond_w1_nm", "bond_wasserstein_nm"), ("angle_w1_rad", "angle_wasserstein_rad")):
        figures |= {name: found.get(source), f"{name}_floor": floor.get(source)}
    return figures


def _torsions(subject):
    each = each_torsion_divergence(subject.flat, subject.reference, subject.graph, subject.runs)
    figures = {"torsions": each}
    for kind in KINDS:
        own = [values for values in each.values() if values["kind"] == kind]
        for suffix, name in (("", "divergence"), ("_floor", "floor")):
            figures[f"torsion_js_{kind}{suffix}"] = float(np.mean([v[name] for v in own])) if own else None
    planes = torsion_divergence(subject.flat, subject.reference, subject.graph, subject.runs)
    return figures | {f"ramachandran_js{s}": planes.get(f"ramachandran{s}") for s in ("", "_floor")}


def _slow_motions(subject):
    try:
        found = tica_divergence(subject.flat, subject.reference, subject.graph, subject.runs)
    except CGVAEError as error:
        logger.info("no slow motions: %s", error)
        found = None
    return dict(zip(("tica_js", "tica_js_floor"), found or (None, None), strict=True))


def _diversity(subject):
    if subject.origin is None or subject.structures.shape[1] < 2 or subject.mapping is None:
        return {"diversity_ratio": None}
    reference, runs = subject.reference[subject.origin], subject.runs[subject.origin]
    try:
        found = diversity_ratio(
            subject.structures, reference, subject.mapping, subject.graph, runs, max_frames=SPREAD_FRAMES
        )
    except CGVAEError as error:
        logger.info("no diversity ratio: %s", error)
        return {"diversity_ratio": None}
    return {"diversity_ratio": found["ratio"], "diversity_ratio_heavy": found["ratio_heavy"]}
