"""What a torsion network sees of small molecules: atoms, bonds, and the angles about every bond."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["TorsionGraph", "joined_graphs", "quad_angles"]


class TorsionGraph(NamedTuple):
    """One molecule, or several as a disjoint graph; what depends on the conformation has a column for each sample.

    Nodes are the heavy atoms, and hydrogens that a torsion turns (of OH, NH2, ...). Four nodes a-b-c-d along bonds are
    a quad; about a bond that turns it belongs to a token, whose torsion is that of one of its quads.

    Parameters
    ----------
    atoms : Tensor, shape (n, ATOM_FEATURES)
    bonds : int Tensor, shape (2, e)
        Both directions of every bond: node that is told, node that tells.
    bond_features : Tensor, shape (e, BOND_FEATURES)
    quads : int Tensor, shape (4, q)
        Nodes.
    token : int Tensor, shape (q,)
        Token that each quad belongs to; `n_tokens` where it is rigid.
    n_tokens : int
    handed : Tensor, shape (n, S)
        +1 or -1 by the signed volume of a stereocentre's neighbours in the approximate conformer, 0 elsewhere.
    offsets : Tensor, shape (q, S)
        Radian: angle of a quad minus the torsion of its token; of a rigid quad, its angle.
    """

    atoms: Tensor
    bonds: Tensor
    bond_features: Tensor
    quads: Tensor
    token: Tensor
    n_tokens: int
    handed: Tensor
    offsets: Tensor


def quad_angles(graph: TorsionGraph, torsions: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Angles of all quads, and which are known.

    Parameters
    ----------
    graph : TorsionGraph
    torsions : Tensor, shape (T, S)
        Radian.
    known : bool Tensor, shape (T, S)

    Returns
    -------
    angles : Tensor, shape (q, S)
    seen : Tensor, shape (q, S)
        1 where known, rigid quads among them.
    """
    one = torch.zeros(1, torsions.shape[1], dtype=torsions.dtype, device=torsions.device)
    angles = graph.offsets + torch.cat([torsions, one]).index_select(0, graph.token)
    seen = torch.cat([known.to(torsions.dtype), one + 1.0]).index_select(0, graph.token)
    return angles, seen


def joined_graphs(graphs: list[TorsionGraph]) -> TorsionGraph:
    """A disjoint graph of several, which have the same number of samples S each."""
    nodes = [len(graph.atoms) for graph in graphs]
    tokens = [graph.n_tokens for graph in graphs]
    total = sum(tokens)
    bonds, quads, token, first, first_token = [], [], [], 0, 0
    for graph, n, t in zip(graphs, nodes, tokens, strict=True):
        bonds.append(graph.bonds + first)
        quads.append(graph.quads + first)
        token.append(torch.where(graph.token == t, total, graph.token + first_token))
        first, first_token = first + n, first_token + t
    return TorsionGraph(
        torch.cat([graph.atoms for graph in graphs]),
        torch.cat(bonds, 1),
        torch.cat([graph.bond_features for graph in graphs]),
        torch.cat(quads, 1),
        torch.cat(token),
        total,
        torch.cat([graph.handed for graph in graphs]),
        torch.cat([graph.offsets for graph in graphs]),
    )
