"""What a refinement sees of small molecules: all pairs of their nodes, and what turns about every bond."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from openmm_cgvae.ligands.features import LigandArrays

__all__ = ["PAIR_FEATURES", "RefineGraph", "joined_refine_graphs", "pair_arrays", "refine_graph"]

# Bonds between the atoms of a pair: 1 to 4, more.
SEPARATIONS = 5
# Separations, distance and depth of the minimum of the van der Waals energy, product of charges.
PAIR_FEATURES = SEPARATIONS + 3
# Scales of the tables of `force_field_tables` (Angstrom, kJ/mol, kJ/mol at 1 Angstrom), so that features are about 1.
RADIUS, DEPTH, CHARGE = 4.0, 0.5, 100.0


class RefineGraph(NamedTuple):
    """One molecule, or several as a disjoint graph; nodes are those of `TorsionGraph`.

    Parameters
    ----------
    atoms : Tensor, shape (n, ATOM_FEATURES)
    bonds : int Tensor, shape (2, e)
        Both directions of every bond.
    bond_features : Tensor, shape (e, BOND_FEATURES)
    pairs : int Tensor, shape (2, p)
        Every two nodes of a molecule, once.
    pair_features : Tensor, shape (p, PAIR_FEATURES)
    turning : int Tensor, shape (2, T)
        Nodes of every bond that turns.
    sizes : Tensor, shape (T,)
        Nodes on the smaller side of every bond that turns, those on the bond too.
    rows, owners : int Tensor, shape (r,)
        Nodes that turn about a bond, and its number, round after round: the bonds of a round share no molecule.
    rounds : list of int
        Rows of every round.
    """

    atoms: Tensor
    bonds: Tensor
    bond_features: Tensor
    pairs: Tensor
    pair_features: Tensor
    turning: Tensor
    sizes: Tensor
    rows: Tensor
    owners: Tensor
    rounds: list[int]


def pair_arrays(arrays: LigandArrays, apart: np.ndarray, radius, depth, charge) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of nodes (2, p) and their features (p, PAIR_FEATURES).

    Parameters
    ----------
    arrays : LigandArrays
    apart : array, shape (N, N)
        Bonds between atoms.
    radius, depth, charge : array, shape (N, N)
        See `ForceFieldTables`.
    """
    i, j = np.triu_indices(len(arrays.nodes), 1)
    a, b = arrays.nodes[i], arrays.nodes[j]
    steps = np.clip(apart[a, b], 1, SEPARATIONS).astype(np.int64) - 1
    features = np.zeros((len(i), PAIR_FEATURES), dtype=np.float32)
    features[np.arange(len(i)), steps] = 1.0
    for k, (table, scale) in enumerate(((radius, RADIUS), (depth, DEPTH), (charge, CHARGE))):
        features[:, SEPARATIONS + k] = np.asarray(table)[a, b] / scale
    return np.stack([i, j]), features


def refine_graph(arrays: LigandArrays, pairs: np.ndarray, pair_features: np.ndarray) -> RefineGraph:
    """The graph of one molecule."""
    place = np.full(arrays.moved.shape[1], -1)
    place[arrays.nodes] = np.arange(len(arrays.nodes))
    owners, rows = np.nonzero(arrays.moved[:, arrays.nodes])
    rounds = np.bincount(owners, minlength=arrays.n_tokens)
    # Both ends of the bond are on it, of which one is in the count of what turns.
    sizes = np.minimum(rounds, len(arrays.nodes) - rounds).astype(np.float32) + 1.0
    parts = (arrays.atoms, arrays.bonds, arrays.bond_features, pairs, pair_features, place[arrays.token_bonds].T,
             sizes, rows, owners)  # fmt: skip
    rounds = rounds.tolist()
    return RefineGraph(*(torch.as_tensor(np.ascontiguousarray(part)) for part in parts), rounds)


def joined_refine_graphs(graphs: list[RefineGraph]) -> RefineGraph:
    """A disjoint graph of several."""
    nodes = np.cumsum([0] + [len(graph.atoms) for graph in graphs]).tolist()
    tokens = np.cumsum([0] + [graph.turning.shape[1] for graph in graphs]).tolist()
    parts = []
    for graph, first, token in zip(graphs, nodes, tokens, strict=False):
        cut = zip(graph.rows.split(graph.rounds), graph.owners.split(graph.rounds), strict=True)
        parts.append([(rows + first, owners + token) for rows, owners in cut])
    rounds = [
        [part[k] for part in parts if len(part) > k] for k in range(max((len(part) for part in parts), default=0))
    ]
    none = torch.zeros(0, dtype=torch.int64)
    return RefineGraph(
        torch.cat([graph.atoms for graph in graphs]),
        torch.cat([graph.bonds + first for graph, first in zip(graphs, nodes, strict=False)], 1),
        torch.cat([graph.bond_features for graph in graphs]),
        torch.cat([graph.pairs + first for graph, first in zip(graphs, nodes, strict=False)], 1),
        torch.cat([graph.pair_features for graph in graphs]),
        torch.cat([graph.turning + first for graph, first in zip(graphs, nodes, strict=False)], 1),
        torch.cat([graph.sizes for graph in graphs]),
        torch.cat([none, *(rows for found in rounds for rows, _ in found)]),
        torch.cat([none, *(owners for found in rounds for _, owners in found)]),
        [sum(len(rows) for rows, _ in found) for found in rounds],
    )
