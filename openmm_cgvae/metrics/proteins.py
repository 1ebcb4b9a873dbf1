"""Figures of many proteins built from beads, each a sum and a count so that proteins add up.

A chain is given as in `openmm_cgvae.proteins.chains.Chain`: residue types (N,), atoms (N, 14, 3) in Angstrom, which
atoms are there (N, 14), and whether a residue is bonded to the one before (N,).
"""

import numpy as np

from openmm_cgvae.chemistry.aminoacids.residues import N_SLOTS
from openmm_cgvae.core.errors import DataError, PositionsError
from openmm_cgvae.metrics.covalent import disulfides, good_angles, good_bonds, wrong_side_chain_centres
from openmm_cgvae.metrics.deviations import protein_rmsd
from openmm_cgvae.metrics.overlaps import overlap_figures, pierced_rings
from openmm_cgvae.metrics.peptides import cis_figures, cis_peptides, d_residues, ramachandran_outliers, twisted_peptides
from openmm_cgvae.metrics.residueshapes import CA, SULFUR
from openmm_cgvae.metrics.rotamers import chi_agreement, rotamer_outliers
from openmm_cgvae.metrics.vectors import distance

__all__ = ["LONG", "bead_figures", "protein_figures", "protein_rows", "protein_summary", "protein_table"]

# Chains above so many residues are also summed on their own.
LONG = 300
DISULFIDE = 2.05
# Name, heading and decimals; a share is printed in percent, a rate per 1,000, a count beside what it is counted of.
COLUMNS = (
    ("rmsd_all", "RMSD all, A", "mean"),
    ("rmsd_backbone", "backbone", "mean"),
    ("rmsd_side_chain", "side chain", "mean"),
    ("rmsd_best", "RMSD all, best sample, A", "mean"),
    ("diversity", "DIV", "mean"),
    ("chi1_20", "chi1 < 20, %", "share"),
    ("chi12_20", "chi1+2 < 20, %", "share"),
    ("chi1_40", "chi1 < 40, %", "share"),
    ("chi12_40", "chi1+2 < 40, %", "share"),
    ("rotamer_outliers", "rotamer outliers, %", "share"),
    ("ramachandran_outliers", "Ramachandran outliers, %", "share"),
    ("bonds", "bonds < 10 %, %", "share"),
    ("backbone_bonds", "backbone bonds < 10 %, %", "share"),
    ("angles", "angles < 4 sigma, %", "share"),
    ("contacts_2.6", "contacts < 2.6 A a 1,000 atoms", "rate"),
    ("contacts_2.0", "contacts < 2.0 A a 1,000 atoms", "rate"),
    ("clashing_residues", "residues < 1.2 A, %", "share"),
    ("d_residues", "D", "count"),
    ("wrong_side_chain_centres", "wrong Ile, Thr", "count"),
    ("cis", "cis", "count"),
    ("cis_proline", "cis Pro", "count"),
    ("wrong_cis", "wrong cis", "count"),
    ("wrong_cis_proline", "wrong cis Pro", "count"),
    ("missed_cis", "missed cis", "count"),
    ("missed_cis_proline", "missed cis Pro", "count"),
    ("twisted_peptides", "twisted > 30, %", "share"),
    ("pierced_rings", "pierced rings", "count"),
    ("disulfides", "disulfides < 10 %", "count"),
    ("missing_atoms", "missing atoms", "count"),
    ("bead_shift", "C-alpha shift, A", "mean"),
    ("residues_per_second", "residues/s", "mean"),
)


def protein_figures(types, atoms, reference, mask, connected, built=None):
    """Compare one built chain with the structure its beads were taken from.

    Parameters
    ----------
    types : numpy.ndarray of int, shape (N,)
        Index into ``ARNDCQEGHILKMFPSTWYV``.
    atoms, reference : numpy.ndarray, shape (N, 14, 3)
        Angstrom.
    mask : numpy.ndarray of bool, shape (N, 14)
        Atoms of the reference.
    connected : numpy.ndarray of bool, shape (N,)
        Whether a residue is bonded to the one before.
    built : numpy.ndarray of bool, shape (N, 14), optional
        Atoms that were built; those of the reference if omitted. Geometry and contacts are those of all atoms built,
        deviations those of atoms in both.

    Returns
    -------
    dict of str to (float, int)
        Sum and count, whose ratio is the figure: ``rmsd_*`` in Angstrom (one value a chain), ``chi*``, ``bonds``,
        ``angles`` good ones, the rest as named. Disulfides are those of the reference.

    Raises
    ------
    PositionsError
        If shapes do not fit or an atom that should be there is not finite.
    """
    built = mask if built is None else built
    atoms, reference = (np.asarray(x, dtype=np.float64) for x in (atoms, reference))
    _check(types, atoms, built, connected)
    both = mask & built
    bonded = disulfides(types, reference, mask)
    figures = {f"rmsd_{part}": (float(value), 1) for part, value in protein_rmsd(types, atoms, reference, both).items()}
    for degrees in (20, 40):
        agree, known = chi_agreement(types, atoms, reference, both, degrees)
        for k, name in enumerate(("chi1", "chi12")):
            figures[f"{name}_{degrees}"] = _counted(agree[:, k], known[:, k])
    figures |= cis_figures(types, atoms, reference, both, connected)
    figures["disulfides"] = _counted(*_good_disulfides(atoms, built, bonded))
    figures["missing_atoms"] = (int((mask & ~built).sum()), int(mask.sum()))
    figures["bead_shift"] = (float(distance(atoms[:, CA], reference[:, CA]).sum()), len(types))
    return figures | _geometry(types, atoms, built, connected, bonded)


def bead_figures(types, atoms, mask, connected, beads):
    """Judge a chain built on C-alpha beads for which there is no truth.

    Parameters
    ----------
    types, atoms, mask, connected
        As in `protein_figures`.
    beads : numpy.ndarray, shape (N, 3)
        The positions given, Angstrom.

    Returns
    -------
    dict of str to (float, int)
        What `protein_figures` has of geometry, contacts and handedness; ``bead_shift``, how far C-alpha was moved,
        Angstrom.

    Raises
    ------
    PositionsError
        As `protein_figures`.
    """
    atoms = np.asarray(atoms, dtype=np.float64)
    _check(types, atoms, mask, connected)
    shift = distance(atoms[:, CA], np.asarray(beads, dtype=np.float64))
    figures = _geometry(types, atoms, mask, connected, disulfides(types, atoms, mask))
    return figures | {"bead_shift": (float(shift.sum()), len(types))}


def protein_summary(figures, lengths):
    """Add up the figures of chains.

    Parameters
    ----------
    figures : sequence of dict
        As `protein_figures` returns them; one may lack some.
    lengths : sequence of int
        Residues of each chain.

    Returns
    -------
    dict
        ``chains``, ``residues``; ``figures``: name to dict of ``value``, ``sum`` and ``count``; ``long``: the same of
        the chains above 300 residues, if there are any.

    Raises
    ------
    DataError
        If there is no chain.
    """
    if not len(figures):
        raise DataError("no chain given: at least one expected")
    summary = _added(figures, lengths)
    long = [k for k, length in enumerate(lengths) if length > LONG]
    if long:
        summary["long"] = _added([figures[k] for k in long], [lengths[k] for k in long])
    return summary


def protein_rows(summaries, long=False):
    """Return the rows of a table of summaries, headings first: one row a figure and one column a summary.

    Parameters
    ----------
    summaries : dict of str to dict
        Name of a row to what `protein_summary` returned.
    long : bool, optional
        Of chains above 300 residues instead.

    Returns
    -------
    list of list of str
        A dash where a figure is not known.
    """
    parts = {name: summary.get("long") if long else summary for name, summary in summaries.items()}
    parts = {name: part for name, part in parts.items() if part}
    rows = [["", *parts], ["chains; residues", *(f"{part['chains']}; {part['residues']:,}" for part in parts.values())]]
    for name, heading, kind in COLUMNS:
        cells = [_cell(part["figures"].get(name), kind) for part in parts.values()]
        if any(cell != "-" for cell in cells):
            rows.append([heading, *cells])
    return rows


def protein_table(summaries, long=False):
    """Return `protein_rows` as a table in Markdown."""
    head, *rows = protein_rows(summaries, long)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _geometry(types, atoms, mask, connected, bonded):
    """Figures that need no reference."""
    piercing = pierced_rings(types, atoms, mask, connected, bonded)
    return {
        "rotamer_outliers": _counted(*rotamer_outliers(types, atoms, mask)),
        "ramachandran_outliers": _counted(*ramachandran_outliers(types, atoms, mask, connected)),
        "bonds": _counted(*good_bonds(types, atoms, mask, connected)),
        "backbone_bonds": _counted(*good_bonds(types, atoms, mask, connected, backbone=True)),
        "angles": _counted(*good_angles(types, atoms, mask, connected)),
        "d_residues": _counted(*d_residues(types, atoms, mask)),
        "wrong_side_chain_centres": _counted(*wrong_side_chain_centres(types, atoms, mask)),
        **cis_peptides(types, atoms, mask, connected),
        "twisted_peptides": _counted(*twisted_peptides(atoms, mask, connected)),
        "pierced_rings": (len(piercing), len(types)),
        **overlap_figures(types, atoms, mask, connected, bonded),
    }


def _check(types, atoms, mask, connected):
    """Raise if arrays do not fit each other."""
    n = len(types)
    if atoms.shape != (n, N_SLOTS, 3) or np.shape(mask) != (n, N_SLOTS) or np.shape(connected) != (n,):
        raise PositionsError(
            f"atoms of shape {atoms.shape}, mask {np.shape(mask)}, connected {np.shape(connected)} given: "
            f"({n}, {N_SLOTS}, 3), ({n}, {N_SLOTS}) and ({n},) are expected for {n} residues"
        )
    if not np.isfinite(atoms[mask]).all():
        raise PositionsError("an atom without finite coordinates given: check what built it")


def _counted(true, known):
    """Number of true ones among the known, and of these."""
    return int((true & known).sum()), int(known.sum())


def _good_disulfides(atoms, mask, bonded):
    """Which of these disulfide bonds have S-S within 10 % of 2.05 Angstrom, and which have both atoms."""
    one, other = (atoms[bonded[:, k], SULFUR] for k in range(2))
    return np.abs(distance(one, other) / DISULFIDE - 1) <= 0.1, mask[bonded, SULFUR].all(1)


def _added(figures, lengths):
    """Sums, counts and ratios over chains."""
    added = {}
    for name in dict.fromkeys(name for part in figures for name in part):
        total, count = (sum(part[name][k] for part in figures if name in part) for k in range(2))
        added[name] = {"value": total / count if count else None, "sum": total, "count": count}
    return {"chains": len(figures), "residues": int(sum(lengths)), "figures": added}


def _cell(figure, kind):
    """A figure as text."""
    if figure is None or figure["value"] is None:
        return "-"
    if kind == "count":
        return f"{figure['sum']} of {figure['count']:,}"
    value = figure["value"] * {"share": 100, "rate": 1000}.get(kind, 1)
    return f"{value:.4g}" if abs(value) >= 99 else f"{value:.3g}"
