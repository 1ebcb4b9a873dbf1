"""Axes of molecules that RDKit's stereo marks do not tell: of allenes and longer cumulenes, and of hindered biaryls."""

import json

import numpy as np

from openmm_cgvae.chemistry.rotatable import moved_atoms

__all__ = ["cumulene_axes", "hindered_axes", "keep_axes", "nearest_planes", "open_axes", "turn_axes"]

# Property of a molecule: angles of `cumulene_axes` that its conformers are to have.
KEPT = "keptAxes"
# Ortho substituents from which on a biaryl turns slowly.
HINDERED = 3


def cumulene_axes(mol):
    """Find the chains of cumulated double bonds, in no ring, between carbons that both have another neighbour.

    Returns
    -------
    list of tuple
        (a, b, c, d, m, even): the chain goes from b to c, whose other neighbours a and d are; m is the atom before c;
        even if of an even number of bonds, whose end planes are at right angles: flat together otherwise.
    """
    linear = {a.GetIdx() for a in mol.GetAtoms() if len(_doubles(a)) == 2 and a.GetDegree() == 2}
    found = []
    for start in sorted(linear):
        for first in mol.GetAtomWithIdx(start).GetNeighbors():
            chain = [first.GetIdx(), start]
            while chain[-1] in linear:
                chain += [k for k in _doubles(mol.GetAtomWithIdx(chain[-1])) if k != chain[-2]]
                if chain[-1] == chain[0]:
                    break
            b, c = chain[0], chain[-1]
            sides = [
                [x.GetIdx() for x in mol.GetAtomWithIdx(k).GetNeighbors() if x.GetIdx() not in chain] for k in (b, c)
            ]
            carbons = all(mol.GetAtomWithIdx(k).GetAtomicNum() == 6 and k not in linear for k in (b, c))
            if b < c and carbons and all(sides) and not mol.GetBondBetweenAtoms(c, chain[-2]).IsInRing():
                found.append((min(sides[0]), b, c, min(sides[1]), chain[-2], len(chain) % 2 == 1))
    return found


def _doubles(atom):
    """Neighbours by double bonds."""
    return [b.GetOtherAtomIdx(atom.GetIdx()) for b in atom.GetBonds() if str(b.GetBondType()) == "DOUBLE"]


def nearest_planes(axes, conformer):
    """Angles in degrees of `cumulene_axes` that are sound, each the nearest to that of a conformer."""
    from rdkit.Chem import rdMolTransforms

    angles = [(rdMolTransforms.GetDihedralDeg(conformer, *axis[:4]), axis[5]) for axis in axes]
    return [(90.0 if angle > 0 else -90.0) if even else (0.0 if abs(angle) < 90 else 180.0) for angle, even in angles]


def keep_axes(mol, canonical, order):
    """Let conformers of `canonical` have the axes of a molecule's 3D conformer, if it has one; `order` as its atoms."""
    from rdkit import Chem

    if not cumulene_axes(mol) or not any(conformer.Is3D() for conformer in mol.GetConformers()):
        return
    placed = Chem.RenumberAtoms(mol, np.argsort(order).tolist())
    conformer = next(conformer for conformer in placed.GetConformers() if conformer.Is3D())
    canonical.SetProp(KEPT, json.dumps(nearest_planes(cumulene_axes(canonical), conformer)))


def turn_axes(mol):
    """Turn the ends of cumulenes of all conformers, in place, to the angles that are kept, or to both in turn."""
    from rdkit.Chem import rdMolTransforms

    axes = cumulene_axes(mol)
    kept = json.loads(mol.GetProp(KEPT)) if mol.HasProp(KEPT) else None
    for number, conformer in enumerate(mol.GetConformers() if axes else ()):
        for k, (a, b, c, d, m, even) in enumerate(axes):
            angle = kept[k] if kept else (number >> k) % 2 * 180.0 - (90.0 if even else 0.0)
            x = conformer.GetPositions()
            moved = moved_atoms(mol, np.array([[m, c]]))[0]
            turn = np.radians(angle - rdMolTransforms.GetDihedralDeg(conformer, a, b, c, d))
            axis = (x[c] - x[b]) / np.linalg.norm(x[c] - x[b])
            # Rodrigues' rotation about the axis.
            rest = x[moved] - x[c]
            along = np.outer(rest @ axis, axis)
            x[moved] = x[c] + along + np.cos(turn) * (rest - along) + np.sin(turn) * np.cross(axis, rest)
            conformer.SetPositions(x)


def hindered_axes(mol):
    """Bonds (i, j) between flat rings with 3 ortho substituents or 4, whose both sides differ: of two mirror images."""
    from rdkit import Chem

    ranks = list(Chem.CanonicalRankAtoms(mol, breakTies=False))
    found = []
    for bond in mol.GetBonds():
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        if bond.IsInRing() or not all(e.IsInRing() and str(e.GetHybridization()) == "SP2" for e in ends):
            continue
        orthos = [[x for x in e.GetNeighbors() if x.GetIdx() not in {f.GetIdx() for f in ends}] for e in ends]
        crowded = sum(sum(y.GetAtomicNum() > 1 for y in x.GetNeighbors()) > 2 for own in orthos for x in own)
        unlike = all(len(own) == 2 and ranks[own[0].GetIdx()] != ranks[own[1].GetIdx()] for own in orthos)
        if crowded >= HINDERED and unlike:
            found.append((ends[0].GetIdx(), ends[1].GetIdx()))
    return found


def open_axes(mol):
    """What to say of the axes of a molecule that conformers do not keep: a line, or an empty one."""
    from rdkit import Chem

    ranks = list(Chem.CanonicalRankAtoms(mol, breakTies=False))
    axes = hindered_axes(mol)
    if not any(conformer.Is3D() for conformer in mol.GetConformers()):
        axes += [(b, c) for _, b, c, _, _, _ in cumulene_axes(mol) if _unlike(mol, ranks, b) and _unlike(mol, ranks, c)]
    if not axes:
        return ""
    names = ", ".join(f"{i} to {j}" for i, j in axes)
    return f"{Chem.MolToSmiles(Chem.RemoveHs(mol))} has axes with two forms (atoms {names}): both are sampled"


def _unlike(mol, ranks, end):
    """Whether the two neighbours of a cumulene's end, beside the chain, differ."""
    atom = mol.GetAtomWithIdx(end)
    own = [x.GetIdx() for x in atom.GetNeighbors() if x.GetIdx() not in _doubles(atom)]
    return len({ranks[k] for k in own}) + (atom.GetNumImplicitHs() + atom.GetNumExplicitHs() > 0) == 2
