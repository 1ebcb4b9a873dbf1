"""Bounds of a small molecule's local geometry from its approximate conformers and its bonds."""

import numpy as np
import torch

from openmm_cgvae.geometry.bounds import BoundsProjection
from openmm_cgvae.molecule.graph import MolecularGraph
from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["ChemicalBounds"]

SWEEPS = 200
# Beyond what approximate conformers show, in Angstrom: lengths of bonds, distances two bonds apart, and those about a
# double bond. They are raw distance geometry, whose bonds and angles are not at their minimum.
SLACK = (0.02, 0.05, 0.1)
# Closest approach of atoms more than 3 bonds apart, as part of the sum of their van der Waals radii, and that of a
# hydrogen bond in Angstrom.
CONTACT, HYDROGEN_BOND = 0.72, 1.7
DONORS = (7, 8, 9, 16)


class ChemicalBounds(BoundsProjection):
    """`BoundsProjection` of one molecule, without beads to keep: ``ChemicalBounds(mol)(x)``, x (B, n, 3) in Angstrom.

    Bonds, angles, signed volumes and sides of double and aromatic bonds stay within what the approximate conformers
    show, and a little more. Single bonds turn freely; saturated rings pucker as their angles allow.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        With hydrogens and its approximate conformers.
    sweeps : int
        At most.
    """

    def __init__(self, mol, sweeps: int = SWEEPS):
        graph = bond_graph(mol)
        spec = bounds_spec(mol, graph)
        super().__init__(spec, sweeps)
        self.calibrate(torch.tensor(np.array([c.GetPositions() for c in mol.GetConformers()])))
        bonds = np.concatenate([spec.near_hops[spec.near_hops < 3], np.full(len(spec.rigid_pairs), 3)])
        slack = torch.tensor(SLACK)[bonds - 1]
        self.lower -= slack
        self.upper += slack
        generic = contact_table(mol, self.kinds.numpy(), self.contacts.shape[1])
        seen = self.contacts[0]
        # Where approximate conformers come closer, so may others.
        self.contacts[0] = torch.where((seen > 0) & (seen < generic), seen, generic)
        self.contacts[1] = 0.0

    def kept(self, move: torch.Tensor, held: float = 1.0) -> torch.Tensor:
        """Every displacement: there are no beads to keep in place."""
        return move


def bond_graph(mol):
    """The `MolecularGraph` of an RDKit molecule."""
    bonds = sorted(sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx())) for b in mol.GetBonds())
    n = mol.GetNumAtoms()
    return MolecularGraph(
        atomic_numbers=np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=np.int64),
        bonds=np.array(bonds, dtype=np.int64).reshape(-1, 2),
        names=tuple(atom.GetSymbol() for atom in mol.GetAtoms()),
        residues=("LIG",) * n,
        residue_index=np.zeros(n, dtype=np.int64),
    )


def double_bond_pairs(mol, graph):
    """Pairs three bonds apart about a double or aromatic bond, (r, 2), each once."""
    near = set(map(tuple, graph.pairs_within(2).tolist()))
    pairs = {
        (min(i, j), max(i, j))
        for bond in mol.GetBonds()
        if str(bond.GetBondType()) in ("DOUBLE", "AROMATIC")
        for i in graph.neighbours[bond.GetBeginAtomIdx()]
        for j in graph.neighbours[bond.GetEndAtomIdx()]
        if i != j
    }
    return np.array(sorted(pairs - near), dtype=np.int64).reshape(-1, 2)


def bounds_spec(mol, graph):
    """The `MoleculeSpec` of what bounds ask, of a molecule that is one bead."""
    n, near = graph.n_atoms, graph.pairs_within(3)
    hops = graph.bond_distances[near[:, 0], near[:, 1]]
    none = np.zeros((0, 3), dtype=np.int64)
    return MoleculeSpec(
        atom_types=graph.atomic_numbers,
        assignment=np.zeros(n, dtype=np.int64),
        channels=np.arange(n),
        projection=np.full((1, n), 1.0 / n),
        atom_frames=none,
        bead_frames=none,
        bead_axes=none[:, :2],
        graph_pairs=near,
        equivalent_hydrogens=none,
        near_pairs=near,
        near_hops=hops,
        rigid_pairs=double_bond_pairs(mol, graph),
        contact_kinds=graph.contact_kinds,
        handedness=np.zeros(0),
        alike_pairs=np.zeros((0, 5), dtype=np.int64),
    )


def contact_table(mol, kinds, n_kinds):
    """Closest approach (k, k) in Angstrom of kinds of atoms that are more than 3 bonds apart."""
    from rdkit import Chem

    table = Chem.GetPeriodicTable()
    numbers, bonded = np.zeros(n_kinds, dtype=np.int64), np.zeros(n_kinds, dtype=np.int64)
    for atom, kind in zip(mol.GetAtoms(), kinds, strict=True):
        numbers[kind] = atom.GetAtomicNum()
        bonded[kind] = max((a.GetAtomicNum() for a in atom.GetNeighbors()), default=0)
    radii = np.array([table.GetRvdw(int(z)) for z in numbers])
    closest = CONTACT * (radii[:, None] + radii[None, :])
    donated = (numbers == 1) & np.isin(bonded, DONORS)
    bridge = donated[:, None] & np.isin(numbers, DONORS)[None, :]
    return torch.tensor(np.where(bridge | bridge.T, HYDROGEN_BOND, closest), dtype=torch.float32)
