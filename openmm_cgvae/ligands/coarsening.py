"""From a molecule with an approximate conformer to the index tensors of `CoarseGraph`."""

import numpy as np
import torch

from openmm_cgvae.chemistry.rotatable import rigid_fragments
from openmm_cgvae.core.errors import MoleculeError
from openmm_cgvae.ligands.coarsegraph import CoarseGraph
from openmm_cgvae.ligands.features import ELEMENTS, unknown_elements

__all__ = ["N_ROWS", "CoarseMolecule"]

HYBRIDISATIONS = ("S", "SP", "SP2", "SP3")
BOND_KINDS = {"SINGLE": 1, "DOUBLE": 2, "TRIPLE": 3, "AROMATIC": 4}
TWO_BONDS, THREE_BONDS = 5, 6
# Number of values of every atom feature; the last one is of anything else.
VALUES = {
    "element": len(ELEMENTS) + 1, "neighbours": 7, "hydrogens": 5, "charge": 5,
    "hybridisation": len(HYBRIDISATIONS) + 1, "aromatic": 2, "ring": 8, "centre": 3, "double_bond": 3,
}  # fmt: skip
N_ROWS = sum(VALUES.values())
# Bonds from a bead within which atoms place it, and the factor by which a bond more weakens them beyond the second.
ANCHOR_BONDS, WEAKER = 4, 1e-3
CIP_STEPS = 100_000


class CoarseMolecule:
    """A molecule on its rigid fragments: ``CoarseMolecule(mol).graph(positions)``.

    What depends on the bond graph alone is found once; the order in which beads are built may depend on the conformer,
    where a molecule is symmetric.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        With explicit hydrogens, one connected molecule.
    allow_unknown : bool
        Take elements that no network of this package has seen for one unknown element.
    fragments : list of int array, optional
        Atoms of every bead; by default `rigid_fragments`.

    Raises
    ------
    MoleculeError
        If an element is unknown, or the molecule has no atoms or several parts.
    """

    def __init__(self, mol, allow_unknown=False, fragments=None):
        self._check(mol, allow_unknown)
        beads = rigid_fragments(mol) if fragments is None else fragments
        self.n_atoms, self.n_beads = mol.GetNumAtoms(), len(beads)
        self.bead = np.empty(self.n_atoms, dtype=np.int64)
        for number, atoms in enumerate(beads):
            self.bead[atoms] = number
        self._neighbours = [[a.GetIdx() for a in atom.GetNeighbors()] for atom in mol.GetAtoms()]
        self._fields = atom_fields(mol)
        self._near, self._near_kind = near_pairs(mol, self._neighbours)
        bonds = ((b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds())
        self._cut = [(i, j) for a, b in bonds if self.bead[a] != self.bead[b] for i, j in ((a, b), (b, a))]
        self._rotors = np.array(list(methyls(mol)), dtype=np.int64).reshape(-1, 3)
        self._keys = bead_keys(mol, beads)
        self._graphs = {}

    @staticmethod
    def _check(mol, allow_unknown):
        from rdkit import Chem

        unknown = unknown_elements(mol)
        if unknown and not allow_unknown:
            raise MoleculeError(
                f"a molecule with {', '.join(unknown)} given: the model knows {', '.join(ELEMENTS)} "
                "(allow_unknown tries others)"
            )
        parts = len(Chem.GetMolFrags(mol))
        if parts != 1:
            raise MoleculeError(f"a molecule of {parts} parts given: one connected molecule is expected")

    def order(self, positions):
        """Beads in the order in which they are built: breadth first, from the largest.

        Of beads of one size those come first whose atoms have the lower canonical ranks; of equivalent ones that which
        spreads less in the conformer (n, 3), so that the order of atoms does not matter.
        """
        if self.n_beads == 1:
            return [0]
        around = [set() for _ in range(self.n_beads)]
        for i, j in self._cut:
            around[self.bead[i]].add(int(self.bead[j]))
        x = np.asarray(positions, dtype=np.float64)
        spread = np.square(x - x.mean(0)).sum(1)
        keys = [(*key, spread[self.bead == number].sum()) for number, key in enumerate(self._keys)]
        first = min(range(self.n_beads), key=keys.__getitem__)
        order, waiting = [first], [first]
        while waiting:
            for number in sorted(around[waiting.pop(0)] - set(order), key=keys.__getitem__):
                order.append(number)
                waiting.append(number)
        return order

    def graph(self, positions):
        """The `CoarseGraph` of one approximate conformer, (n, 3)."""
        order = tuple(self.order(positions))
        if order not in self._graphs:
            self._graphs[order] = self._built(order)
        return self._graphs[order]

    def _built(self, order):
        step = np.empty(self.n_beads, dtype=np.int64)
        step[list(order)] = np.arange(self.n_beads)
        at = step[self.bead]
        bridge = sorted((i, j) for i, j in self._cut if at[j] < at[i])
        ends = [[i for i, _ in bridge if self.bead[i] == number] for number in range(self.n_beads)]
        anchors = [self._anchors(number, at, ends[number]) for number in range(self.n_beads)]
        rows = [(number, atom, weight) for number, found in enumerate(anchors) for atom, weight in found]
        linked = sorted({(int(self.bead[i]), int(self.bead[j])) for i, j in self._cut})

        def integers(values, width):
            return torch.tensor(values, dtype=torch.int64).reshape(-1, width)

        return CoarseGraph(
            fields=torch.as_tensor(self._fields),
            bead=torch.as_tensor(self.bead),
            owner=torch.zeros(self.n_beads, dtype=torch.int64),
            step=torch.as_tensor(step),
            near=torch.as_tensor(self._near),
            near_kind=torch.as_tensor(self._near_kind),
            linked=integers(linked, 2),
            anchor=integers([row[:2] for row in rows], 2),
            anchor_weight=torch.tensor([row[2] for row in rows], dtype=torch.float64),
            bridge=integers(bridge, 2),
            rotors=torch.as_tensor(self._rotors),
        )

    def _anchors(self, number, at, ends):
        """(atom, weight) of what a bead is laid onto, from the atoms `ends` where bonds lead to beads before it."""
        own = np.flatnonzero(self.bead == number).tolist()
        found = [] if ends else [(atom, 1.0) for atom in own]
        shell, seen = set(ends or own), set(own)
        for bonds in range(1, ANCHOR_BONDS + 1):
            shell = {j for i in shell for j in self._neighbours[i]} - seen
            seen |= shell
            weight = WEAKER ** max(0, bonds - 2) if ends else WEAKER**bonds
            found += [(atom, weight) for atom in sorted(shell) if not ends or at[atom] < at[own[0]]]
        return found


def atom_fields(mol):
    """Rows of every atom's features in one table of `N_ROWS`, shape (n, k); none depends on the order of atoms."""
    from rdkit import Chem
    from rdkit.Chem import rdCIPLabeler

    legacy = Chem.Mol(mol)
    Chem.AssignStereochemistry(legacy, cleanIt=True, force=True)
    labelled = Chem.Mol(legacy)
    try:
        rdCIPLabeler.AssignCIPLabels(labelled, maxRecursiveIterations=CIP_STEPS)
    except RuntimeError:
        # Too many branches alike, as in cages: RDKit's older labels then serve.
        labelled = legacy
    sides = {}
    for bond in labelled.GetBonds():
        label = bond.GetProp("_CIPCode") if bond.HasProp("_CIPCode") else ""
        if label in ("E", "Z"):
            sides |= dict.fromkeys((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()), 1 + "EZ".index(label))
    rings, starts = labelled.GetRingInfo(), np.cumsum([0, *VALUES.values()])[:-1]
    rows = []
    for atom in labelled.GetAtoms():
        label = atom.GetProp("_CIPCode") if atom.HasProp("_CIPCode") else ""
        size = min((s for s in range(3, 9) if rings.IsAtomInRingOfSize(atom.GetIdx(), s)), default=9)
        values = (
            place(ELEMENTS, atom.GetSymbol()),
            min(atom.GetDegree(), VALUES["neighbours"] - 1),
            min(sum(a.GetAtomicNum() == 1 for a in atom.GetNeighbors()), VALUES["hydrogens"] - 1),
            int(np.clip(atom.GetFormalCharge(), -2, 2)) + 2,
            place(HYBRIDISATIONS, str(atom.GetHybridization())),
            int(atom.GetIsAromatic()),
            0 if not atom.IsInRing() else size - 2,
            1 + "RS".index(label) if label in ("R", "S") else 0,
            sides.get(atom.GetIdx(), 0),
        )
        rows.append(starts + np.array(values))
    return np.array(rows, dtype=np.int64)


def place(known, value):
    """Place of a value among those known, after the last where it is none of them."""
    return known.index(value) if value in known else len(known)


def near_pairs(mol, neighbours):
    """Pairs up to 3 bonds apart in both orders, sorted, (m, 2), and their kinds, (m,)."""
    kinds = {}
    for start in range(len(neighbours)):
        seen, shell = {start}, {start}
        for kind in (1, TWO_BONDS, THREE_BONDS):
            shell = {j for i in shell for j in neighbours[i]} - seen
            seen |= shell
            kinds |= {(start, j): kind for j in shell}
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        kinds[i, j] = kinds[j, i] = BOND_KINDS.get(str(bond.GetBondType()), 1)
    pairs = sorted(kinds)
    return np.array(pairs, dtype=np.int64).reshape(-1, 2), np.array([kinds[p] for p in pairs], dtype=np.int64)


def methyls(mol):
    """The three hydrogens of every XH3 group on another atom."""
    for atom in mol.GetAtoms():
        hydrogens = [a.GetIdx() for a in atom.GetNeighbors() if a.GetAtomicNum() == 1]
        if atom.GetDegree() == 4 and len(hydrogens) == 3:
            yield hydrogens


def bead_keys(mol, beads):
    """What beads are sorted by: larger ones first, then by the canonical ranks of their atoms."""
    from rdkit import Chem

    ranks = list(Chem.CanonicalRankAtoms(mol, breakTies=False))
    return [(-len(atoms), tuple(sorted(ranks[i] for i in atoms))) for atoms in beads]
