"""PDB and GRO files of beads, read as they stand: no name is changed, no bead is taken for an element."""

import numpy as np

from openmm_cgvae.binding.beadrecord import BeadRecord, box_from_lengths
from openmm_cgvae.core.errors import DataError

__all__ = ["decode_number", "read_gro", "read_pdb"]

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def decode_number(text):
    """Integer of a field of fixed width: decimal, or hybrid-36 where decimals ran out (A000 follows 9999).

    Raises
    ------
    ValueError
        If it is neither.
    """
    width = len(text)
    text = text.strip()
    # Hybrid-36 fills its field.
    if len(text) < width:
        return int(text)
    if text and text[0].isupper() and all(c in _DIGITS for c in text):
        return int(text, 36) - 10 * 36 ** (width - 1) + 10**width
    if text and text[0].islower() and all(c in _DIGITS.lower() for c in text):
        return int(text, 36) + 16 * 36 ** (width - 1) + 10**width
    return int(text)


def read_pdb(path):
    """Read the first model of a PDB file; of alternate locations, the first."""
    rows, positions, serials, pairs = [], [], {}, []
    molecule, places, box = 0, {}, None
    model_over = False
    with open(path, errors="replace") as file:
        for line in file:
            kind = line[:6].rstrip()
            if kind in ("ATOM", "HETATM") and not model_over:
                row = _pdb_row(line, molecule, path)
                place = (*row[:5], molecule)
                if line[16:17].strip() and place in places:
                    continue
                places[place] = len(rows)
                serials[line[6:11]] = len(rows)
                rows.append(row)
                positions.append((line[30:38], line[38:46], line[46:54]))
            elif kind == "TER":
                molecule += 1
            elif kind == "ENDMDL":
                model_over = True
            elif kind == "CRYST1":
                sizes = [float(line[k : k + w]) for k, w in ((6, 9), (15, 9), (24, 9), (33, 7), (40, 7), (47, 7))]
                box = box_from_lengths([size / 10.0 for size in sizes[:3]], sizes[3:])
            elif kind == "CONECT":
                fields = [line[k : k + 5] for k in range(6, 31, 5)]
                pairs += [(fields[0], f) for f in fields[1:] if f.strip()]
    bonds = {tuple(sorted((serials[a], serials[b]))) for a, b in pairs if a in serials and b in serials}
    return _record(rows, np.array(positions, dtype=float).reshape(-1, 3) / 10.0, bonds, path, box)


def _pdb_row(line, molecule, path):
    try:
        number = decode_number(line[22:26])
    except ValueError as error:
        raise DataError(f"topology {path}: {line[22:26]!r} is no residue number") from error
    # Four letters of a residue name run into the column before the chain.
    return line[12:16].strip(), line[17:21].strip(), number, line[26:27].strip(), line[21:22].strip(), molecule


def read_gro(path):
    """Read a GRO file, whose numbers start again after 99999 and which knows no chains."""
    with open(path) as file:
        lines = file.read().splitlines()
    count = int(lines[1])
    if len(lines) < count + 2:
        raise DataError(f"topology {path} has {len(lines) - 2} lines of beads, {count} are expected: it is truncated")
    body = lines[2 : count + 2]
    rows = [(line[10:15].strip(), line[5:10].strip(), int(line[:5]), "", "", 0) for line in body]
    # Columns are as wide as the distance between decimal points.
    points = [k for k, c in enumerate(body[0]) if c == "."] if body else [0, 0]
    width = points[1] - points[0]
    positions = [[float(line[20 + k * width : 20 + (k + 1) * width]) for k in range(3)] for line in body]
    return _record(rows, np.array(positions).reshape(-1, 3), set(), path, _gro_box(lines[count + 2 : count + 3]))


def _gro_box(lines):
    """Box vectors of the last line: diagonal, then xy xz yx yz zx zy where it is no rectangle."""
    sizes = [float(word) for word in lines[0].split()] if lines else []
    if len(sizes) not in (3, 9) or min(sizes[:3]) <= 0:
        return None
    box = np.diag(sizes[:3])
    if len(sizes) == 9:
        box[0, 1], box[0, 2], box[1, 0], box[1, 2], box[2, 0], box[2, 1] = sizes[3:]
    return box


def _record(rows, positions, bonds, path, box):
    """Record in which every change of chain, residue number, insertion code or name starts a residue."""
    residues, previous = [], None
    for row in rows:
        if row[1:] != previous:
            previous = row[1:]
            residues.append(residues[-1] + 1 if residues else 0)
        else:
            residues.append(residues[-1])
    columns = list(zip(*rows, strict=True)) if rows else [()] * 6
    return BeadRecord(
        names=list(columns[0]),
        residue_names=list(columns[1]),
        numbers=np.array(columns[2], dtype=int),
        insertions=list(columns[3]),
        chains=list(columns[4]),
        molecules=np.array(columns[5], dtype=int),
        residues=np.array(residues, dtype=int),
        positions=positions,
        bonds=np.array(sorted(bonds), dtype=int).reshape(-1, 2),
        box=box,
        source=str(path),
    )
