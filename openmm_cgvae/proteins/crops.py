"""Parts of large molecules that are trained on at once."""

import numpy as np

from openmm_cgvae.proteins.chains import Chain

__all__ = ["CROP", "cropped"]

# Residues of a crop.
CROP = 600
# Distance in Angstrom to the outermost residue of a crop, from which on a residue's surroundings are in it: those that
# are seen directly, the nearest 24, reach so far.
MARGIN = 10.0


def cropped(chain: Chain, rng: np.random.Generator, size: int = CROP) -> tuple[Chain, np.ndarray]:
    """Residues about a random one, and which of them have their surroundings.

    Parameters
    ----------
    chain : Chain
    rng : numpy.random.Generator
        Not used for a chain that needs no crop.
    size : int

    Returns
    -------
    chain : Chain
        Of `size` residues, in their order, or the chain itself if it has no more.
    inner : bool array, shape (N,)
        Residues to learn from.
    """
    n = len(chain.residue_types)
    if n <= size:
        return chain, np.ones(n, dtype=bool)
    places = chain.atoms[:, 1]
    distance = np.linalg.norm(places - places[rng.integers(n)], axis=1)
    kept = np.sort(np.argsort(distance, kind="stable")[:size])
    # At least the residue in the middle.
    inner = distance[kept] <= max(0.0, distance[kept].max() - MARGIN)
    connected = chain.connected[kept] & (np.diff(kept, prepend=-2) == 1)
    return Chain(chain.name, chain.residue_types[kept], chain.atoms[kept], chain.mask[kept], connected), inner
