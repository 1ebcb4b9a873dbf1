"""Whether beads are in the model's order, told by their distances: for files and runs without names to tell it."""

import itertools
from collections import defaultdict

import numpy as np

__all__ = ["BeadOrder"]

# Score below which the beads of a frame are no molecule of the model, and that of several frames on average.
LEAST_SCORE, LEAST_MEAN = 0.35, 0.6
# By how much another order has to be nearer to training.
CLEARLY = 0.12
# Half the range of a distance is this much of it at least: CG force fields may have softer bonds than training had.
SOFTNESS = 0.08
# Squared half ranges beyond which a distance counts no further.
FARTHEST = 9.0
# Beads up to which every two are tried in each other's place, and frames that are looked at for it.
ALL_PAIRS, FRAMES = 40, 10


class BeadOrder:
    """Scores beads by their distances one and two bonds apart, which conformations hardly change.

    A molecule whose two ends are alike in these distances cannot be told from its reverse.

    Parameters
    ----------
    n_beads : int
    bead_bonds : numpy.ndarray of int, shape (m, 2)
    potential : dict or None
        ``CGPotential.to_dict`` of the model, which holds the range of every distance in training.
    """

    def __init__(self, n_beads, bead_bonds, potential):
        self._n_beads = n_beads
        self.pairs = np.zeros((0, 2), dtype=np.int64)
        if potential is None:
            return
        near = _near_pairs(np.asarray(bead_bonds).tolist())
        terms = potential["distances"]
        rows = [k for k, pair in enumerate(terms["beads"]) if tuple(sorted(pair)) in near]
        tables = np.array([terms["tables"][k] for k in rows], dtype=np.int64)
        self.pairs = np.array([terms["beads"][k] for k in rows], dtype=np.int64).reshape(-1, 2)
        lower, upper = (np.array(terms[name], dtype=float)[tables] for name in ("lower", "upper"))
        self._centre = (lower + upper) / 2
        self._half = np.maximum((upper - lower) / 2, SOFTNESS * self._centre)

    def scores(self, beads):
        """Scores of beads (f, N, 3) in nm: (f,), 1 of distances at the middle of training's, 0 of those far off."""
        if not len(self.pairs):
            return np.ones(len(beads))
        return 1 - self._off(beads).mean(1) / FARTHEST

    def fault(self, beads):
        """What is wrong with beads (f, N, 3): the first frame that is, and what to say of it; None if nothing is."""
        scores = self.scores(beads)
        bad = np.flatnonzero(~(scores >= LEAST_SCORE))
        if bad.size:
            return int(bad[0]), self._worst(beads[bad[0]])
        some = beads[np.unique(np.linspace(0, len(beads) - 1, FRAMES).astype(int))] if len(beads) else beads
        own = self.scores(some).mean() if len(some) else 1.0
        if own > 1 - CLEARLY:
            return None
        if own < LEAST_MEAN:
            return 0, self._worst(beads[0])
        better = max(
            ((self.scores(some[:, order]).mean(), order) for order in self._others()), key=lambda pair: pair[0]
        )
        if better[0] - own < CLEARLY:
            return None
        moved = [k for k, bead in enumerate(better[1]) if bead != k]
        what = f"{moved[0]} and {moved[1]} in each other's place" if len(moved) == 2 else "in the reverse order"
        return 0, f"beads {what} would be nearer to training"

    def _off(self, beads):
        i, j = self.pairs.T
        distances = np.linalg.norm(beads[:, i] - beads[:, j], axis=-1)
        return np.minimum(((distances - self._centre) / self._half) ** 2, FARTHEST)

    def _worst(self, beads):
        k = int(np.argmax(self._off(beads[None])[0]))
        i, j = self.pairs[k]
        low, high = self._centre[k] - self._half[k], self._centre[k] + self._half[k]
        distance = np.linalg.norm(beads[i] - beads[j])
        return f"beads {i} and {j} are {distance:.3g} nm apart, {low:.3g} to {high:.3g} in training"

    def _others(self):
        """Orders in which two beads have changed places, and the reverse."""
        n = self._n_beads
        pairs = itertools.combinations(range(n), 2) if n <= ALL_PAIRS else itertools.pairwise(range(n))
        for i, j in pairs:
            order = list(range(n))
            order[i], order[j] = j, i
            yield order
        yield list(range(n))[::-1]


def _near_pairs(bonds):
    """Pairs one and two bonds apart, sorted within."""
    partners = defaultdict(set)
    for i, j in bonds:
        partners[i].add(j)
        partners[j].add(i)
    two = (pair for own in partners.values() for pair in itertools.combinations(sorted(own), 2))
    return {tuple(sorted(bond)) for bond in bonds} | set(two)
