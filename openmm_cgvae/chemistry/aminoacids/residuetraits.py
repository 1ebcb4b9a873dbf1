"""What of a residue follows from its graph: stereocentres, equivalent atoms, side-chain torsions."""

import numpy as np

from openmm_cgvae.chemistry.aminoacids.ideal_peptides import (
    branches,
    heavy_neighbours,
    names_of,
    planar,
    symmetry_ranks,
)

__all__ = ["chi_of", "equivalent_of", "in_middle", "prochiral_of", "stereocentres_of"]


def in_middle(atom):
    """Whether an atom of RDKit belongs to the second residue of three."""
    return atom.GetPDBResidueInfo().GetResidueNumber() == 2


def stereocentres_of(peptide, molecule):
    """Centre and three neighbours that span a positive volume, for every stereocentre that RDKit finds."""
    from rdkit import Chem

    rows = []
    for i, _ in Chem.FindMolChiralCenters(molecule, useLegacyImplementation=False):
        atom = molecule.GetAtomWithIdx(i)
        if in_middle(atom):
            rows.append(_oriented(peptide, peptide.index[atom.GetPDBResidueInfo().GetName().strip()]))
    return rows


def prochiral_of(peptide, molecule, heavy):
    """The same for centres where the names alone tell two alike branches apart, as in valine and leucine."""
    ranks = symmetry_ranks(peptide)
    rows = []
    for name in heavy[2:]:
        around = heavy_neighbours(peptide, peptide.index[name])
        if len(around) == 3 and not planar(peptide, peptide.index[name]) and len({ranks[i] for i in around}) == 2:
            rows.append(_oriented(peptide, peptide.index[name]))
    return rows


def _oriented(peptide, centre):
    around = heavy_neighbours(peptide, centre)[:3]
    volume = np.linalg.det(peptide.positions[around] - peptide.positions[centre])
    if volume < 0:
        around[1], around[2] = around[2], around[1]
    return list(names_of(peptide, centre, *around))


def equivalent_of(peptide, names):
    """Exchanges of names that leave the molecule what it is: lists of pairs exchanged together."""
    ranks, exchanges = symmetry_ranks(peptide), []
    for name in names:
        centre = peptide.index[name]
        around = peptide.neighbours[centre]
        if not planar(peptide, centre):
            continue
        for i in around:
            for j in around:
                if i < j and ranks[i] == ranks[j] and peptide.elements[i] != "H":
                    exchanges.append(sorted(branches(peptide, ranks, centre, i, j)))
    own = [e for e in exchanges if e and all(a in names and b in names for a, b in e)]
    return [e for k, e in enumerate(own) if e not in own[:k]]


def chi_of(peptide, heavy):
    """Side-chain torsions: the path N, CA, CB and on along the first branch up to a planar ring."""
    path = ["N", "CA", "CB"] if "CB" in heavy else []
    rows = []
    while path:
        last = peptide.index[path[-1]]
        following = [n for n in heavy if peptide.index[n] in peptide.neighbours[last] and n not in path]
        if not following or _in_planar_ring(peptide, path[-2:], heavy):
            return rows
        path.append(following[0])
        rows.append(path[-4:])
    return rows


def _in_planar_ring(peptide, bond, heavy):
    """Whether a bond is in a ring all of whose atoms have three neighbours at most."""
    start, end = (peptide.index[n] for n in bond)
    flat = {peptide.index[n] for n in heavy if len(peptide.neighbours[peptide.index[n]]) <= 3}
    if not {start, end} <= flat:
        return False
    seen, stack = {start}, [i for i in peptide.neighbours[start] if i in flat and i != end]
    while stack:
        i = stack.pop()
        if i == end:
            return True
        seen.add(i)
        stack += [j for j in peptide.neighbours[i] if j in flat and j not in seen]
    return False
