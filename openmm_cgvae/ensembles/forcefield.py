"""MMFF94s of a molecule as tables: of pairs, and of torsions about bonds that turn; UFF contacts where it has none."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from openmm_cgvae.ligands.features import LigandArrays

__all__ = ["KJ_PER_KCAL", "ForceFieldTables", "energies_kj", "force_field_tables", "mmff_properties"]

logger = logging.getLogger(__name__)

KJ_PER_KCAL = 4.184
# kcal/mol of two unit charges at 1 Angstrom, and the part that counts of charges three bonds apart.
COULOMB, NEAR_CHARGES = 332.0716, 0.75
# kcal/mol, of UFF.
CARBON_DEPTH = 0.105
# kJ/mol: hardly any bond holds more.
STRONGEST_BOND = 1000.0


@dataclass(frozen=True)
class ForceFieldTables:
    """What turning parts of a molecule of N atoms against one another costs, in kJ/mol and Angstrom.

    Parameters
    ----------
    radius, depth, charge : float32 array, shape (N, N)
        See `PairEnergy`; zero for pairs up to two bonds apart.
    torsions : dict of tuple of int to tuple of float
        V1, V2, V3 of four atoms.
    """

    radius: np.ndarray
    depth: np.ndarray
    charge: np.ndarray
    torsions: dict

    def waves(self, arrays: LigandArrays, positions: np.ndarray) -> np.ndarray:
        """Coefficients of cos and sin of 1, 2 and 3 times every token's torsion in conformers (S, N, 3): (T, 6, S)."""
        found = np.zeros((arrays.n_tokens, 6, len(positions)), dtype=np.float32)
        if not arrays.n_tokens:
            return found
        number = {tuple(sorted(pair)): k for k, pair in enumerate(arrays.token_bonds.tolist())}
        torsions = arrays.angles(positions)[arrays.first]
        for atoms, heights in self.torsions.items():
            k = number[tuple(sorted(atoms[1:3]))]
            offset = dihedrals(positions, np.array(atoms)) - torsions[k]
            for m, (height, sign) in enumerate(zip(heights, (1, -1, 1), strict=True)):
                found[k, m] += 0.5 * sign * height * np.cos((m + 1) * offset)
                found[k, m + 3] -= 0.5 * sign * height * np.sin((m + 1) * offset)
        return found


def dihedrals(positions: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """Angle in radian about the middle two of four atoms in conformers (S, N, 3): (S,)."""
    from openmm_cgvae.molecule.graph import dihedral

    return dihedral(np.asarray(positions, dtype=np.float64), atoms[None])[:, 0]


def mmff_properties(mol: Any) -> Any:
    """Parameters of MMFF94s for a molecule, None where it has none."""
    from rdkit import ForceField  # noqa: F401 (older versions of RDKit know the types of the fields by it alone)
    from rdkit.Chem import rdForceFieldHelpers

    if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        return None
    return rdForceFieldHelpers.MMFFGetMoleculeProperties(mol, mmffVariant="MMFF94s")


def energies_kj(mol: Any, method: str = "mmff") -> np.ndarray:
    """Energy in kJ/mol of every conformer of a molecule with hydrogens, by MMFF94s or UFF; NaN where it has none.

    UFF's is said to be that, and is NaN where it would tear all bonds, as of iodine with more than one.
    """
    from rdkit import Chem, ForceField, rdBase  # noqa: F401
    from rdkit.Chem import rdForceFieldHelpers

    numbers, n_bonds = [conformer.GetId() for conformer in mol.GetConformers()], mol.GetNumBonds()
    if method == "mmff":
        properties = mmff_properties(mol)
        fields = [
            properties and rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, properties, confId=k) for k in numbers
        ]
        return np.array([field.CalcEnergy() * KJ_PER_KCAL if field else np.nan for field in fields])
    with rdBase.BlockLogs():
        known = rdForceFieldHelpers.UFFHasAllMoleculeParams(mol)
        fields = [known and rdForceFieldHelpers.UFFGetMoleculeForceField(mol, confId=k) for k in numbers]
    found = np.array([field.CalcEnergy() * KJ_PER_KCAL if field else np.nan for field in fields])
    found[~(found < STRONGEST_BOND * max(1, n_bonds))] = np.nan
    logger.warning(
        "%s: %s",
        Chem.MolToSmiles(Chem.RemoveHs(mol)),
        "energies are UFF's, not MMFF94s's"
        if np.isfinite(found).any()
        else "UFF has no sound energies: none are given",
    )
    return found


def force_field_tables(mol: Any, arrays: LigandArrays) -> ForceFieldTables:
    """Tables of a molecule with hydrogens."""
    from rdkit import Chem, rdBase

    apart = Chem.GetDistanceMatrix(mol)
    # What is not bonded at all is farther than anything that is.
    counts = apart > 2.5
    properties = mmff_properties(mol)
    with rdBase.BlockLogs():
        radius, depth = _contacts(mol, properties)
    charge, torsions = np.zeros_like(radius), {}
    if properties is not None:
        charges = np.array([properties.GetMMFFPartialCharge(i) for i in range(mol.GetNumAtoms())])
        charge = COULOMB * KJ_PER_KCAL * np.outer(charges, charges) * np.where(apart < 3.5, NEAR_CHARGES, 1.0)
        torsions = _torsions(mol, properties, arrays)
    tables = (np.where(counts, table, 0.0).astype(np.float32) for table in (radius, depth, charge))
    return ForceFieldTables(*tables, torsions)


def _contacts(mol, properties):
    """Distance and depth of the minimum of every pair; MMFF's by its atom types, each pair of these asked once."""
    if properties is None:
        own = np.array([_uff_contact(mol, atom) for atom in mol.GetAtoms()])
        radius, depth = np.sqrt(own[:, None] * own[None, :]).transpose(2, 0, 1)
        return radius, depth * KJ_PER_KCAL
    kinds = [properties.GetMMFFAtomType(i) for i in range(mol.GetNumAtoms())]
    names, first, kind = np.unique(kinds, return_index=True, return_inverse=True)
    radius, depth = np.zeros((len(names), len(names))), np.zeros((len(names), len(names)))
    for i, a in enumerate(first.tolist()):
        for j, b in enumerate(first.tolist()):
            _, _, radius[i, j], depth[i, j] = properties.GetMMFFVdWParams(a, b)
    return radius[kind][:, kind], depth[kind][:, kind] * KJ_PER_KCAL


def _uff_contact(mol, atom):
    """Distance (A) and depth (kcal/mol) of the minimum of two such atoms; UFF's pairs are the geometric means of these.

    An atom that UFF has no type for, as the sulfur of SF6, has its van der Waals radius and the depth of carbon.
    """
    from rdkit import Chem
    from rdkit.Chem import rdForceFieldHelpers

    known = rdForceFieldHelpers.GetUFFVdWParams(mol, atom.GetIdx(), atom.GetIdx())
    return known or (2 ** (7 / 6) * Chem.GetPeriodicTable().GetRvdw(atom.GetAtomicNum()), CARBON_DEPTH)


def _torsions(mol, properties, arrays):
    """Terms of MMFF about the bonds that turn."""
    found = {}
    for b, c in arrays.token_bonds.tolist():
        for a in (x.GetIdx() for x in mol.GetAtomWithIdx(b).GetNeighbors()):
            for d in (x.GetIdx() for x in mol.GetAtomWithIdx(c).GetNeighbors()):
                if a in (c, d) or d == b:
                    continue
                terms = properties.GetMMFFTorsionParams(mol, a, b, c, d)
                if terms is not None:
                    found[a, b, c, d] = tuple(v * KJ_PER_KCAL for v in terms[1:])
    return found
