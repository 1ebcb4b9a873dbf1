"""Chains to measure: two from crystals (PDB 1EJG, 5K6D), and glycines at places of one's choice."""

from pathlib import Path

import numpy as np
from openmm import app

from openmm_cgvae.chemistry.aminoacids.residues import HEAVY_ATOMS, RESIDUE_NAMES
from openmm_cgvae.preparation.structures import chain_of

LETTERS = "ARNDCQEGHILKMFPSTWYV"
FOLDER = Path(__file__).parent / "data"


def crambin():
    """Types, atoms (46, 14, 3) in Angstrom, mask, connected; three disulfides, no cis peptide bond."""
    with np.load(FOLDER / "crambin.npz") as file:
        types, atoms, mask, connected = (file[name] for name in ("residue_types", "atoms", "mask", "connected"))
    return types.astype(int), atoms.astype(float), mask, connected


def all_types():
    """The same of 78 residues of a protein that has all twenty types (PDB 5K6D)."""
    file = app.PDBFile(str(FOLDER / "5k6d.pdb"))
    chain = chain_of(file.topology, file.positions)
    return chain.residue_types, chain.atoms, chain.mask, chain.connected


def residue(letter, number=0):
    """Index of the residue of crambin that is the n-th of its type."""
    return np.flatnonzero(crambin()[0] == LETTERS.index(letter))[number]


def points(*places):
    """Glycines of which only C-alpha is there, not connected; arguments of the metrics."""
    n = len(places)
    atoms, mask = np.zeros((n, 14, 3)), np.zeros((n, 14), dtype=bool)
    atoms[:, 1], mask[:, 1] = places, True
    return np.full(n, LETTERS.index("G")), atoms, mask, np.zeros(n, dtype=bool)


def turned(atoms, axis, moved, degrees):
    """Turn the atoms `moved` (a boolean array like a mask) about the axis through two points."""
    origin, end = axis
    direction = (end - origin) / np.linalg.norm(end - origin)
    angle = np.radians(degrees)
    rows = atoms[moved] - origin
    along = np.outer(rows @ direction, direction)
    across = rows - along
    atoms = atoms.copy()
    atoms[moved] = origin + along + np.cos(angle) * across + np.sin(angle) * np.cross(direction, across)
    return atoms


def atoms_topology(chain):
    """An all-atom topology of a chain with HA, at C-alpha, on each residue, and residue and slot of each atom."""
    topology, rows = app.Topology(), []
    part = topology.addChain()
    for i, kind in enumerate(chain.residue_types):
        residue = topology.addResidue(RESIDUE_NAMES[kind], part)
        for slot in np.flatnonzero(chain.mask[i]):
            topology.addAtom(HEAVY_ATOMS[kind][slot], app.element.carbon, residue)
            rows.append((i, slot))
        topology.addAtom("HA", app.element.hydrogen, residue)
        rows.append((i, 1))
    topology.createStandardBonds()
    return topology, np.array(rows).T
