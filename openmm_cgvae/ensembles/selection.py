"""Which of many sampled conformers are kept: low in energy, and each but once."""

from typing import Any

import numpy as np

from openmm_cgvae.core.units import BOLTZMANN_KJ_PER_MOL_K

__all__ = ["chosen_conformers"]

# K of the Boltzmann weights that conformers are drawn with.
KELVIN = 300.0
# Heavy-atom RMSD in Angstrom below which two samples are one, as long as there are others.
ALIKE = 0.3
# kJ/mol above the lowest sample from which on others are taken only where there are no more below it, alike or not.
HIGH = 60.0


def chosen_conformers(mol: Any, positions: np.ndarray, energies: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Draw n of S conformers with Boltzmann weights, without replacement: low ones unlike the drawn ones first.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
    positions : array, shape (S, N, 3)
        Angstrom.
    energies : array, shape (S,)
        kJ/mol.
    n : int
        At most S.
    seed : int

    Returns
    -------
    numpy.ndarray of int, shape (n,)
    """
    from openmm_cgvae.chemistry.symmetry import heavy_symmetries
    from openmm_cgvae.metrics.pairrmsd import pair_rmsd

    rng = np.random.default_rng((seed, 1))
    # The largest of weights with Gumbel noise are draws without replacement.
    keys = -np.asarray(energies, dtype=np.float64) / (BOLTZMANN_KJ_PER_MOL_K * KELVIN) + rng.gumbel(size=len(energies))
    order = np.argsort(-keys, kind="stable")
    symmetries = heavy_symmetries(mol, 64)
    high = energies > energies.min(initial=np.inf) + HIGH
    kept, alike = [], []
    for k in order[~high[order]].tolist():
        if len(kept) == n:
            break
        seen = kept and pair_rmsd(positions[[k]], positions[kept], symmetries).min() < ALIKE
        (alike if seen else kept).append(k)
    return np.array((kept + alike + order[high[order]].tolist())[:n])
