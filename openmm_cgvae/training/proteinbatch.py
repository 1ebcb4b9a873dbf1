"""Batches of protein chains, and the loss of a torsion network on them."""

from dataclasses import dataclass

import numpy as np
import torch

from openmm_cgvae.proteins.chains import Chain
from openmm_cgvae.proteins.graph import nearest
from openmm_cgvae.proteins.torsionnet import TorsionNetwork

__all__ = ["ProteinBatch", "joined", "torsion_loss"]

# How much each torsion counts: the angle of the peptide unit, end groups, and those along the side chain.
TORSION_WEIGHTS = (1.0, 0.3, 1.0, 1.0, 0.5, 0.5)


@dataclass(frozen=True)
class ProteinBatch:
    """Chains after one another, a disjoint graph of R residues.

    Parameters
    ----------
    atoms : Tensor, shape (R, 14, 3)
        Angstrom.
    mask : bool Tensor, shape (R, 14)
    types : int Tensor, shape (R,)
    connected : bool Tensor, shape (R,)
    molecule : int Tensor, shape (R,)
        Number of the chain in the batch.
    inner : bool Tensor, shape (R,)
        Which residues to learn from: of a crop, those that have their surroundings.
    """

    atoms: torch.Tensor
    mask: torch.Tensor
    types: torch.Tensor
    connected: torch.Tensor
    molecule: torch.Tensor
    inner: torch.Tensor

    def graph(self, points: torch.Tensor, count: int):
        """Neighbours and weights of `nearest`, chain by chain."""
        rows, weights, base = [], [], 0
        for n in torch.bincount(self.molecule).tolist():
            part = points[base : base + n].unsqueeze(0)
            row, weight = nearest(part, count)
            rows.append(row + base)
            weights.append(weight)
            base += n
        return torch.cat(rows), torch.cat(weights)


def joined(chains: list[Chain], inner: list[np.ndarray] | None = None) -> ProteinBatch:
    """One batch of chains, with the residues of each to learn from, all if omitted."""
    fields = (
        torch.as_tensor(np.concatenate([getattr(chain, name) for chain in chains]))
        for name in ("atoms", "mask", "residue_types", "connected")
    )
    lengths = [len(chain.residue_types) for chain in chains]
    molecule = torch.repeat_interleave(torch.arange(len(chains)), torch.tensor(lengths))
    inner = torch.ones(len(molecule), dtype=torch.bool) if inner is None else torch.as_tensor(np.concatenate(inner))
    return ProteinBatch(*fields, molecule, inner)


def torsion_loss(network: TorsionNetwork, features, torsions, wanted, types):
    """Cross-entropy of the wanted torsions, each side-chain torsion given those before it.

    Parameters
    ----------
    network : TorsionNetwork
    features : Tensor, shape (R, 6, F)
        `TorsionNetwork.told`.
    torsions : Tensor, shape (R, 6)
        Radian.
    wanted : bool Tensor, shape (R, 6)
    types : int Tensor, shape (R,)

    Returns
    -------
    loss : Tensor
        Weighted mean over residues with a wanted torsion.
    parts : Tensor, shape (6,)
        Mean cross-entropy of every torsion, NaN where none is wanted.
    """
    total, parts = 0.0, []
    for k, scores, place, _ in network.teacher_forced(features, torsions, wanted, types):
        likely = torch.log_softmax(scores, -1)
        low = place.floor()
        share = (place - low).unsqueeze(1)
        low = low.long().unsqueeze(1) % network.bins
        found = likely.gather(1, low) * (1 - share) + likely.gather(1, (low + 1) % network.bins) * share
        parts.append(-found.mean())
        total = total - TORSION_WEIGHTS[k] * found.sum()
    return total / wanted.any(1).sum().clamp_min(1), torch.stack(parts)
