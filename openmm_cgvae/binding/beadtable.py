"""Beads sorted into residues, and what cannot be sorted named."""

from dataclasses import dataclass, field

from openmm_cgvae.chemistry.aminoacids.names import kind_of
from openmm_cgvae.core.errors import TopologyMismatchError

__all__ = ["BeadResidue", "beads_by_residue", "speaks_one_letter"]

_NUCLEOTIDES = frozenset("ACGUTINW")


@dataclass
class BeadResidue:
    """One residue of the beads: the row of every bead by its name, and what the source says of it."""

    name: str
    kind: str
    number: int
    insertion: str
    chain: str
    molecule: int
    rows: dict = field(default_factory=dict)

    @property
    def label(self):
        chain = f"chain {self.chain} " if self.chain else ""
        return f"{chain}{self.name} {self.number}{self.insertion}"

    @property
    def key(self):
        return (self.chain, self.molecule, self.number, self.insertion, self.name)


def speaks_one_letter(record):
    """Whether a topology names amino acids by one letter: all names are, and some are no nucleotide's or water's."""
    names = set(record.residue_names)
    return all(len(name) == 1 for name in names) and not names <= _NUCLEOTIDES


def beads_by_residue(record, rows, main):
    """Return the `BeadResidue` list of some rows of a record, in the order of the record.

    Beads of a residue may be apart in a file, as when all backbones come first; they are joined by number and name.

    Parameters
    ----------
    record : BeadRecord
    rows : iterable of int
    main : str or None
        Name of the bead that every residue has once; None where every bead is a residue.

    Raises
    ------
    TopologyMismatchError
        If a bead occurs twice, or a residue has no main bead.
    """
    one_letter = speaks_one_letter(record)
    found, by_key, current, run = [], {}, None, None
    for row in rows:
        name = record.names[row]
        if int(record.residues[row]) != run or current is None:
            run = int(record.residues[row])
            current = _residue(record, row, one_letter)
            earlier = by_key.get(current.key)
            if earlier is not None and main is not None and name != main and name not in earlier.rows:
                current = earlier
            else:
                found.append(current)
                by_key[current.key] = current
        if name in current.rows:
            raise TopologyMismatchError(
                f"{current.label} has bead {name} twice (rows {current.rows[name]} and {row} of {record.source}): "
                "every bead once is expected; remove duplicates and alternate locations"
            )
        current.rows[name] = row
    if main is not None:
        _check_main(found, main, record)
    return found


def _residue(record, row, one_letter):
    name = record.residue_names[row]
    return BeadResidue(
        name=name,
        kind=kind_of(name, one_letter),
        number=int(record.numbers[row]),
        insertion=record.insertions[row],
        chain=record.chains[row],
        molecule=int(record.molecules[row]),
    )


def _check_main(found, main, record):
    lacking = [r for r in found if main not in r.rows and r.kind == "amino acid"]
    if lacking:
        what = "C-alpha" if main == "CA" else f"{main} bead"
        raise TopologyMismatchError(
            f"{lacking[0].label}{_and_more(len(lacking) - 1)} of {record.source} has no {what} "
            f"but {', '.join(lacking[0].rows)}: one {main} for every residue is expected"
        )


def _and_more(count):
    return f" and {count} more" if count else ""
