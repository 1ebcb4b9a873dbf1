"""How torsions of proteins are distributed over samples, against molecular dynamics of the same proteins."""

import numpy as np

from openmm_cgvae.metrics.distribution import jensen_shannon_with_floor
from openmm_cgvae.metrics.peptides import backbone_torsions
from openmm_cgvae.metrics.residueshapes import HALF_TURN_CHI2
from openmm_cgvae.metrics.rotamers import TORSIONS, side_chain_torsions

__all__ = ["protein_torsion_divergence"]

BINS = 36
NAMES = ("phi", "psi", "omega", *(f"chi{k + 1}" for k in range(TORSIONS)))


def protein_torsion_divergence(types, samples, reference, mask, connected, runs=None, splits=4, seed=0):
    """Compare the distribution of each torsion of one protein with that of reference frames.

    Parameters
    ----------
    types : numpy.ndarray of int, shape (N,)
    samples : numpy.ndarray, shape (s, N, 14, 3)
        Built on the beads of frames drawn as those of the reference are.
    reference : numpy.ndarray, shape (r, N, 14, 3)
    mask : numpy.ndarray of bool, shape (N, 14)
    connected : numpy.ndarray of bool, shape (N,)
    runs : array_like, shape (r,), optional
        Independent run of each reference frame.
    splits, seed
        As in `jensen_shannon_with_floor`.

    Returns
    -------
    dict of str to dict
        For ``phi``, ``psi``, ``omega``, ``chi1`` to ``chi4``: ``divergence`` and ``floor``, Jensen-Shannon in nats at
        10 degrees a bin, means over the ``residues`` that have it; chi2 of Phe, Tyr and Asp modulo 180 degrees.

    Raises
    ------
    DataError
        If there is no sample or there are fewer than two runs.
    """
    both = [
        np.concatenate([backbone_torsions(x, mask, connected), side_chain_torsions(types, x, mask)], axis=-1)
        for x in (np.asarray(samples), np.asarray(reference))
    ]
    found = {}
    for k, name in enumerate(NAMES):
        rows = []
        for i in np.flatnonzero(np.isfinite(both[1][0, :, k])):
            half = name == "chi2" and HALF_TURN_CHI2[types[i]]
            limit = np.pi / 2 if half else np.pi
            histogram = {"bins": BINS // 2 if half else BINS, "range": (-limit, limit)}
            own, other = (x[:, i, k] for x in both)
            rows.append(jensen_shannon_with_floor(own, other, runs, splits, seed, **histogram))
        if rows:
            divergence, floor = np.mean(rows, axis=0)
            found[name] = {"divergence": float(divergence), "floor": float(floor), "residues": len(rows)}
    return found
