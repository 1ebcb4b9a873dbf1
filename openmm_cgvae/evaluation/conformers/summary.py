"""What the records of an evaluation of conformers come to: means and medians over molecules, and a table of them."""

import numpy as np

from openmm_cgvae.core.representation import text_table
from openmm_cgvae.evaluation.conformers.accuracy import THRESHOLDS
from openmm_cgvae.evaluation.conformers.validity import CHECKS

__all__ = ["summarised", "summary_rows", "summary_table"]

SIDES = ("recall", "precision")
SHARES = tuple(f"coverage_{side}_{t}" for side in SIDES for t in THRESHOLDS)
DISTANCES = (*(f"amr_{side}{end}" for side in SIDES for end in ("", "_mean", "_max")), "worst")
ENERGIES = ("ensemble_energy_error", "lowest_energy_error", "gap_error")
# Shares of crystal ligands whose nearest conformer is below so many Angstrom.
CRYSTAL = (1.0, 1.5)


def summarised(records, generators):
    """Summarise the records of `evaluate_conformers`.

    Parameters
    ----------
    records : list of dict
    generators : sequence of str
        Only molecules that all of them have been measured on count, so that they are compared on the same.

    Returns
    -------
    dict
        ``ensembles``: for "all" and every source the figures of each generator (mean and median over molecules;
        failures count as a coverage of 0 and not in RMSDs); ``crystals``: the same of crystal ligands.
    """
    wanted = [r for r in records if r["generator"] in generators]
    ensembles = _complete([r for r in wanted if r["kind"] == "ensemble"], generators)
    crystals = _complete([r for r in wanted if r["kind"] == "crystal"], generators)
    groups = {"all": ensembles}
    for source in sorted({r["source"] for r in ensembles}):
        groups[source] = [r for r in ensembles if r["source"] == source]
    return {
        "ensembles": {
            group: {name: _of_ensembles([r for r in own if r["generator"] == name]) for name in generators}
            for group, own in groups.items()
            if own
        },
        "crystals": {
            name: _of_crystals([r for r in crystals if r["generator"] == name]) for name in generators if crystals
        },
    }


def summary_rows(results):
    """Return the rows of a table of the figures: a column a generator, and parts with headings of their own."""
    rows = []
    for group, own in results["ensembles"].items():
        rows += _part(own, f"{group}: {{}} molecules, mean (median)", ENSEMBLE_ROWS)
    if results["crystals"]:
        rows += _part(results["crystals"], "crystal ligands: {}", CRYSTAL_ROWS)
    return rows


def summary_table(results):
    """Return `summary_rows` as text."""
    return text_table(summary_rows(results)) + "\n"


def _complete(records, generators):
    """Records of molecules that every generator has one of."""
    names = {}
    for record in records:
        names.setdefault(record["name"], set()).add(record["generator"])
    return [r for r in records if names[r["name"]] >= set(generators)]


def _of_ensembles(records):
    generated = sum(r["generated"] for r in records)
    found = {
        "molecules": len(records),
        "failures": sum(r["generated"] == 0 for r in records),
        "generated": generated,
        "requested": sum(r["requested"] for r in records),
        "labels_bounded": sum(not r["labels_complete"] for r in records),
        **_speed(records),
    }
    for name in (*SHARES, *DISTANCES, *ENERGIES):
        found |= _mean_and_median(name, [r[name] for r in records if r.get(name) is not None])
    for check in CHECKS:
        found[f"valid_{check}"] = sum(r[f"valid_{check}"] for r in records) / generated if generated else None
    return found


def _of_crystals(records):
    nearest = [r["nearest"] for r in records if r["nearest"] is not None]
    shares = {f"share_below_{t}": sum(x < t for x in nearest) / max(1, len(records)) for t in CRYSTAL}
    failures = {"molecules": len(records), "failures": len(records) - len(nearest), **_speed(records)}
    return failures | _mean_and_median("nearest", nearest) | shares


def _speed(records):
    seconds, used = (sum(r[name] for r in records) for name in ("seconds", "cpu_seconds"))
    return {
        "seconds_a_molecule": seconds / max(1, len(records)),
        # What else runs on the machine does not change it.
        "conformers_a_cpu_second": sum(r["generated"] for r in records) / used if used else None,
    }


def _mean_and_median(name, values):
    if not values:
        return {}
    return {f"{name}_mean_over_molecules": float(np.mean(values)), f"{name}_median": float(np.median(values))}


def _row(label, name, factor=1.0, digits=3):
    return label, name, factor, digits


ENSEMBLE_ROWS = (
    *(_row(f"coverage {side} {t} A, %", f"coverage_{side}_{t}", 100, 1) for side in SIDES for t in THRESHOLDS),
    *(_row(f"AMR {side}, A", f"amr_{side}") for side in SIDES),
    *(_row(f"mean RMSD {side}, A", f"amr_{side}_mean") for side in SIDES[:1]),
    *(_row(f"largest RMSD {side}, A", f"amr_{side}_max") for side in SIDES),
    _row("worst sample from its nearest, A", "worst"),
    _row("ensemble energy error, kJ/mol", "ensemble_energy_error", 1, 2),
    _row("lowest energy error, kJ/mol", "lowest_energy_error", 1, 2),
    _row("gap error, eV", "gap_error"),
    *(_row(f"{check.replace('_', ' ')} right, %", f"valid_{check}", 100, 2) for check in CHECKS),
    _row("failures", "failures", 1, 0),
    _row("conformers a CPU second", "conformers_a_cpu_second", 1, 1),
    _row("s a molecule", "seconds_a_molecule", 1, 2),
)
CRYSTAL_ROWS = (
    _row("nearest, A", "nearest"),
    *(_row(f"below {t} A, %", f"share_below_{t}", 100, 1) for t in CRYSTAL),
    _row("failures", "failures", 1, 0),
    _row("s a molecule", "seconds_a_molecule", 1, 2),
)


def _part(columns, title, rows):
    """Rows of the figures that any generator has, below the heading and above an empty line."""
    yield title.format(next(iter(columns.values()))["molecules"]), *columns
    for label, name, factor, digits in rows:
        cells = [_cell(figures, name, factor, digits) for figures in columns.values()]
        if any(cells):
            yield label, *cells
    yield ("",)


def _cell(figures, name, factor, digits):
    if f"{name}_mean_over_molecules" in figures:
        mean, median = (figures[f"{name}_{end}"] * factor for end in ("mean_over_molecules", "median"))
        return f"{mean:.{digits}f} ({median:.{digits}f})"
    value = figures.get(name)
    return "" if value is None else f"{value * factor:.{digits}f}"
