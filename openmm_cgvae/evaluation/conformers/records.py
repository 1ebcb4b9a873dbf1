"""What the records and results of `evaluate_conformers` are, where they are read back."""

from typing import Any

from openmm_cgvae.core.schema import entries, flag, number, one_of, record, text, whole
from openmm_cgvae.evaluation.conformers.validity import CHECKS
from openmm_cgvae.io.results import figures

__all__ = ["RESULTS", "check_record"]

# Of ``results.json``.
GROUP = entries(figures({}, ("molecules",)))
RESULTS = record({"ensembles": entries(GROUP), "crystals": GROUP}, ("ensembles", "crystals"))
MEASURED = {
    "kind": one_of("ensemble", "crystal"), "name": text(), "generator": text(), "problem": text(),
    "heavy_atoms": whole(0), "rotatable_bonds": whole(0), "seconds": number(0), "cpu_seconds": number(0),
    "generated": whole(0), "requested": whole(0), "source": text(), "labels_complete": flag,
    **{f"valid_{check}": whole(0) for check in CHECKS},
}  # fmt: skip
OF_ALL = figures(MEASURED, ("kind", "name", "generator", "generated", "seconds", "cpu_seconds"))
OF_KIND = {
    "ensemble": record({}, ("requested", "source", "labels_complete", *(f"valid_{check}" for check in CHECKS))),
    "crystal": record({}, ("nearest",)),
}


def check_record(value: Any, name: str) -> None:
    """Allow a line of ``records.jsonl``: what one generator did on one molecule (a schema)."""
    OF_ALL(value, name)
    OF_KIND[value["kind"]](value, name)
