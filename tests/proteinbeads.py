"""Beads of made-up and of real proteins."""

from pathlib import Path

import numpy as np
import pytest

from openmm_cgvae.binding.beadrecord import BeadRecord
from openmm_cgvae.chemistry.aminoacids.residues import HEAVY_ATOMS

CRYSTAL = Path(__file__).parent / "data" / "5k6d.pdb"
# Real files nobody here made; not everywhere.
REAL = next(
    (p / "shared" / "data" / "cg" for p in Path(__file__).parents if (p / "shared" / "data" / "cg").is_dir()), None
)
needs_real = pytest.mark.skipif(REAL is None, reason="shared/data/cg is not here")


def helix(n, start=0):
    """C-alpha of an ideal helix, shape (n, 3), nm."""
    k = np.arange(start, start + n)
    turn = np.radians(100.0) * k
    return np.stack([0.23 * np.cos(turn), 0.23 * np.sin(turn), 0.15 * k], axis=1)


def beads(residues, positions="helix", numbers=None, chains=None, molecules=None, names="CA", insertions=None):
    """A `BeadRecord` of one bead a residue."""
    n = len(residues)
    numbers = np.arange(1, n + 1) if numbers is None else np.array(numbers)
    return BeadRecord(
        names=[names] * n if isinstance(names, str) else list(names),
        residue_names=list(residues),
        numbers=numbers,
        insertions=[""] * n if insertions is None else list(insertions),
        chains=["A"] * n if chains is None else list(chains),
        molecules=np.zeros(n, dtype=int) if molecules is None else np.array(molecules),
        residues=np.arange(n),
        positions=helix(n) if isinstance(positions, str) else positions,
    )


def pdb_lines(record):
    """Lines of a PDB file of a record, TER between molecules."""
    lines = []
    for k in range(record.n_beads):
        if k and record.molecules[k] != record.molecules[k - 1]:
            lines.append("TER")
        x, y, z = 10 * record.positions[k]
        lines.append(
            f"ATOM  {(k + 1) % 100000:5d} {record.names[k]:^4s} {record.residue_names[k]:>3s} "
            f"{record.chains[k] or ' '}{record.numbers[k] % 10000:4d}{record.insertions[k] or ' '}   "
            f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00"
        )
    return "\n".join([*lines, "END\n"])


def rows_of(record, rows):
    """Some rows of a record."""
    rows = np.array(rows)
    columns = {
        name: [getattr(record, name)[i] for i in rows] for name in ("names", "residue_names", "insertions", "chains")
    }
    arrays = {name: getattr(record, name)[rows] for name in ("numbers", "molecules", "residues", "positions")}
    return BeadRecord(**columns, **arrays)


def heavy_positions(protein, crystal):
    """Positions of all atoms (a, 3) with the heavy ones of a crystal structure and zeros elsewhere, nm."""
    index = {(int(r), name): i for i, (r, name) in enumerate(zip(crystal.residues, crystal.names, strict=True))}
    positions = np.zeros((protein.n_atoms, 3))
    for atom, residue, slot in zip(protein.heavy_atoms, protein.heavy_residue, protein.heavy_slot, strict=True):
        name = HEAVY_ATOMS[protein.residue_types[residue]][slot]
        positions[atom] = crystal.positions[index[int(residue), name]]
    return positions
