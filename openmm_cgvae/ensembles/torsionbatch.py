"""Conformers of molecules as torsions about bonds, on the local geometry of another conformer of the same molecule."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from openmm_cgvae.core.units import BOLTZMANN_KJ_PER_MOL_K
from openmm_cgvae.ensembles.packed import Ensemble
from openmm_cgvae.ligands.features import LigandArrays, ligand_arrays
from openmm_cgvae.ligands.graph import TorsionGraph, joined_graphs

__all__ = ["TorsionBatch", "TorsionEnsemble", "torsion_loss"]

# Largest difference in degrees of the angles of a conformer from those of another whose local geometry it may take:
# inverted amines and other ring conformations differ by more.
COMPATIBLE = 35.0


def wrapped(angle):
    """Angles in radian between -pi and pi."""
    return np.remainder(angle + np.pi, 2 * np.pi) - np.pi


class TorsionEnsemble:
    """Angles of the conformers of one molecule, of which K are references and the rest approximate.

    Parameters
    ----------
    ensemble : Ensemble
    """

    def __init__(self, ensemble: Ensemble):
        mol = ensemble.mol()
        mol.RemoveAllConformers()
        self.arrays: LigandArrays = ligand_arrays(mol)
        positions = np.concatenate([ensemble.positions, ensemble.approximate])
        self.n_references = len(ensemble.positions)
        self.angles = self.arrays.angles(positions).astype(np.float32)
        self.handed = self.arrays.handed(positions)
        self.energies = ensemble.energies - ensemble.energies.min()
        self.offsets = wrapped(self.arrays.offsets(self.angles))
        self._bases = [self._compatible(k) for k in range(self.n_references)]

    def _compatible(self, k):
        """Conformers whose local geometry is like that of reference k, itself if there is no other."""
        apart = np.abs(wrapped(self.offsets - self.offsets[:, k : k + 1])).max(0, initial=0.0)
        alike = (self.handed == self.handed[:, k : k + 1]).all(0)
        found = np.flatnonzero((apart < math.radians(COMPATIBLE)) & alike)
        others = found[found != k]
        return others if len(others) else found

    def chances(self, temperature: float) -> np.ndarray:
        """Boltzmann weights of the references at a temperature in K."""
        chance = np.exp(-self.energies / (BOLTZMANN_KJ_PER_MOL_K * temperature))
        return chance / chance.sum()

    def drawn(self, chances, columns, rng) -> tuple[np.ndarray, np.ndarray]:
        """References and, of each, a conformer that gives the local geometry: numbers (columns,) each."""
        chosen = rng.choice(len(chances), columns, p=chances)
        return chosen, np.array([rng.choice(self._bases[k]) for k in chosen])

    def matched(self, targets: np.ndarray, bases: np.ndarray) -> np.ndarray:
        """Torsions (T, S) that turn the geometry of `bases` best to the references `targets`.

        The mean, over the quads of a token, of how far their angles differ: with one quad alone, small differences of
        its substituents would turn all of them.
        """
        arrays = self.arrays
        turn = np.exp(1j * (self.angles[:, targets] - self.angles[:, bases]))
        total = np.zeros((arrays.n_tokens + 1, len(targets)), dtype=turn.dtype)
        np.add.at(total, arrays.token, turn)
        return self.angles[:, bases][arrays.first] + np.angle(total[: arrays.n_tokens])

    def graph(self, bases: np.ndarray, noise: np.ndarray | float = 0.0) -> TorsionGraph:
        """The graph with one column for each of the conformers that give the local geometry."""
        arrays = self.arrays
        parts = (arrays.atoms, arrays.bonds, arrays.bond_features, arrays.quads, arrays.token)
        offsets = self.offsets[:, bases] + noise
        # Of the quad that is a token's torsion, always 0.
        offsets[arrays.first] = 0.0
        return TorsionGraph(
            *map(torch.as_tensor, parts),
            arrays.n_tokens,
            torch.as_tensor(self.handed[:, bases]),
            torch.as_tensor(offsets, dtype=torch.float32),
        )


@dataclass(frozen=True)
class TorsionBatch:
    """Molecules with S conformers each, and which of their torsions are told.

    Parameters
    ----------
    graph : TorsionGraph
    torsions : Tensor, shape (T, S)
        Radian.
    given : Tensor, shape (T, S)
        As told: with noise.
    known : bool Tensor, shape (T, S)
    """

    graph: TorsionGraph
    torsions: torch.Tensor
    given: torch.Tensor
    known: torch.Tensor

    @classmethod
    def drawn(cls, molecules, chances, columns, rng, torsion_noise=0.0, offset_noise=0.0) -> "TorsionBatch":
        """Draw conformers of molecules, a part of whose torsions is known; noise in radian.

        Parameters
        ----------
        molecules : sequence of TorsionEnsemble
        chances : sequence of array
            Of the references of each.
        columns : int
        rng : numpy.random.Generator
        torsion_noise, offset_noise : float
        """
        graphs, torsions, known = [], [], []
        for molecule, chance in zip(molecules, chances, strict=True):
            targets, bases = molecule.drawn(chance, columns, rng)
            noise = offset_noise * rng.standard_normal((molecule.offsets.shape[0], columns))
            graphs.append(molecule.graph(bases, noise))
            torsions.append(molecule.matched(targets, bases))
            known.append(rng.random(torsions[-1].shape) < rng.random(columns))
        found = torch.as_tensor(np.concatenate(torsions), dtype=torch.float32)
        noise = rng.standard_normal(found.shape) * (rng.random(found.shape[1]) < 0.5) * torsion_noise
        given = found + torch.as_tensor(noise, dtype=torch.float32)
        return cls(joined_graphs(graphs), found, given, torch.as_tensor(np.concatenate(known)))


def torsion_loss(scores: torch.Tensor, torsions: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the wanted torsions.

    Parameters
    ----------
    scores : Tensor, shape (T, S, bins)
    torsions : Tensor, shape (T, S)
        Radian.
    wanted : bool Tensor, shape (T, S)

    Returns
    -------
    Tensor
        Nats, of the bins; a torsion between two counts as both by its nearness.
    """
    bins = scores.shape[-1]
    likely = torch.log_softmax(scores[wanted], -1)
    place = torch.remainder(torsions[wanted] * (bins / (2 * math.pi)), bins)
    low = place.floor()
    share = (place - low).unsqueeze(1)
    low = low.long().unsqueeze(1) % bins
    found = likely.gather(1, low) * (1 - share) + likely.gather(1, (low + 1) % bins) * share
    return -found.sum() / max(1, len(found))
