"""A small molecule and its approximate conformers as the tensors that a model of any small molecule takes."""

from typing import Any

import numpy as np

from openmm_cgvae.ensembles.forcefield import energies_kj, force_field_tables, mmff_properties
from openmm_cgvae.ligands.features import LigandArrays, ligand_arrays

__all__ = ["ligand_tensors", "token_colours"]


def token_colours(bonds: np.ndarray) -> np.ndarray:
    """Numbers from 0 of bonds (T, 2), so that none has that of another with which it shares an atom: (T,)."""
    colours = np.full(len(bonds), -1)
    for k, pair in enumerate(bonds):
        near = np.isin(bonds, pair).any(1)
        taken = set(colours[near].tolist())
        colours[k] = next(c for c in range(len(bonds) + 1) if c not in taken)
    return colours


def ligand_tensors(
    mol: Any,
    arrays: LigandArrays | None = None,
    assignment: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> dict:
    """Tensors of a molecule whose conformers are the approximate ones, as ``LigandModel.take`` takes them.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        With hydrogens and one conformer at least.
    arrays : LigandArrays, optional
        `ligand_arrays` of it.
    assignment : int array, shape (N,), optional
        Bead of every atom; one bead if omitted.
    weights : array, shape (N,), optional
        Of the atoms in the centre of their bead, the sum of each bead 1; equal ones if omitted.
    """
    import torch

    from openmm_cgvae.ligands.steric import PairEnergy

    arrays = arrays or ligand_arrays(mol)
    positions = np.array([conformer.GetPositions() for conformer in mol.GetConformers()])
    positions -= positions.mean(1, keepdims=True)
    angles = arrays.angles(positions)
    assignment = np.zeros(positions.shape[1], dtype=np.int64) if assignment is None else assignment
    weights = 1.0 / np.bincount(assignment)[assignment] if weights is None else weights
    matrix = np.zeros((assignment.max() + 1, len(assignment)))
    matrix[assignment, np.arange(len(assignment))] = weights
    tables = force_field_tables(mol, arrays)
    waves = tables.waves(arrays, positions)
    molecule = {
        "atoms": arrays.atoms, "bonds": arrays.bonds, "bond_features": arrays.bond_features, "quads": arrays.quads,
        "token": arrays.token, "token_bonds": arrays.token_bonds, "moved": arrays.moved,
        "colours": token_colours(arrays.token_bonds), "handed": arrays.handed(positions),
        "offsets": arrays.offsets(angles).astype(np.float32), "torsions": angles[arrays.first].astype(np.float32),
        "bases": positions.astype(np.float32), "tables": waves, "radius": tables.radius, "depth": tables.depth,
        "charge": tables.charge, "assignment": assignment, "matrix": matrix.astype(np.float32),
    }  # fmt: skip
    tensors = {name: torch.as_tensor(value) for name, value in molecule.items()}
    strain = np.zeros(len(positions))
    if mmff_properties(mol) is not None:
        # What bonds, angles and all that does not turn add, so that energies of the approximate conformers are MMFF's.
        pairs = PairEnergy()
        pairs.take(tensors)
        turn = angles[arrays.first][:, None] * np.arange(1, 4)[:, None]
        terms = (waves * np.concatenate([np.cos(turn), np.sin(turn)], 1)).sum((0, 1))
        strain = energies_kj(mol) - pairs(tensors["bases"]).numpy() - terms
    tensors["strain"] = torch.as_tensor(strain - strain.min(), dtype=torch.float32)
    return tensors
