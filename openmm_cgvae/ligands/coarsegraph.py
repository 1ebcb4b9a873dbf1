"""Small molecules as index tensors: one or several, disjoint, with the order in which their beads are built."""

from typing import NamedTuple

import torch

from openmm_cgvae.geometry.superposition import superpositions
from openmm_cgvae.geometry.vectors import cross

__all__ = ["N_AXES", "UNIT", "CoarseGraph", "bead_axes", "bead_means", "bridges_of", "joined_graphs", "placed_beads"]

# Vectors of `bead_axes`, and their unit in Angstrom, in which they are about 1.
N_AXES, UNIT = 3, 2.0


class CoarseGraph(NamedTuple):
    """Molecules of n atoms and N beads in all.

    Tensors of integers, but for the weights: `fields` (n, k), rows of the table of atom features; `bead` (n,), bead of
    every atom; `owner` (N,), molecule of every bead; `step` (N,), its place in the order in which the beads of its
    molecule are built; `near` (m, 2), pairs up to 3 bonds apart in both orders and sorted, and `near_kind` (m,), from
    1; `linked` (b, 2), pairs of bonded beads in both orders, sorted; `anchor` (a, 2), bead and atom: the atoms by which
    a bead is placed, all of beads built before (of a first bead, its own), and `anchor_weight` (a,); `bridge` (l, 2),
    atom of a bead and the atom, of a bead built before, that it is bonded to; `rotors` (g, 3), hydrogens of methyl
    groups.
    """

    fields: torch.Tensor
    bead: torch.Tensor
    owner: torch.Tensor
    step: torch.Tensor
    near: torch.Tensor
    near_kind: torch.Tensor
    linked: torch.Tensor
    anchor: torch.Tensor
    anchor_weight: torch.Tensor
    bridge: torch.Tensor
    rotors: torch.Tensor


def joined_graphs(graphs: list[CoarseGraph]) -> CoarseGraph:
    """Several graphs as one."""
    atoms = torch.tensor([0, *(len(g.bead) for g in graphs)]).cumsum(0)[:-1].tolist()
    beads = torch.tensor([0, *(len(g.owner) for g in graphs)]).cumsum(0)[:-1].tolist()
    molecules = torch.tensor([0, *(int(g.owner.max()) + 1 for g in graphs)]).cumsum(0)[:-1].tolist()
    shifts = {
        "bead": beads, "owner": molecules, "near": atoms, "linked": beads, "bridge": atoms, "rotors": atoms,
        "anchor": [torch.tensor([bead, atom]) for bead, atom in zip(beads, atoms, strict=True)],
    }  # fmt: skip
    return CoarseGraph(
        **{
            name: torch.cat([getattr(g, name) + s for g, s in zip(graphs, shifts[name], strict=True)])
            if name in shifts
            else torch.cat([getattr(g, name) for g in graphs])
            for name in CoarseGraph._fields
        }
    )


def bead_means(x, bead, n_beads):
    # type: (Tensor, Tensor, int) -> Tensor
    """Mean over listed atoms of every bead, (m, 3) to (N, 3); zero of a bead without any."""
    ones = torch.ones_like(x[:, :1])
    count = torch.zeros(n_beads, 1, dtype=x.dtype, device=x.device).index_add(0, bead, ones)
    return torch.zeros(n_beads, 3, dtype=x.dtype, device=x.device).index_add(0, bead, x) / count.clamp_min(1.0)


def bridges_of(graph, placed, built):
    # type: (CoarseGraph, Tensor, Tensor) -> tuple[Tensor, Tensor]
    """Where the bridge to the beads before ends in every bead, and the bridge, each (N, 3), from atoms (n, 3).

    A first bead has none: its centre, and zero.
    """
    ends = placed.index_select(0, graph.bridge[:, 0])
    at = graph.bead.index_select(0, graph.bridge[:, 0])
    centres = bead_means(placed, graph.bead, graph.owner.shape[0])
    zeros = torch.zeros_like(centres)
    count = zeros[:, :1].index_add(0, at, torch.ones_like(ends[:, :1]))
    bridges = zeros.index_add(0, at, ends - built.index_select(0, graph.bridge[:, 1])) / count.clamp_min(1.0)
    return torch.where(count > 0, zeros.index_add(0, at, ends) / count.clamp_min(1.0), centres), bridges


def bead_axes(graph, placed, built, unit=UNIT):
    # type: (CoarseGraph, Tensor, Tensor, float) -> Tensor
    """Vectors that span the places of atoms in their beads.

    They are the place of an atom from the end of the bridge that leads to the beads before, the vector product of the
    bridge with it, and the bridge. A first bead has no bridge: places are from its centre.

    Parameters
    ----------
    graph : CoarseGraph
    placed, built : Tensor, shape (n, 3)
        Atoms of the beads, and of those that are built, where bridges begin.
    unit : float
        In Angstrom.

    Returns
    -------
    Tensor, shape (n, 3, 3)
        One vector a column.
    """
    origins, bridges = bridges_of(graph, placed, built)
    arm = (placed - origins.index_select(0, graph.bead)) / unit
    bridge = bridges.index_select(0, graph.bead) / unit
    return torch.stack([arm, cross(bridge, arm, 1), bridge], dim=2)


def placed_beads(graph, approximate, built, first):
    # type: (CoarseGraph, Tensor, Tensor, bool) -> tuple[Tensor, Tensor]
    """Lay every bead of the approximate conformer onto what is built before it, as rigid as it is.

    Atoms a bond or two from the bead decide how it lies; those farther away do where they leave a rotation open. The
    torsion about the bond to the bead stays that of the approximate conformer.

    Parameters
    ----------
    graph : CoarseGraph
    approximate, built : Tensor, shape (n, 3)
    first : bool
        Lay the first beads onto their own atoms of `built`; otherwise they stay where they are.

    Returns
    -------
    rotations : Tensor, shape (N, 3, 3)
        Of row vectors, from the frame of the approximate conformer to that of the bead.
    placed : Tensor, shape (n, 3)
    """
    bead, atom = graph.anchor[:, 0], graph.anchor[:, 1]
    n_beads = graph.owner.shape[0]
    targets = built.index_select(0, atom)
    own = approximate.index_select(0, atom)
    if not first:
        targets = torch.where((graph.step.index_select(0, bead) == 0).unsqueeze(1), own, targets)
    rotations, origins, destinations = superpositions(own, targets, graph.anchor_weight, bead, n_beads)
    if not first:
        # Exactly, not to rounding.
        rotations = torch.where(
            (graph.step == 0).view(-1, 1, 1), torch.eye(3, dtype=rotations.dtype, device=rotations.device), rotations
        )
    relative = (approximate - origins.index_select(0, graph.bead)).unsqueeze(1)
    turned = torch.bmm(relative, rotations.index_select(0, graph.bead)).squeeze(1)
    return rotations, turned + destinations.index_select(0, graph.bead)
