"""Conformers with a `RefineNetwork` behind them: all atoms follow its nodes, and what is not kept stays as it was."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from openmm_cgvae.geometry.vectors import cross, dot
from openmm_cgvae.ligands.features import LigandArrays
from openmm_cgvae.ligands.refinegraph import RefineGraph, pair_arrays, refine_graph
from openmm_cgvae.ligands.refinenet import RefineNetwork

__all__ = ["Refinement", "refinement_arrays"]

# Samples whose features are held at once.
SAMPLES = 64
# Share of a bond's length by which it may change: a refinement that leads further is not taken.
MOST_STRETCH = 0.12
# Angstrom^2 that let a neighbourhood in a line not turn about it.
STILL = 1e-2


class Refinement(nn.Module):
    """Moves all atoms as the network moves its nodes; `take` says of which molecule.

    Atoms that are no nodes, hydrogens on carbon, keep their place in the best superposition of what is up to two bonds
    from the atom that they are on. A sample is returned as it was where a stereo mark would change, or a bond's length
    by more than 12 %.

    Parameters
    ----------
    network : RefineNetwork
    """

    def __init__(self, network: RefineNetwork):
        super().__init__()
        self.network, self.samples = network, SAMPLES
        self.stretch, self.still = MOST_STRETCH, STILL
        index, none = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
        for name in ("bonds", "pairs", "turning", "rows", "owners", "nodes", "riders", "hosts", "around", "host_of",
                     "centres", "double_bonds"):  # fmt: skip
            self.register_buffer(name, index.clone(), persistent=False)
        for name in ("atoms", "bond_features", "pair_features", "sizes"):
            self.register_buffer(name, none.clone(), persistent=False)
        self.rounds = [0]

    @torch.jit.export
    def take(self, molecule: dict[str, Tensor]) -> None:
        """Take another molecule, as `refinement_arrays` and `LigandArrays` tell of it."""
        self.atoms, self.bonds, self.bond_features = molecule["atoms"], molecule["bonds"], molecule["bond_features"]
        self.pairs, self.pair_features = molecule["pairs"], molecule["pair_features"]
        self.turning, self.sizes = molecule["turning"], molecule["sizes"]
        self.rows, self.owners = molecule["turning_rows"], molecule["owners"]
        rounds: list[int] = molecule["rounds"].tolist()
        self.rounds = rounds
        self.nodes, self.riders, self.hosts = molecule["nodes"], molecule["riders"], molecule["hosts"]
        self.around, self.host_of = molecule["around"], molecule["host_of"]
        self.centres, self.double_bonds = molecule["centres"], molecule["double_bonds"]

    def forward(self, x: Tensor) -> Tensor:
        """Conformers (S, N, 3) in Angstrom, refined."""
        graph = RefineGraph(
            self.atoms, self.bonds, self.bond_features, self.pairs, self.pair_features, self.turning, self.sizes,
            self.rows, self.owners, self.rounds,
        )  # fmt: skip
        found: list[Tensor] = []
        for part in x.split(self.samples):
            places = part.index_select(1, self.nodes).transpose(0, 1).contiguous()
            moved = part.index_copy(1, self.nodes, self.network(graph, places)[-1].transpose(0, 1))
            moved = self.carried(part, moved)
            found.append(torch.where(self.kept(part, moved)[:, None, None], moved, part))
        return torch.cat(found)

    def carried(self, x: Tensor, moved: Tensor) -> Tensor:
        """Atoms (S, N, 3) of which nodes are `moved`, with the others in their places beside them."""
        if self.riders.shape[0] == 0:
            return moved
        # What surrounds every host, before and after.
        host = self.hosts.index_select(0, self.host_of)
        before = x.index_select(1, self.around) - x.index_select(1, host)
        after = moved.index_select(1, self.around) - moved.index_select(1, host)
        products = (before.unsqueeze(-1) * after.unsqueeze(-2)).flatten(2)
        total = torch.zeros(x.shape[0], x.shape[1], 9, dtype=x.dtype, device=x.device).index_add(1, host, products)
        riding = self.riders
        turn = rotations(total.unflatten(2, (3, 3)) + self.still * torch.eye(3, dtype=x.dtype, device=x.device))
        own = x.index_select(1, riding[:, 0]) - x.index_select(1, riding[:, 1])
        places = torch.matmul(own.unsqueeze(2), turn.index_select(1, riding[:, 1])).squeeze(2)
        return moved.index_copy(1, riding[:, 0], places + moved.index_select(1, riding[:, 1]))

    def kept(self, x: Tensor, moved: Tensor) -> Tensor:
        """Which conformers (S,) have the stereo marks and bonds that they had."""
        i, j = self.nodes.index_select(0, self.bonds[0]), self.nodes.index_select(0, self.bonds[1])
        before = self.network.lengths(x.index_select(1, i) - x.index_select(1, j))
        after = self.network.lengths(moved.index_select(1, i) - moved.index_select(1, j))
        good = ((after - before).abs() < self.stretch * before).all(1)
        good = good & (self.volumes(x) * self.volumes(moved) > 0).all(1)
        return good & (self.sides(x) * self.sides(moved) > 0).all(1)

    def volumes(self, x: Tensor) -> Tensor:
        """Signed volumes (S, c) of the neighbours of stereocentres."""
        centre = x.index_select(1, self.centres[:, 0])
        a, b, c = [x.index_select(1, self.centres[:, k]) - centre for k in range(1, 4)]
        return dot(cross(a, b, -1), c, -1)

    def sides(self, x: Tensor) -> Tensor:
        """Positive where the ends of a double bond are on one side of it, otherwise negative, (S, b)."""
        a, b, c, d = [x.index_select(1, self.double_bonds[:, k]) for k in range(4)]
        axis = c - b
        return dot(cross(a - b, axis, -1), cross(d - c, axis, -1), -1)


def rotations(products: Tensor) -> Tensor:
    """Best rotations (..., 3, 3), to the right of rows of vectors, by sums of products of these with their images."""
    u, _, v = torch.linalg.svd(products)
    sign = torch.det(torch.matmul(u, v)).sign()
    last = u[..., 2:] * sign.unsqueeze(-1).unsqueeze(-1)
    return torch.matmul(torch.cat([u[..., :2], last], -1), v)


def refinement_arrays(mol: Any, arrays: LigandArrays, radius, depth, charge) -> dict[str, np.ndarray]:
    """What a `Refinement` takes of a molecule with hydrogens, beside `LigandArrays`; tables as of `pair_arrays`."""
    from rdkit import Chem

    apart = Chem.GetDistanceMatrix(mol)
    graph = refine_graph(arrays, *pair_arrays(arrays, apart, radius, depth, charge))
    rest = np.setdiff1d(np.arange(mol.GetNumAtoms()), arrays.nodes)
    # An atom without a bond, or on one that is no node, stays.
    on = [[a.GetIdx() for a in mol.GetAtomWithIdx(int(i)).GetNeighbors()] for i in rest]
    riders = [(int(i), own[0]) for i, own in zip(rest, on, strict=True) if own and own[0] in arrays.nodes]
    hosts = sorted({host for _, host in riders})
    around = [(k, int(a)) for k, host in enumerate(hosts) for a in arrays.nodes if 0 < apart[host, a] <= 2]
    double = []
    for bond in mol.GetBonds():
        if bond.GetStereo() != Chem.BondStereo.STEREONONE and len(bond.GetStereoAtoms()) == 2:
            a, d = bond.GetStereoAtoms()
            double.append((a, bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), d))
    around = np.array(around, dtype=np.int64).reshape(-1, 2)
    found = {"pairs": graph.pairs.numpy(), "pair_features": graph.pair_features.numpy()}
    found |= {"turning": graph.turning.numpy(), "sizes": graph.sizes.numpy()}
    found |= {"turning_rows": graph.rows.numpy(), "owners": graph.owners.numpy()}
    return found | {
        "rounds": np.array(graph.rounds, dtype=np.int64), "nodes": arrays.nodes,
        "riders": np.array(riders, dtype=np.int64).reshape(-1, 2), "hosts": np.array(hosts, dtype=np.int64),
        "around": around[:, 1], "host_of": around[:, 0], "centres": arrays.centres,
        "double_bonds": np.array(double, dtype=np.int64).reshape(-1, 4),
    }  # fmt: skip
