"""A small molecule's atoms, bonds, bonds that turn, and angles about bonds, as arrays for a network."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from openmm_cgvae.chemistry.rotatable import moved_atoms, rotatable_bonds

__all__ = ["ATOM_FEATURES", "BOND_FEATURES", "ELEMENTS", "LigandArrays", "ligand_arrays", "unknown_elements"]

ELEMENTS = ("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Se", "Br", "I")
CHARGES = (-1, 0, 1)
HYBRIDS = ("SP", "SP2", "SP3")
ATOM_RINGS, BOND_RINGS = (3, 4, 5, 6, 7, 8), (3, 4, 5, 6, 7)
BOND_TYPES = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
# Elements and one more for others; charges; numbers of heavy neighbours and of hydrogens from 0 to 4; hybridisation and
# others; aromatic; rings; in more than one ring.
ATOM_FEATURES = len(ELEMENTS) + 1 + len(CHARGES) + 5 + 5 + len(HYBRIDS) + 1 + 1 + len(ATOM_RINGS) + 1
# Types, conjugated, in a ring, rings, turns.
BOND_FEATURES = len(BOND_TYPES) + 2 + len(BOND_RINGS) + 1


@dataclass(frozen=True)
class LigandArrays:
    """What a torsion network is told of a molecule of N atoms, hydrogens included; see `TorsionGraph`.

    Parameters
    ----------
    nodes : int array, shape (n,)
        Atoms that are nodes: heavy ones, and hydrogens that a torsion turns.
    atoms : float32 array, shape (n, ATOM_FEATURES)
    bonds : int array, shape (2, e)
    bond_features : float32 array, shape (e, BOND_FEATURES)
    quads : int array, shape (4, q)
        Nodes.
    token : int array, shape (q,)
        The number of tokens for rigid quads.
    token_bonds : int array, shape (T, 2)
        Atoms of every bond that turns.
    moved : bool array, shape (T, N)
        Atoms that turn about it.
    first : int array, shape (T,)
        The quad whose angle is a token's torsion.
    centres : int array, shape (c, 4)
        Atoms: a stereocentre and three neighbours of different rank.
    """

    nodes: np.ndarray
    atoms: np.ndarray
    bonds: np.ndarray
    bond_features: np.ndarray
    quads: np.ndarray
    token: np.ndarray
    token_bonds: np.ndarray
    moved: np.ndarray
    first: np.ndarray
    centres: np.ndarray

    @property
    def n_tokens(self) -> int:
        return len(self.token_bonds)

    @property
    def quad_atoms(self) -> np.ndarray:
        """Atoms of the quads, (q, 4)."""
        return self.nodes[self.quads].T

    def handed(self, positions: np.ndarray) -> np.ndarray:
        """+1 or -1 of stereocentres in conformers (S, N, 3), 0 of other nodes: (n, S)."""
        found = np.zeros((len(self.nodes), len(positions)), dtype=np.float32)
        place = np.full(positions.shape[1], -1)
        place[self.nodes] = np.arange(len(self.nodes))
        centre, *others = (positions[:, self.centres[:, k]] for k in range(4))
        a, b, c = (other - centre for other in others)
        found[place[self.centres[:, 0]]] = np.sign((a * np.cross(b, c)).sum(-1)).T
        return found

    def angles(self, positions: np.ndarray) -> np.ndarray:
        """Angles of all quads in radian in conformers (S, N, 3): (q, S)."""
        a, b, c, d = (positions[:, column].astype(np.float64) for column in self.quad_atoms.T)
        back, axis, on = a - b, c - b, d - c
        axis = axis / np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-6)
        across, beyond = np.cross(back, axis), np.cross(on, axis)
        y = (np.cross(across, beyond) * axis).sum(-1)
        return np.arctan2(y, (across * beyond).sum(-1)).T

    def offsets(self, angles: np.ndarray) -> np.ndarray:
        """Angles (q, S) less those of the quad that is their token's torsion; of rigid quads as they are."""
        torsions = np.concatenate([angles[self.first], np.zeros((1, angles.shape[1]))])
        return angles - torsions[self.token]


def ligand_arrays(mol: Any) -> LigandArrays:
    """Arrays of a molecule with all hydrogens.

    Bonds that turn are those of `rotatable_bonds` with end groups and amides, less those that carry three equal ends
    (CH3, CF3, tert-butyl), whose torsion changes labels only.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        With explicit hydrogens.
    """
    from rdkit import Chem

    ranks = np.array(Chem.CanonicalRankAtoms(mol, breakTies=False, includeChirality=False))
    order = np.array(Chem.CanonicalRankAtoms(mol))
    around = [np.array([a.GetIdx() for a in atom.GetNeighbors()], dtype=np.int64) for atom in mol.GetAtoms()]
    heavy = np.array([atom.GetAtomicNum() > 1 for atom in mol.GetAtoms()])
    turning = rotatable_bonds(mol, terminal=True, amides=True)
    tops = [any(_is_top(end, other, around, ranks, heavy) for end, other in ((i, j), (j, i))) for i, j in turning]
    turning = turning[~np.array(tops, dtype=bool)]
    is_node = heavy.copy()
    for i, j in turning.tolist():
        for end, other in ((i, j), (j, i)):
            if not (heavy[around[end]] & (around[end] != other)).any():
                is_node[around[end]] = True
    if not is_node.any():
        is_node[:] = True
    nodes = np.flatnonzero(is_node)
    place = np.full(len(around), -1)
    place[nodes] = np.arange(len(nodes))
    number = {tuple(sorted(pair)): k for k, pair in enumerate(turning.tolist())}
    bonds, features = _bonds(mol, is_node, place, number)
    quads, token = _quads(mol, is_node, around, number)
    atoms = np.stack([_atom_features(mol.GetAtomWithIdx(int(i))) for i in nodes])
    return LigandArrays(
        nodes, atoms, bonds, features, place[quads].T.reshape(4, -1), token, turning, moved_atoms(mol, turning),
        _first(quads, token, order, len(turning)), _centres(mol, around, ranks),
    )  # fmt: skip


def unknown_elements(mol: Any) -> list[str]:
    """Symbols of elements that no feature stands for, sorted."""
    return sorted({atom.GetSymbol() for atom in mol.GetAtoms()} - set(ELEMENTS))


def _is_top(end, other, around, ranks, heavy):
    """Whether an atom carries three alike ends, hydrogens or others, of which each has at most hydrogens."""
    rest = around[end][around[end] != other]
    if len(rest) != 3 or len(set(ranks[rest].tolist())) > 1:
        return False
    return not any((heavy[around[i]] & (around[i] != end)).any() for i in rest.tolist())


def _one_hot(value, known, other=False):
    """1 at the value's place, in one place more for all others if wanted, otherwise at the nearest number."""
    if value not in known and not other:
        value = min(known, key=lambda k: abs(k - value))
    return [float(value == k) for k in known] + ([float(value not in known)] if other else [])


def _atom_features(atom):
    rings = atom.GetOwningMol().GetRingInfo()
    sizes = rings.AtomRingSizes(atom.GetIdx())
    n_heavy = sum(a.GetAtomicNum() > 1 for a in atom.GetNeighbors())
    row = _one_hot(atom.GetSymbol(), ELEMENTS, other=True) + _one_hot(atom.GetFormalCharge(), CHARGES)
    row += _one_hot(n_heavy, range(5)) + _one_hot(atom.GetTotalNumHs(includeNeighbors=True), range(5))
    row += [*_one_hot(str(atom.GetHybridization()), HYBRIDS, other=True), float(atom.GetIsAromatic())]
    row += [*_ring_flags(sizes, ATOM_RINGS), float(len(sizes) > 1)]
    return np.array(row, dtype=np.float32)


def _ring_flags(sizes, known):
    sizes = {min(size, known[-1]) for size in sizes}
    return [float(size in sizes) for size in known]


def _bonds(mol, is_node, place, number):
    rings, rows, features = mol.GetRingInfo(), [], []
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if not (is_node[i] and is_node[j]):
            continue
        sizes = rings.BondRingSizes(bond.GetIdx())
        row = _one_hot(str(bond.GetBondType()), BOND_TYPES, other=True)[:-1]
        row += [float(bond.GetIsConjugated()), float(bond.IsInRing()), *_ring_flags(sizes, BOND_RINGS)]
        row += [float(tuple(sorted((i, j))) in number)]
        rows += [(place[i], place[j]), (place[j], place[i])]
        features += [row, row]
    bonds = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    return bonds, np.array(features, dtype=np.float32).reshape(-1, BOND_FEATURES)


def _quads(mol, is_node, around, number):
    """Atoms (q, 4) of all quads of nodes, and the token of each; linear atoms have no angle about them."""
    linear = [str(atom.GetHybridization()) == "SP" for atom in mol.GetAtoms()]
    rows, token = [], []
    for bond in mol.GetBonds():
        b, c = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if linear[b] or linear[c]:
            continue
        for a in around[b].tolist():
            for d in around[c].tolist():
                if a not in (c, d) and d != b and is_node[a] and is_node[d]:
                    rows.append((a, b, c, d))
                    token.append(number.get(tuple(sorted((b, c))), len(number)))
    return np.array(rows, dtype=np.int64).reshape(-1, 4), np.array(token, dtype=np.int64)


def _first(quads, token, order, n_tokens):
    """For every token the quad of lowest canonical ranks."""
    ends = np.sort(order[quads[:, [0, 3]]], axis=1)
    by = np.lexsort((ends[:, 1], ends[:, 0], token))
    return by[np.searchsorted(token[by], np.arange(n_tokens))]


def _centres(mol, around, ranks):
    """Stereocentres, specified or not, with their three neighbours of highest rank: (c, 4)."""
    from rdkit import Chem

    rows = []
    for info in Chem.FindPotentialStereo(mol):
        i = info.centeredOn
        if info.type == Chem.StereoType.Atom_Tetrahedral and len(set(ranks[around[i]].tolist())) == len(around[i]) > 2:
            rows.append([i, *sorted(around[i].tolist(), key=lambda j: -ranks[j])[:3]])
    return np.array(rows, dtype=np.int64).reshape(-1, 4)
