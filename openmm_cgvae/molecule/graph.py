"""What the bond graph of a molecule implies: neighbour pairs, stereocentres, equivalent hydrogens, torsions."""

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from openmm_cgvae.core.errors import TopologyMismatchError

__all__ = ["BOND_FACTOR", "MolecularGraph", "dihedral", "signed_volume"]

# A pair is bonded below 1.3 times the sum of its covalent radii (CGVAE paper, appendix D).
BOND_FACTOR = 1.3


@dataclass(frozen=True)
class MolecularGraph:
    """Atoms and bonds of one molecule, and everything that follows from them alone.

    Parameters
    ----------
    atomic_numbers : numpy.ndarray of int, shape (n,)
    bonds : numpy.ndarray of int, shape (m, 2)
    names : tuple of str
        Atom names.
    residues : tuple of str
        Residue name of every atom.
    residue_index : numpy.ndarray of int, shape (n,)
        Residue of every atom, counted from 0.
    """

    atomic_numbers: np.ndarray
    bonds: np.ndarray
    names: tuple
    residues: tuple
    residue_index: np.ndarray

    @classmethod
    def from_topology(cls, topology):
        """Read an mdtraj ``Topology``.

        Raises
        ------
        TopologyMismatchError
            If atoms lack an element or a bond, as when a PDB file has non-standard residues without CONECT.
        """
        atoms = list(topology.atoms)
        index = {atom: i for i, atom in enumerate(atoms)}
        bonds = np.array(sorted(sorted((index[a], index[b])) for a, b in topology.bonds), dtype=np.int64)
        graph = cls(
            atomic_numbers=np.array([a.element.atomic_number if a.element else 0 for a in atoms], dtype=np.int64),
            bonds=bonds.reshape(-1, 2),
            names=tuple(a.name for a in atoms),
            residues=tuple(a.residue.name for a in atoms),
            residue_index=np.array([a.residue.index for a in atoms], dtype=np.int64),
        )
        graph._check_complete()
        return graph

    def _check_complete(self):
        bonded = np.zeros(self.n_atoms, dtype=bool)
        bonded[self.bonds.ravel()] = True
        # An ion is a residue of its own.
        alone = np.bincount(self.residue_index)[self.residue_index] == 1
        lacking = np.flatnonzero((self.atomic_numbers == 0) | (~bonded & ~alone))
        if lacking.size:
            i = lacking[0]
            raise TopologyMismatchError(
                f"atom {i} ({self.residues[i]} {self.names[i]}) and {lacking.size - 1} more have no element or no "
                "bond: an all-atom topology with bonds is expected; give a PDB file with CONECT records"
            )

    @property
    def n_atoms(self):
        return len(self.atomic_numbers)

    @cached_property
    def heavy(self):
        """Indices of the atoms that are not hydrogen, shape (h,)."""
        return np.flatnonzero(self.atomic_numbers > 1)

    @cached_property
    def neighbours(self):
        """Sorted bonded neighbours of every atom, a tuple of lists."""
        table = [[] for _ in range(self.n_atoms)]
        for i, j in self.bonds:
            table[i].append(int(j))
            table[j].append(int(i))
        return tuple(sorted(row) for row in table)

    @cached_property
    def bond_distances(self):
        """Number of bonds between every two atoms, shape (n, n), for small molecules; n where there is no path."""
        return np.array([self.hops_from([start]) for start in range(self.n_atoms)]).reshape(-1, self.n_atoms)

    def hops_from(self, starts):
        """Number of bonds from the nearest of some atoms to each, shape (n,); n where there is no path."""
        distance = np.full(self.n_atoms, self.n_atoms, dtype=np.int64)
        shell, hops = list(starts), 0
        distance[shell] = 0
        while shell:
            hops += 1
            found = []
            for i in shell:
                for j in self.neighbours[i]:
                    if distance[j] > hops:
                        distance[j] = hops
                        found.append(j)
            shell = found
        return distance

    def pairs_within(self, hops):
        """Atom pairs at most `hops` bonds apart, shape (p, 2), each once."""
        pairs = []
        for i in range(self.n_atoms):
            reached, shell = {i}, {i}
            for _ in range(hops):
                shell = {k for j in shell for k in self.neighbours[j]} - reached
                reached |= shell
            pairs += [(i, j) for j in sorted(reached) if j > i]
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    @cached_property
    def symmetry_classes(self):
        """Rank of every atom, equal for topologically equivalent ones (RDKit), shape (n,)."""
        from rdkit import Chem

        ranks = Chem.CanonicalRankAtoms(self._rdkit_molecule(), breakTies=False)
        return np.array(list(ranks), dtype=np.int64)

    def _rdkit_molecule(self):
        from rdkit import Chem

        molecule = Chem.RWMol()
        for number in self.atomic_numbers:
            atom = Chem.Atom(int(number))
            atom.SetNoImplicit(True)
            molecule.AddAtom(atom)
        for i, j in self.bonds:
            molecule.AddBond(int(i), int(j), Chem.BondType.SINGLE)
        molecule.UpdatePropertyCache(strict=False)
        return molecule

    @cached_property
    def stereocentres(self):
        """Atoms with four neighbours, no two of them alike end atoms, and three of these: (c, 4), centre first.

        The sign of the volume spanned by the three neighbours, seen from the centre, is the handedness. It is also
        that of the names where two branches are alike, as in valine and leucine: no motion exchanges them.
        """
        ranks, alike = self.symmetry_classes, set(self.alike_pairs[:, 0].tolist())
        rows = []
        for i, row in enumerate(self.neighbours):
            if len(row) == 4 and i not in alike:
                by_rank = sorted(row, key=lambda j: -ranks[j])
                rows.append([i, *by_rank[:3]])
        return np.array(rows, dtype=np.int64).reshape(-1, 4)

    @cached_property
    def alike_pairs(self):
        """Two alike end atoms of an atom with four neighbours, as the hydrogens of CH2 or CH3: shape (g, 5).

        The centre, its two other neighbours, and the pair. Nothing but a broken bond exchanges the two, whose names
        tell on which side of the others they lie: the sign of the volume of the first four.
        """
        rows = []
        for i, row in enumerate(self.neighbours):
            ends = [j for j in row if len(self.neighbours[j]) == 1] if len(row) == 4 else []
            pairs = [p for p in itertools.combinations(ends, 2) if len(set(self.atomic_numbers[list(p)])) == 1]
            if pairs:
                pair = min(pairs, key=lambda p: (self.atomic_numbers[p[0]], p))
                rows.append([i, *(j for j in row if j not in pair), *pair])
        return np.array(rows, dtype=np.int64).reshape(-1, 5)

    @cached_property
    def trigonal_centres(self):
        """Atoms with three neighbours, and these: shape (t, 4), centre first."""
        rows = [[i, *row] for i, row in enumerate(self.neighbours) if len(row) == 3]
        return np.array(rows, dtype=np.int64).reshape(-1, 4)

    @cached_property
    def rigid_pairs(self):
        """Pairs three bonds apart, about a bond of two trigonal atoms that hardly turns: shape (r, 2), each once.

        Such are the bonds of peptides, aromatic rings and guanidinium groups.
        """
        trigonal = {int(i) for i in self.trigonal_centres[:, 0]}
        # Rings of four or fewer make some of them nearer.
        near = set(map(tuple, self.pairs_within(2).tolist()))
        pairs = {
            (min(i, j), max(i, j))
            for b, c in self.bonds.tolist()
            if b in trigonal and c in trigonal
            for i in self.neighbours[b]
            for j in self.neighbours[c]
            if i != j
        } - near
        return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)

    @cached_property
    def contact_kinds(self):
        """What the closest approach of an atom depends on: its element and, of hydrogen, what it is bonded to.

        Returns
        -------
        int array, shape (n,)
            Numbers from 0.
        """
        kinds = []
        for z, row in zip(self.atomic_numbers, self.neighbours, strict=True):
            kinds.append((int(z), int(self.atomic_numbers[row[0]]) if z == 1 and row else 0))
        return np.unique(np.array(kinds), axis=0, return_inverse=True)[1].reshape(-1)

    @cached_property
    def equivalent_hydrogens(self):
        """Hydrogens of freely rotating XH3 groups, shape (g, 3): the cyclic relabellings keep handedness."""
        rows = []
        for row in self.neighbours:
            hydrogens = [j for j in row if self.atomic_numbers[j] == 1]
            if len(row) == 4 and len(hydrogens) == 3:
                rows.append(hydrogens)
        return np.array(rows, dtype=np.int64).reshape(-1, 3)

    @cached_property
    def torsions(self):
        """The backbone and rotatable-hydrogen torsions by name: dict of str to int array of shape (t, 4).

        ``phi``, ``psi`` and ``omega`` by atom names (IUPAC), with the caps ACE and NME; ``methyl`` for every
        XH3 group, by its first hydrogen.
        """
        found = {"phi": [], "psi": [], "omega": [], "methyl": []}
        at = {(int(r), name): i for i, (r, name) in enumerate(zip(self.residue_index, self.names, strict=True))}
        for r in range(int(self.residue_index.max()) + 1):
            own = {name: at.get((r, name)) for name in ("N", "CA", "C", "CH3")}
            if own["CA"] is None:
                own["CA"] = own["CH3"]
            last, following = at.get((r - 1, "C")), at.get((r + 1, "N"))
            ca_next = at.get((r + 1, "CA"), at.get((r + 1, "CH3"), at.get((r + 1, "C"))))
            rows = {
                "phi": (last, own["N"], own["CA"], own["C"]),
                "psi": (own["N"], own["CA"], own["C"], following),
                "omega": (own["CA"], own["C"], following, ca_next),
            }
            for name, row in rows.items():
                if None not in row and self._is_bonded_path(row):
                    found[name].append(row)
        for group in self.equivalent_hydrogens:
            first = int(group[0])
            centre = self.neighbours[first][0]
            axis = next(j for j in self.neighbours[centre] if j not in group)
            end = next((j for j in self.neighbours[axis] if j != centre), None)
            if end is not None:
                found["methyl"].append((first, centre, axis, end))
        return {name: np.array(rows, dtype=np.int64).reshape(-1, 4) for name, rows in found.items()}

    def _is_bonded_path(self, row):
        return all(b in self.neighbours[a] for a, b in itertools.pairwise(row))

    @cached_property
    def bond_cutoffs(self):
        """Distance in nm below which two atoms count as bonded, shape (n, n), for small molecules (paper, appendix D)."""
        return BOND_FACTOR * (self.radii[:, None] + self.radii[None, :])

    @cached_property
    def radii(self):
        """Covalent radius of every atom in nm, shape (n,)."""
        from rdkit import Chem

        table = Chem.GetPeriodicTable()
        return np.array([table.GetRcovalent(int(z)) for z in self.atomic_numbers]) / 10


def signed_volume(positions, rows):
    """Triple product of the vectors from the first atom of each row to the other three.

    Parameters
    ----------
    positions : numpy.ndarray, shape (..., n, 3)
    rows : numpy.ndarray of int, shape (c, 4)

    Returns
    -------
    numpy.ndarray, shape (..., c)
        In the cube of the unit of `positions`; its sign is the handedness.
    """
    centre = positions[..., rows[:, 0], :]
    a, b, c = (positions[..., rows[:, k], :] - centre for k in (1, 2, 3))
    return (a * np.cross(b, c)).sum(-1)


def dihedral(positions, rows):
    """Torsion angles in radians, in (-pi, pi], IUPAC sign, shape (..., t)."""
    p0, p1, p2, p3 = (positions[..., rows[:, k], :] for k in range(4))
    b0, b1, b2 = p1 - p0, p2 - p1, p3 - p2
    n0, n1 = np.cross(b0, b1), np.cross(b1, b2)
    y = (np.linalg.norm(b1, axis=-1)) * (b0 * n1).sum(-1)
    x = (n0 * n1).sum(-1)
    return np.arctan2(y, x)
