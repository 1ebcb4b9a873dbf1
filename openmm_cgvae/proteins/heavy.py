"""Heavy atoms of proteins as a bond graph: typed pairs and centres whose geometry is bounded."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS, HEAVY_ATOMS, N_SLOTS, VARIANT_TYPES, template

__all__ = ["FARTHEST", "HeavyGraph", "heavy_graph", "linked_codes"]

# Atoms beyond the residue before its own: where the slots of the residue before, and of a disulfide's other, begin.
BEFORE = N_SLOTS
CA, C, N, O, CD, SG = 1, 2, 0, 3, 6, 5  # noqa: E741
_WIDTH = 64
# Bonds between the atoms of a pair, at most: over 4 bonds, atoms come closer than others do.
FARTHEST = 4


@dataclass(frozen=True)
class HeavyGraph:
    """Bounded pairs and shapes of heavy atoms, each with a code that is the same in every protein.

    Parameters
    ----------
    residue, slot : int array, shape (h,)
        Of every atom; atoms are in the order of residues and slots.
    pairs : int array, shape (p, 2)
        Up to 4 bonds apart over a residue and the one before, first atom before the second.
    hops : int array, shape (p,)
        Bonds between them.
    pair_codes : int array, shape (p,)
    shapes : int array, shape (s, 4)
        A centre and three of its neighbours.
    shape_codes : int array, shape (s,)
    elements : int array, shape (h,)
        0 to 3 for C, N, O and S.
    """

    residue: np.ndarray
    slot: np.ndarray
    pairs: np.ndarray
    hops: np.ndarray
    pair_codes: np.ndarray
    shapes: np.ndarray
    shape_codes: np.ndarray
    elements: np.ndarray


@cache
def _bonded(kind: int, before: int) -> tuple:
    """Bonds of a residue, in slots, and the link to the residue before (a type, -1 for none), whose slots follow."""
    # Variants differ in hydrogens only.
    residue = template(next(name for name, number in VARIANT_TYPES.items() if number == kind))
    bonds = [sorted(residue.slots[list(pair)].tolist()) for pair in residue.bonds.tolist()]
    bonds = [tuple(pair) for pair in bonds if pair[0] >= 0]
    if before >= 0:
        bonds.append((N, BEFORE + C))
        bonds += [(BEFORE + i, BEFORE + j) for i, j in _bonded(before, -1)]
    return tuple(bonds)


@cache
def _templates(kind: int, before: int):
    """Pairs, hops and shapes that hold an atom of this residue, and of the one before only over the link."""
    bonds = _bonded(kind, before)
    neighbours: dict[int, set] = {}
    for i, j in bonds:
        neighbours.setdefault(i, set()).add(j)
        neighbours.setdefault(j, set()).add(i)
    pairs, hops = [], []
    for start in sorted(neighbours):
        reached, edge = {start: 0}, [start]
        for hop in range(1, FARTHEST + 1):
            edge = sorted({j for i in edge for j in neighbours[i]} - set(reached))
            reached |= dict.fromkeys(edge, hop)
        for stop, hop in reached.items():
            own, other = min(start, stop), max(start, stop)
            # Pairs of the residue before are its own.
            if start < stop and hop and own < BEFORE:
                pairs.append((own, other))
                hops.append(hop)
    shapes = []
    for centre, around in sorted(neighbours.items()):
        # The carbonyl of the residue before is whole only with this one.
        mine = centre < BEFORE or centre == BEFORE + C
        if mine and len(around) >= 3 and any(j < BEFORE for j in (centre, *around)):
            shapes.append((centre, *sorted(around)[:3]))
    rows = (np.array(part, dtype=np.int64) for part in (pairs, hops, shapes))
    pairs, hops, shapes = rows
    return pairs.reshape(-1, 2), hops, shapes.reshape(-1, 4)


@cache
def _numbers():
    """Atoms of every type that come before each slot, and element of every slot."""
    present = np.array([[k < len(names) for k in range(N_SLOTS)] for names in HEAVY_ATOMS])
    elements = np.array([["CNOS".index(n[0]) for n in names] + [0] * (N_SLOTS - len(names)) for names in HEAVY_ATOMS])
    return present, elements


def heavy_graph(types: np.ndarray, connected: np.ndarray, disulfides: np.ndarray | None = None) -> HeavyGraph:
    """The `HeavyGraph` of residues after one another, with all their heavy atoms.

    Parameters
    ----------
    types : int array, shape (N,)
    connected : bool array, shape (N,)
        Bond to the residue before.
    disulfides : int array, shape (d, 2), optional
        Residues.
    """
    present, elements = _numbers()
    first = np.cumsum(present.sum(1)[types]) - present.sum(1)[types]
    residue, slot = np.nonzero(present[types])
    before = np.where(connected, np.roll(types, 1), -1)
    keys = types * 32 + before + 1
    parts = []
    for key in np.unique(keys):
        rows = np.flatnonzero(keys == key)
        kind, previous = int(key) // 32, int(key) % 32 - 1
        pairs, hops, shapes = _templates(kind, previous)
        parts.append(
            (
                _atoms(pairs, rows, first),
                np.tile(hops, len(rows)),
                np.tile(_code(pairs, kind, previous), len(rows)),
                _atoms(shapes, rows, first),
                np.tile(_code(shapes, kind, previous), len(rows)),
            )
        )
    pairs, hops, pair_codes, shapes, shape_codes = (np.concatenate(column) for column in zip(*parts, strict=True))
    if disulfides is not None and len(disulfides):
        bridge, bridge_hops, bridge_codes = _bridges(np.asarray(disulfides), first)
        pairs, hops = np.concatenate([pairs, bridge]), np.concatenate([hops, bridge_hops])
        pair_codes = np.concatenate([pair_codes, bridge_codes])
    pairs = np.sort(pairs, axis=1)
    return HeavyGraph(residue, slot, pairs, hops, pair_codes, shapes, shape_codes, elements[types[residue], slot])


def _atoms(slots, rows, first):
    """Atoms of template rows (t, k) in slots, for every residue of `rows`, (rows t, k)."""
    shift = np.where(slots >= BEFORE, 1, 0)
    return (first[rows[:, None, None] - shift] + slots - shift * BEFORE).reshape(-1, slots.shape[1])


def _code(slots, kind, before):
    """Code of each row of slots; a row over both residues depends on whether the second is proline."""
    both = (slots >= BEFORE).any(1)
    # Across a link only the atoms matter, and whether it is proline's or glycine's.
    here = np.where(both, 20 + (AMINO_ACIDS[kind] == "P"), kind)
    code = here.astype(np.int64)
    for column in slots.T:
        code = code * _WIDTH + column
    return code * 8 + slots.shape[1]


def linked_codes(codes):
    """Pair codes whose atoms belong to two residues."""
    kind = codes // 8 // _WIDTH**2
    return codes[(codes > 0) & (kind >= len(AMINO_ACIDS))]


def _bridges(residues, first):
    """Pairs across disulfide bonds, up to three bonds apart."""
    a, b = first[residues[:, 0]], first[residues[:, 1]]
    cb, sg = SG - 1, SG
    slots = ((sg, sg), (cb, sg), (sg, cb), (cb, cb), (CA, sg), (sg, CA))
    pairs = np.stack([np.stack([a + i, b + j], 1) for i, j in slots], 1)
    hops, codes = np.array([1, 2, 2, 3, 3, 3]), np.array([-1, -2, -2, -3, -4, -4])
    return pairs.reshape(-1, 2), np.tile(hops, len(residues)), np.tile(codes, len(residues))
