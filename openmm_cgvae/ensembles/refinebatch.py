"""Samples of molecules and their minima as graphs, and how far the ones are from the others."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from openmm_cgvae.ensembles.forcefield import force_field_tables
from openmm_cgvae.ensembles.packed import molecule_with_conformers
from openmm_cgvae.ensembles.relaxations import Relaxation
from openmm_cgvae.ligands.features import LigandArrays, ligand_arrays
from openmm_cgvae.ligands.refinegraph import RefineGraph, joined_refine_graphs, pair_arrays, refine_graph

__all__ = ["RefineBatch", "RefineMolecule", "distance_errors", "graph_of_molecule", "superposed_rmsd"]

# Pairs up to so many bonds apart are local: bonds, angles, 1-4.
LOCAL = 3


def graph_of_molecule(mol: Any, arrays: LigandArrays) -> RefineGraph:
    """The graph that a refinement takes of a molecule with hydrogens."""
    from rdkit import Chem

    tables = force_field_tables(mol, arrays)
    pairs = pair_arrays(arrays, Chem.GetDistanceMatrix(mol), tables.radius, tables.depth, tables.charge)
    return refine_graph(arrays, *pairs)


class RefineMolecule:
    """Nodes of the samples of one molecule, and of their minima.

    Parameters
    ----------
    relaxation : Relaxation
    window : float
        kJ/mol above the lowest minimum beyond which samples are left out.
    """

    def __init__(self, relaxation: Relaxation, window: float):
        mol = molecule_with_conformers(relaxation.smiles, relaxation.start[:0])
        arrays = ligand_arrays(mol)
        self.graph = graph_of_molecule(mol, arrays)
        self.heavy = torch.tensor([mol.GetAtomWithIdx(int(i)).GetAtomicNum() > 1 for i in arrays.nodes])
        kept = relaxation.energies <= relaxation.energies.min() + window
        self.start, self.end = (
            torch.as_tensor(x[kept][:, arrays.nodes]).transpose(0, 1).contiguous()
            for x in (relaxation.start, relaxation.end)
        )


@dataclass(frozen=True)
class RefineBatch:
    """Molecules with S samples each.

    Parameters
    ----------
    graph : RefineGraph
    start, end : Tensor, shape (n, S, 3)
        Angstrom.
    heavy : bool Tensor, shape (n,)
    owner : int Tensor, shape (n,)
        Molecule of every node.
    """

    graph: RefineGraph
    start: Tensor
    end: Tensor
    heavy: Tensor
    owner: Tensor

    @classmethod
    def drawn(cls, molecules: list[RefineMolecule], columns: int, rng: np.random.Generator) -> "RefineBatch":
        """Draw samples of molecules, each twice only where there are fewer."""
        chosen = []
        for molecule in molecules:
            count = molecule.start.shape[1]
            chosen.append(np.concatenate([rng.permutation(count) for _ in range(-(-columns // count))])[:columns])
        start, end = (
            torch.cat([getattr(m, side)[:, rows] for m, rows in zip(molecules, chosen, strict=True)])
            for side in ("start", "end")
        )
        owner = torch.cat([torch.full((len(m.heavy),), k) for k, m in enumerate(molecules)])
        heavy = torch.cat([m.heavy for m in molecules])
        return cls(joined_refine_graphs([m.graph for m in molecules]), start, end, heavy, owner)


def superposed_rmsd(x: Tensor, batch: RefineBatch) -> Tensor:
    """RMSD (B, S) in Angstrom of heavy nodes of places (n, S, 3) from the minima, superposed.

    The gradient is exact without that of the rotation, which is the best one.
    """
    owner, rows = batch.owner[batch.heavy], int(batch.owner[-1]) + 1
    first, second = x[batch.heavy], batch.end[batch.heavy]

    def sums(values):
        return torch.zeros(rows, *values.shape[1:], dtype=values.dtype).index_add(0, owner, values)

    count = sums(torch.ones(len(owner))).clamp_min(1.0)[:, None]
    first, second = (y - (sums(y) / count[:, :, None]).index_select(0, owner) for y in (first, second))
    with torch.no_grad():
        u, _, v = torch.linalg.svd(sums(first.unsqueeze(-1) * second.unsqueeze(-2)))
        sign = torch.det(u @ v).sign()
        u = torch.cat([u[..., :2], u[..., 2:] * sign[..., None, None]], -1)
        turn = (u @ v).index_select(0, owner)
    apart = first - torch.matmul(turn, second.unsqueeze(-1)).squeeze(-1)
    return (sums(apart.square().sum(-1)) / count + 1e-6).sqrt()


def distance_errors(x: Tensor, batch: RefineBatch) -> Tensor:
    """Mean error in Angstrom of the distances of local pairs in places (n, S, 3)."""
    rows = batch.graph.pair_features[:, :LOCAL].sum(1) > 0
    i, j = batch.graph.pairs[:, rows]
    return ((x[i] - x[j]).norm(dim=-1) - (batch.end[i] - batch.end[j]).norm(dim=-1)).abs().mean()
