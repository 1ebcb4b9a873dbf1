"""Which mapping the beads of a topology belong to."""

import logging
import re
from dataclasses import dataclass, replace

from openmm_cgvae.binding.beadtable import speaks_one_letter
from openmm_cgvae.chemistry.aminoacids.names import CAP_NAMES, D_NAMES, kind_of
from openmm_cgvae.core.errors import MappingError, SettingsError, TopologyMismatchError

__all__ = ["MAPPINGS", "Recognised", "recognise"]

logger = logging.getLogger(__name__)

MAPPINGS = {
    "ca": "one bead a residue at C-alpha (protein-ca)",
    "martini": "Martini beads BB and SC1 to SC5 (protein-martini)",
    "com": "one bead a residue at its centre of mass (protein-com)",
}
_SIDE = re.compile(r"SC[1-9]$")
# Beads that carry a charge or a Go contact and stand for no atoms: HADDOCK's, the polarisable model's, virtual sites.
_EXTRA = re.compile(r"SCD\d*$|SC[PN]\d*$|CA$|VS\d*$")


@dataclass(frozen=True)
class Recognised:
    """A mapping, its main bead, and the rows that take part.

    Parameters
    ----------
    family : {"ca", "com", "martini"}
    main : str or None
        Name of the main bead; None where every bead is a residue whatever its name.
    rows : list of int
        Beads of the protein, caps included.
    kept : list of int
        Beads of other residues that are kept as they are.
    ignored : dict of str to list of int
        What was left out, by reason.
    """

    family: str
    main: str | None
    rows: list
    kept: list
    ignored: dict


def recognise(record, mapping=None, unknown="error"):
    """Return what mapping a `BeadRecord` is of (`Recognised`).

    Parameters
    ----------
    record : BeadRecord
    mapping : str, optional
        A name that it must be: one of `MAPPINGS`, or "martini2", "martini3", "elnedyn".
    unknown : {"error", "drop", "keep"}
        What to do with a residue that is no amino acid, cap, water or ion.

    Raises
    ------
    TopologyMismatchError
        If there are atoms instead of beads, or residues that are not known.
    MappingError
        If the beads are of another mapping.
    """
    wanted = {"martini2": "martini", "martini3": "martini", "elnedyn": "martini"}.get(mapping, mapping)
    if wanted is not None and wanted not in MAPPINGS:
        raise MappingError(f"mapping {mapping!r} given: {_listed()} is expected")
    rows, kept, ignored = _protein_rows(record, unknown)
    by_residue = {}
    for row in rows:
        by_residue.setdefault(int(record.residues[row]), []).append(record.names[row])
    _check_not_atoms(record, by_residue)
    names = {name for group in by_residue.values() for name in group}
    if "BB" in names:
        found = _martini(record, rows, kept, ignored, names)
    else:
        found = Recognised("ca", _one_bead_name(record, by_residue, names), rows, kept, ignored)
    if wanted == "com" and found.family == "ca":
        return replace(found, family="com")
    if wanted not in (None, found.family):
        raise MappingError(
            f'mapping "{mapping}" given, the beads of {record.source} are those of "{found.family}", '
            f"{MAPPINGS[found.family]}: use the model of that mapping"
        )
    if found.family == "ca" and found.main != "CA":
        logger.info("one bead a residue, named %s and the like, taken for C-alpha", sorted(names)[0])
    return found


def _listed():
    return "; ".join(f'"{name}", {text}' for name, text in MAPPINGS.items())


def _protein_rows(record, unknown):
    """Rows of amino acids and caps, rows to keep as they are, and those left out, by reason."""
    if unknown not in ("error", "drop", "keep"):
        raise SettingsError(f'unknown={unknown!r} given: "error", "drop" or "keep" is expected')
    one_letter = speaks_one_letter(record)
    rows, strange, ignored = [], {}, {}
    for row, name in enumerate(record.residue_names):
        kind = kind_of(name, one_letter)
        if kind in ("amino acid", "cap"):
            rows.append(row)
        elif kind in ("water", "ion"):
            ignored.setdefault("water and ions", []).append(row)
        else:
            strange.setdefault((kind, name), []).append(row)
    if strange and unknown == "error":
        (kind, name), where = next(iter(strange.items()))
        others = f" and {len(strange) - 1} more kinds" if len(strange) > 1 else ""
        raise TopologyMismatchError(
            f"{record.label(where[0])} of {record.source} is a {kind}, not one of the 20 amino acids{others}: take it "
            'out of the file, leave it out by unknown="drop" (--unknown drop), or keep its beads as they are by '
            'unknown="keep" (--unknown keep)' + _mirror(name)
        )
    others = sorted(row for group in strange.values() for row in group)
    if unknown == "drop" and others:
        ignored["residues that are no amino acids"] = others
        others = []
    if not rows:
        raise TopologyMismatchError(f"{record.source} has no amino acid among its {record.n_beads} beads")
    return rows, others, ignored


def _mirror(name):
    mirrored = D_NAMES.get(name.upper())
    return f"; models know L-amino acids only, of which {name} is the mirror image of {mirrored}" if mirrored else ""


def _check_not_atoms(record, by_residue):
    atomic = [r for r, names in by_residue.items() if {"N", "CA", "C"} <= set(names)]
    if atomic:
        raise TopologyMismatchError(
            f"{record.source} has atoms N, CA and C in {len(atomic)} residues: an all-atom structure, where beads are "
            "expected; make beads of it with `openmm-cgvae project`"
        )


def _martini(record, rows, kept, ignored, names):
    sides = [row for row in rows if _SIDE.match(record.names[row])]
    caps = {row for row in rows if record.residue_names[row].upper() in CAP_NAMES}
    bare = {record.residue_names[row] for row in rows if record.names[row] == "BB" and row not in caps} - {"GLY", "ALA"}
    if not sides and bare:
        raise MappingError(
            f"{record.source} has beads BB but no side chains (SC1 to SC5) at {', '.join(sorted(bare)[:5])}: all beads "
            f"of the Martini model are expected; otherwise {_listed()}"
        )
    extra = [row for row in rows if _EXTRA.match(record.names[row])]
    if extra:
        ignored = {**ignored, "beads that stand for no atoms (charges, virtual sites)": extra}
    left_out = set(extra)
    rows = [row for row in rows if row not in left_out]
    strange = sorted({record.names[row] for row in rows if row not in caps} - {"BB"} - {record.names[r] for r in sides})
    if strange:
        raise MappingError(
            f"beads named {', '.join(strange[:8])} beside BB in {record.source}: {_listed()} is expected"
        )
    return Recognised("martini", "BB", rows, kept, ignored)


def _one_bead_name(record, by_residue, names):
    """Name of the only bead of every residue; None where it differs from residue to residue."""
    if len(names) == 1:
        return next(iter(names))
    single = all(len(group) == 1 for group in by_residue.values())
    alpha = sum("CA" in group for group in by_residue.values())
    if single and alpha >= 0.5 * len(by_residue):
        return "CA"
    if not single:
        raise MappingError(
            f"beads named {', '.join(sorted(names)[:8])} in {record.source} are of no mapping known here: {_listed()} "
            "is expected"
        )
    return None
