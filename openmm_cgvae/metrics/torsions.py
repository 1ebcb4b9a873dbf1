"""The torsions of any molecule, found in its bond graph, and how each is distributed."""

import math
from dataclasses import dataclass

import numpy as np

from openmm_cgvae.metrics.distribution import jensen_shannon_with_floor
from openmm_cgvae.metrics.structure import torsion_angles

__all__ = ["KINDS", "Torsion", "each_torsion_divergence", "find_torsions"]

KINDS = ("backbone", "side_chain", "rotatable_hydrogen")
# 6 degrees a bin, as in the summary.
BINS = 60
# Rings up to this size do not turn about a bond; a loop closed by a disulfide does.
LARGEST_RING = 7


@dataclass(frozen=True)
class Torsion:
    """A torsion about one bond.

    Parameters
    ----------
    name : str
        Residue and what it turns about: ``ALA2 phi``, ``TYR3 CA-CB``.
    kind : {"backbone", "side_chain", "rotatable_hydrogen"}
    atoms : tuple of int, length 4
    fold : int
        Rotational symmetry: turned by 2 pi / fold, the group looks the same but for labels of equivalent atoms.
    """

    name: str
    kind: str
    atoms: tuple
    fold: int


def find_torsions(graph):
    """All torsions that a molecule has, one a bond.

    Backbone torsions are phi, psi and omega of `MolecularGraph.torsions`, with their IUPAC names. Of all other bonds
    that go on at both ends, one with nothing but hydrogens behind an end is a rotatable hydrogen (CH3, NH3, NH2,
    OH, SH), and one with heavy atoms behind both is a side chain torsion, as chi1 to chi5 are. Flat rings have none:
    a bond in a ring of up to 7 atoms counts only if neither end has three neighbours (so proline's pucker does).

    Parameters
    ----------
    graph : MolecularGraph

    Returns
    -------
    tuple of Torsion
        Backbone first, then by bond.
    """
    found = []
    for name, central in (("phi", 2), ("psi", 1), ("omega", 1)):
        for row in graph.torsions[name].tolist():
            found.append(Torsion(f"{_residue(graph, row[central])} {name}", "backbone", tuple(row), 1))
    done = {frozenset(torsion.atoms[1:3]) for torsion in found}
    for i, j in graph.bonds.tolist():
        behind = [k for k in graph.neighbours[i] if k != j], [k for k in graph.neighbours[j] if k != i]
        if frozenset((i, j)) not in done and all(behind) and not _in_flat_ring(graph, i, j):
            found.append(_torsion_about(graph, (i, j), behind))
    return tuple(found)


def _torsion_about(graph, bond, behind):
    """The torsion of a bond from the first heavy atom (else the first atom) behind either end."""
    ends = [min(atoms, key=lambda k: (graph.atomic_numbers[k] == 1, k)) for atoms in behind]
    kind = "rotatable_hydrogen" if (graph.atomic_numbers[ends] == 1).any() else "side_chain"
    fold = math.lcm(*(_fold(graph, atoms) for atoms in behind))
    name = f"{_residue(graph, bond[0])} {graph.names[bond[0]]}-{graph.names[bond[1]]}"
    return Torsion(name, kind, (ends[0], *bond, ends[1]), fold)


def _fold(graph, atoms):
    """Symmetry of the atoms behind one end: 3 for CH3, 2 for the ring of tyrosine or a carboxylate, else 1."""
    return len(atoms) if len({graph.symmetry_classes[k] for k in atoms}) == 1 else 1


def _in_flat_ring(graph, i, j):
    if 3 not in (len(graph.neighbours[i]), len(graph.neighbours[j])):
        return False
    reached, shell = {i}, {i}
    for _ in range(LARGEST_RING - 1):
        shell = {k for a in shell for k in graph.neighbours[a] if {a, k} != {i, j}} - reached
        reached |= shell
    return j in reached


def _residue(graph, atom):
    return f"{graph.residues[atom]}{graph.residue_index[atom] + 1}"


def each_torsion_divergence(positions, reference, graph, runs=None, seed=0):
    """Compare the distribution of every torsion with that in a reference.

    Parameters
    ----------
    positions, reference, graph, runs, seed
        As of `openmm_cgvae.metrics.torsion_divergence`.

    Returns
    -------
    dict of str to dict
        By the name of each of `find_torsions`: its ``kind``, its Jensen-Shannon ``divergence`` in nats and the
        ``floor`` that the reference scores against itself at the same count (`jensen_shannon_with_floor`; bins of 6
        degrees, torsions with equivalent atoms folded by their symmetry).

    Raises
    ------
    PositionsError
        If positions or reference do not fit the molecule.
    DataError
        If there is no frame, or fewer than two reference runs.
    """
    torsions = find_torsions(graph)
    rows = np.array([torsion.atoms for torsion in torsions], dtype=np.int64).reshape(-1, 4)
    angles, expected = (torsion_angles(x, graph, rows) for x in (positions, reference))
    result = {}
    for k, torsion in enumerate(torsions):
        half = np.pi / torsion.fold
        divergence, floor = jensen_shannon_with_floor(
            angles[:, k], expected[:, k], runs, seed=seed, bins=BINS // torsion.fold, range=(-half, half)
        )
        result[torsion.name] = {"kind": torsion.kind, "divergence": divergence, "floor": floor}
    return result
