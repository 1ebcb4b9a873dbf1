"""Whether beads are in the model's order, told by their distances: for files and runs without names to tell it."""

import math
from collections import defaultdict
from itertools import combinations
from typing import NamedTuple

import numpy as np

__all__ = ["BeadOrder"]

# All limits are for `FRAMES` frames and for one, of which less is known; `docs/limits.md` has what they are from.
# Average score below which beads are no molecule of the model, and by how much more it is doubtful. Beads on bonds
# softer than any CG force field's, 0.057 nm wide, that are 10 % too long score 0.48 and, one frame, 0.21 at least.
LEAST_SCORE, DOUBT = (0.35, 0.1), 0.25
# By how much the distances of some beads are nearer to training in another order, or another unit, where they are in
# it; at half of that it is doubtful. Those beads reach 0.03 and, one frame, 0.35.
CLEARLY = 0.15, 0.5
# Share of `FARTHEST` that one distance has to be off for other orders to be tried.
SUSPECT = 0.2
# Half the range of a distance is this much of it at least: CG force fields may have softer bonds than training had.
SOFTNESS = 0.08
# Squared half ranges beyond which a distance counts no further.
FARTHEST = 9.0
# Frames that are looked at for it.
FRAMES = 10
UNITS = {10.0: "Angstrom taken for nm", 0.1: "nm taken for Angstrom"}


class Fault(NamedTuple):
    """What is wrong with beads.

    Parameters
    ----------
    row : int
        The first frame that it is seen in.
    text : str
    certain : bool
        Whether the beads cannot be those of the model; else it is likely.
    """

    row: int
    text: str
    certain: bool


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
        """The `Fault` of beads (f, N, 3) in nm, None if there is none."""
        if not len(self.pairs) or not len(beads):
            return None
        bad = np.flatnonzero(~(self.scores(beads) >= LEAST_SCORE[1]))
        some = beads[np.unique(np.linspace(0, len(beads) - 1, FRAMES).astype(int))]
        off = self._off(some).mean(0) / FARTHEST
        if not bad.size and off.max() < SUSPECT:
            return None
        gain, text = self._better(some, off)
        clearly, least = _between(CLEARLY, len(some)), _between(LEAST_SCORE, len(some))
        if gain >= clearly / 2:
            return Fault(0, text, bool(gain >= clearly))
        if bad.size:
            return Fault(int(bad[0]), self._worst(beads[bad[0]]), True)
        score = 1 - off.mean()
        return Fault(0, self._worst(beads[0]), bool(score < least)) if score < least + DOUBT else None

    def _better(self, some, off):
        """By how much another order or unit is nearer to training, of the distances that it changes, and which."""
        found = [
            (off.mean() - self._off(some / factor).mean() / FARTHEST, f"positions look like {what}")
            for factor, what in UNITS.items()
        ]
        for order, what in self._others(self.pairs[int(off.argmax())]):
            changed = (np.array(order) != np.arange(self._n_beads))[self.pairs].any(1)
            if changed.any():
                other = self._off(some[:, order])[:, changed].mean() / FARTHEST
                found.append((off[changed].mean() - other, f"beads {what} would be nearer to training"))
        return max(found)

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

    def _others(self, worst):
        """Orders in which one of two beads has changed places with another, and the reverse, and what to call them."""
        for i in worst:
            for j in range(self._n_beads):
                if i != j:
                    order = list(range(self._n_beads))
                    order[i], order[j] = j, i
                    yield order, f"{min(i, j)} and {max(i, j)} in each other's place"
        yield list(range(self._n_beads))[::-1], "in the reverse order"


def _between(limits, n_frames):
    """The limit for so many frames, 1 to `FRAMES`."""
    of_many, of_one = limits
    return of_one + (of_many - of_one) * math.log(n_frames, FRAMES)


def _near_pairs(bonds):
    """Pairs one and two bonds apart, sorted within."""
    partners = defaultdict(set)
    for i, j in bonds:
        partners[i].add(j)
        partners[j].add(i)
    two = (pair for own in partners.values() for pair in combinations(sorted(own), 2))
    return {tuple(sorted(bond)) for bond in bonds} | set(two)
