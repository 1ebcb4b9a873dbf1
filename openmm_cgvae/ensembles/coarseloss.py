"""Batches of conformers for CoarsenConf, and its losses: aligned coordinates, distances, divergence of the latents."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from openmm_cgvae.ensembles.packed import PackedEnsembles
from openmm_cgvae.geometry.neighbours import owned_pairs
from openmm_cgvae.geometry.superposition import fitted
from openmm_cgvae.ligands.coarsegraph import CoarseGraph, joined_graphs, placed_beads
from openmm_cgvae.ligands.coarsening import CoarseMolecule
from openmm_cgvae.training.losses import match_hydrogens

__all__ = ["CoarseBatch", "CoarseData", "CoarseLosses", "aligned_rmsd", "coarsenconf_losses", "latent_divergence"]

# Angstrom, of the pairs whose distances count.
PAIR_CUTOFF = 5.0


class CoarseBatch(NamedTuple):
    """Molecules with an approximate conformer and a true one, (n, 3) in Angstrom; `heavy` (n,) are no hydrogens."""

    graph: CoarseGraph
    approximate: torch.Tensor
    x: torch.Tensor
    heavy: torch.Tensor

    @property
    def molecule(self):
        """Molecule of every atom, (n,)."""
        return self.graph.owner[self.graph.bead]


@dataclass
class CoarseData:
    """Pairs of an approximate and a true conformer: ``data.batch(rng, n_atoms)``.

    Parameters
    ----------
    ensembles : PackedEnsembles
        Those without approximate conformers are left out.
    """

    ensembles: PackedEnsembles

    def __post_init__(self):
        self._molecules = {}

    def pair(self, k, rng):
        """Graph, approximate conformer, true conformer and which atoms are heavy, of molecule k; None of an ion."""
        ensemble = self.ensembles[k]
        if k not in self._molecules:
            usable = len(ensemble.approximate) and len(ensemble.elements) > 1
            self._molecules[k] = CoarseMolecule(ensemble.mol(), allow_unknown=True) if usable else None
        molecule = self._molecules[k]
        if molecule is None:
            return None
        approximate = ensemble.approximate[rng.integers(len(ensemble.approximate))]
        x = ensemble.positions[rng.integers(len(ensemble.positions))]
        return molecule.graph(approximate), approximate, x, ensemble.elements > 1

    def batch(self, rng, n_atoms):
        """Molecules drawn evenly, and of each an approximate and a true conformer, until there are `n_atoms`."""
        rows, total = [], 0
        while total < n_atoms:
            row = self.pair(int(rng.integers(len(self.ensembles))), rng)
            if row is not None:
                rows.append(row)
                total += len(row[1])
        return joined_batch(rows)


def joined_batch(rows):
    """The `CoarseBatch` of several rows of `CoarseData.pair`."""
    graphs, *arrays = zip(*rows, strict=True)
    approximate, x, heavy = (torch.as_tensor(np.concatenate(column)) for column in arrays)
    return CoarseBatch(joined_graphs(list(graphs)), approximate, x, heavy)


class CoarseLosses(NamedTuple):
    """Squared errors of aligned coordinates and of distances in Angstrom^2, and divergence of a bead in nats."""

    coordinates: torch.Tensor
    distances: torch.Tensor
    divergence: torch.Tensor


def coarsenconf_losses(model, batch, noise, context_noise):
    """Losses of a batch, each bead rebuilt from its posterior on true beads before it.

    Parameters
    ----------
    model : CoarsenConf
    batch : CoarseBatch
    noise : Tensor, shape (N, 3, F)
        Unit Gaussian.
    context_noise : Tensor, shape (n, 3)
        Angstrom, on what beads see of those before them.

    Returns
    -------
    CoarseLosses
    """
    graph, molecule = batch.graph, batch.molecule
    _, placed = placed_beads(graph, batch.approximate, batch.x, True)
    # Which of a methyl's hydrogens is which says nothing.
    x = match_hydrogens(placed[None], batch.x[None], graph.rotors)[0]
    built, *gaussians = model.forced(graph, batch.approximate, x, noise, context_noise)
    target = fitted(x, built, molecule, int(molecule[-1]) + 1)
    i, j = owned_pairs(x, molecule, PAIR_CUTOFF)

    def lengths(points):
        return torch.sqrt((points[i] - points[j]).square().sum(1) + 1e-6)

    distances = (lengths(built) - lengths(x)).square().mean()
    return CoarseLosses((built - target).square().sum(1).mean(), distances, latent_divergence(*gaussians))


def latent_divergence(mean, log_variance, prior_mean, prior_log_variance):
    """KL(q || p) in nats of Gaussians of vectors, of one variance along all axes: summed over channels, mean of beads.

    Parameters
    ----------
    mean, prior_mean : Tensor, shape (N, 3, F)
    log_variance, prior_log_variance : Tensor, shape (N, F)
    """
    off = (mean - prior_mean).square().sum(1) / prior_log_variance.exp()
    spread = prior_log_variance - log_variance + (log_variance - prior_log_variance).exp() - 1.0
    return 0.5 * (off + 3.0 * spread).sum(1).mean()


def aligned_rmsd(batch, built):
    """Root mean square deviation (M,) of the heavy atoms of every molecule of (n, 3) from the truth, superposed."""
    molecule, heavy = batch.molecule, batch.heavy
    count = int(molecule[-1]) + 1
    rows = molecule[heavy]
    squares = (fitted(built[heavy], batch.x[heavy], rows, count) - batch.x[heavy]).square().sum(1)
    atoms = torch.bincount(rows, minlength=count)
    return (torch.zeros(count).index_add(0, rows, squares) / atoms.clamp_min(1)).sqrt()
