"""Write martini.json: ``python -m openmm_cgvae.binding.martinidata FOLDER``.

Which atoms a Martini bead stands for is measured, not copied: pairs of files ``NAME_cg.pdb`` and ``NAME_aa.pdb`` are
read, and every bead's position is fitted by non-negative weights of its residue's heavy atoms. A weight is the atom's
mass times the share of the atom that belongs to the bead (1, or thirds and halves where beads share an atom).
"""

import json
import sys
from pathlib import Path

import numpy as np

from openmm_cgvae.binding.beadfiles import read_pdb
from openmm_cgvae.chemistry.aminoacids.names import variant_of
from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS, HEAVY_ATOMS, RESIDUE_NAMES, VARIANT_TYPES
from openmm_cgvae.core.errors import DataError
from openmm_cgvae.core.output import write_text

__all__ = ["MASSES", "measure", "write_martini"]

PATH = Path(__file__).with_name("martini.json")
MASSES = {"C": 12.011, "N": 14.007, "O": 15.999, "S": 32.06}
# Files by version: elnedyn and Martini 2.1 have the side chains of 2.2.
_VERSIONS = {"martini3": ("martini3001",), "martini2": ("martini22", "elnedyn21", "elnedyn22")}


def write_martini(folder, path=PATH):
    """Write shares of atoms in beads by version, residue and bead, and return the worst residual in nm."""
    table, worst = {}, 0.0
    for version, force_fields in _VERSIONS.items():
        table[version] = {}
        for (kind, bead), (beads, atoms) in sorted(_samples(folder, force_fields).items()):
            shares, residual = measure(np.array(beads), np.array(atoms), HEAVY_ATOMS[kind])
            if residual > 0.002:
                raise DataError(f"{version} {RESIDUE_NAMES[kind]} {bead}: no weights fit, {residual:.4f} nm are left")
            worst = max(worst, residual)
            table[version].setdefault(RESIDUE_NAMES[kind], {})[bead] = shares
    lines = []
    for version, entries in table.items():
        rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(beads)}" for name, beads in entries.items())
        lines.append(f" {json.dumps(version)}: {{\n{rows}\n }}")
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")
    return worst


def measure(beads, atoms, names):
    """Shares of atoms in one bead, and the root mean square of what they leave, in nm.

    Parameters
    ----------
    beads : numpy.ndarray, shape (s, 3)
    atoms : numpy.ndarray, shape (s, a, 3)
    names : tuple of str
        Atom names, whose first letter is the element.
    """
    from scipy.optimize import nnls

    centre = atoms.mean(axis=1, keepdims=True)
    sides = np.concatenate(
        [(atoms - centre).transpose(0, 2, 1).reshape(-1, len(names)), np.full((1, len(names)), 10.0)]
    )
    weights, _ = nnls(sides, np.append((beads - centre[:, 0]).ravel(), 10.0))
    masses = np.array([MASSES[name[0]] for name in names])
    shares = weights / masses
    # Thirds and halves.
    shares = np.round(shares / shares.max() * 6) / 6
    fitted = shares * masses / (shares @ masses)
    left = beads - np.einsum("a,sak->sk", fitted, atoms)
    return (
        {name: round(float(share), 6) for name, share in zip(names, shares, strict=True) if share > 0},
        float(np.sqrt((left**2).sum(axis=1).mean())),
    )


def _samples(folder, force_fields):
    """Bead and atom positions of residues with all heavy atoms and neither hydrogens nor OXT, by type and bead."""
    samples = {}
    for path in sorted(Path(folder).glob("*_cg.pdb")):
        command = path.with_name(path.name.replace("_cg.pdb", "_command.txt"))
        if command.exists():
            if not any(name in command.read_text().split() for name in force_fields):
                continue
        elif "martini22" not in force_fields:
            continue
        elnedyn = command.exists() and "elnedyn" in command.read_text()
        whole = _residues(read_pdb(path.with_name(path.name.replace("_cg", "_aa"))))
        for key, (name, beads) in _residues(read_pdb(path)).items():
            variant = variant_of(name)
            named, atoms = whole.get(key, (None, {}))
            if variant is None or named != name or "OXT" in atoms or any(a[0] == "H" for a in atoms):
                continue
            kind = VARIANT_TYPES[variant if variant != "HIS" else "HIE"]
            if not set(HEAVY_ATOMS[kind]) <= set(atoms):
                continue
            for bead, position in beads.items():
                if bead.startswith("SCD") or (elnedyn and bead == "BB"):
                    continue
                entry = samples.setdefault((kind, bead), ([], []))
                entry[0].append(position)
                entry[1].append([atoms[a] for a in HEAVY_ATOMS[kind]])
    return samples


def _residues(record):
    found = {}
    for row in range(record.n_beads):
        key = (record.chains[row], int(record.numbers[row]), record.insertions[row])
        found.setdefault(key, (record.residue_names[row], {}))[1].setdefault(record.names[row], record.positions[row])
    return found


if __name__ == "__main__":
    print(f"worst residual {write_martini(sys.argv[1]):.6f} nm over {len(AMINO_ACIDS)} residues, written to {PATH}")
