"""Projection of local geometry and contacts of any protein's heavy atoms into the ranges seen in crystals."""

import numpy as np
import torch

from openmm_cgvae.geometry.bounds import BoundsProjection
from openmm_cgvae.geometry.neighbours import listed_pairs
from openmm_cgvae.geometry.vectors import Recentring
from openmm_cgvae.proteins.heavy import FARTHEST, HeavyGraph, linked_codes

__all__ = ["HeavyBounds", "bound_tables", "measured_bounds"]

# Fraction of the crystals' pairs outside a bound, on either side, and least width of a bound in Angstrom.
TAIL, LEAST = 0.002, 0.04
# Crystal bonds that deviate by more than this fraction are errors, such as selenium modelled as sulphur.
STRETCH = 0.06
# Pairs 3 bonds apart whose distance spreads less than this, in Angstrom, span a bond that does not rotate.
RIGID = 0.08
# Contacts per 1,000 atoms of crystals that are closer than the closest approach of their kind: of pairs farther than 4
# bonds apart, and of nearer ones, whose contacts bonds bring about.
CLOSER = (0.3, 0.2)
# Least closest approach of pairs farther apart, in Angstrom: crystals hold few atoms closer than a hydrogen bond.
HYDROGEN_BOND = 2.6
N_KINDS = 4
FAR = FARTHEST + 1
# Buffers that belong to the protein, not to the tables.
OF_PROTEIN = ("near_codes", "near_contact", "pairs", "shapes", "kinds", "corner_atoms", "rows", "weight_rows", "signs",
              "offsets", "bound_types", "shape_types")  # fmt: skip
# Unresolvable contacts must not break bonds.
CONTACT_SHARE = 0.3
# Fraction of a bead's displacement that is removed where beads may move; the rest resolves remaining violations.
RESISTANCE = 0.7


class HeavyBounds(BoundsProjection):
    """`BoundsProjection` whose bounds are looked up by code, so that one table serves every protein.

    Parameters
    ----------
    sweeps : int
    tables : dict of str to Tensor
        `measured_bounds`.
    """

    def __init__(self, sweeps: int, tables: dict[str, torch.Tensor]):
        torch.nn.Module.__init__(self)
        self._set_sweeps(sweeps)
        self.recentred = Recentring()
        self._add_tables(len(tables["pair_codes"]), len(tables["shape_codes"]), N_KINDS)
        for name in ("lower", "upper", "shape_lower", "shape_upper"):
            getattr(self, name).copy_(tables[name])
        self.contacts[:2].copy_(tables["contacts"])
        self.register_buffer("pair_codes", tables["pair_codes"])
        self.register_buffer("shape_codes", tables["shape_codes"])
        self.contact_share = CONTACT_SHARE
        # Of recentring: more where beads share atoms.
        self.passes = 1
        empty, none = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
        self.bind_graph(torch.zeros(0, 2, dtype=torch.int64), empty, torch.zeros(0, 2, dtype=torch.int64),
                        np.zeros((0, 4), dtype=np.int64), np.zeros(0, dtype=np.int64))  # fmt: skip
        self.n_volumes = 0
        self.register_buffer("bound_types", empty, persistent=False)
        self.register_buffer("shape_types", empty.clone(), persistent=False)
        self.recentred.bind_weights(empty, empty, none, empty, 0)
        # Of the protein: they do not belong to the weights.
        self._non_persistent_buffers_set |= set(OF_PROTEIN)

    def kept(self, move: torch.Tensor, held: float = 1.0) -> torch.Tensor:
        """Remove the part of a displacement (n, 3, B) that moves the beads, or a share `held` of it."""
        recentred = self.recentred(move)
        for _ in range(self.passes - 1):
            recentred = self.recentred(recentred)
        return recentred if held == 1.0 else torch.lerp(move, recentred, held)

    def take(self, molecule: dict[str, torch.Tensor]) -> None:
        """Take the protein of another module of this class, as its `tensors` gives it."""
        self.n_atoms, self.n_volumes = int(molecule["bounds.n_atoms"]), int(molecule["bounds.n_volumes"])
        self.near_codes, self.near_contact = molecule["bounds.near_codes"], molecule["bounds.near_contact"]
        self.pairs, self.shapes, self.kinds = (
            molecule["bounds.pairs"],
            molecule["bounds.shapes"],
            molecule["bounds.kinds"],
        )
        self.corner_atoms, self.rows = molecule["bounds.corner_atoms"], molecule["bounds.rows"]
        self.weight_rows, self.signs = molecule["bounds.weight_rows"], molecule["bounds.signs"]
        self.offsets, self.bound_types = molecule["bounds.offsets"], molecule["bounds.bound_types"]
        self.shape_types = molecule["bounds.shape_types"]
        self.recentred.take(molecule, "bounds.recentred.")

    @torch.jit.unused
    def tensors(self) -> dict[str, torch.Tensor]:
        """Tensors of this module that belong to the protein, for `take`."""
        found = {f"bounds.{name}": getattr(self, name) for name in OF_PROTEIN}
        found |= {f"bounds.recentred.{name}": buffer for name, buffer in self.recentred.named_buffers()}
        return found | {f"bounds.{name}": torch.tensor(getattr(self, name)) for name in ("n_atoms", "n_volumes")}

    @torch.jit.unused
    def bind_protein(self, graph: HeavyGraph, weights, assignment) -> None:
        """Take another protein.

        Parameters
        ----------
        graph : HeavyGraph
        weights : tuple of array
            Bead, heavy atom and weight of M, sorted by bead.
        assignment : int array, shape (h,)
            Bead that every heavy atom moves with.
        """
        near, hops = torch.as_tensor(graph.pairs), torch.as_tensor(graph.hops)
        place, known = _rows(self.pair_codes, graph.pair_codes)
        bounded = known & ((hops < 3) | torch.isfinite(self.upper[place]))
        # A shape that no crystal has is unbounded.
        shape_place, shape_known = _rows(self.shape_codes, graph.shape_codes)
        shapes = graph.shapes[shape_known.numpy()]
        self.n_volumes = len(shapes)
        self.bind_graph(near, hops, near[bounded], shapes, graph.elements)
        self.register_buffer("bound_types", place[bounded], persistent=False)
        self.register_buffer("shape_types", shape_place[shape_known], persistent=False)
        beads, atoms, share = (torch.as_tensor(part) for part in weights)
        self.recentred.bind_weights(beads, atoms, share, torch.as_tensor(assignment), int(beads.max()) + 1)


def _rows(codes: torch.Tensor, wanted) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of codes in a sorted table, and whether they are in it."""
    wanted = torch.as_tensor(wanted)
    place = torch.searchsorted(codes, wanted).clamp_max(len(codes) - 1)
    return place, codes[place] == wanted


def measured_bounds(structures, tail: float = TAIL) -> dict[str, torch.Tensor]:
    """Bounds by code, from crystals.

    Parameters
    ----------
    structures : iterable of (HeavyGraph, array of shape (h, 3), bool array of shape (h,))
        Graph, atoms in Angstrom and which are there.

    Returns
    -------
    dict of str to Tensor
        ``pair_codes``, ``lower``, ``upper`` in Angstrom, infinite for pairs that only keep a distance;
        ``shape_codes``, ``shape_lower``, ``shape_upper`` in Angstrom^3; ``contacts`` (2, 4, 4) in Angstrom, the closest
        approach of C, N, O and S farther than 4 bonds apart, and at 3 and 4.
    """
    pairs, shapes, contacts = [], [], []
    n_atoms = 0
    for graph, x, there in structures:
        ok = there[graph.pairs].all(1)
        length = np.linalg.norm(x[graph.pairs[:, 0]] - x[graph.pairs[:, 1]], axis=1)
        pairs.append((graph.pair_codes[ok], length[ok], graph.hops[ok]))
        ok = there[graph.shapes].all(1)
        centre, a, b, c = x[graph.shapes[ok]].swapaxes(0, 1)
        volume = np.einsum("ni,ni->n", a - centre, np.cross(b - centre, c - centre))
        shapes.append((graph.shape_codes[ok], volume))
        contacts.append(_contacts(graph, x, there))
        n_atoms += int(there.sum())
    code, length, hops = (np.concatenate(column) for column in zip(*pairs, strict=True))
    codes, lower, upper = _quantiles(code, length, tail)
    rigid = np.ones(len(codes), dtype=bool)
    rigid[np.searchsorted(codes, code[hops > 2])] = False
    three = np.zeros(len(codes), dtype=bool)
    three[np.searchsorted(codes, code[hops == 3])] = True
    # Across a peptide bond the distance of C-alphas and two angles say whether it is cis.
    rigid |= three & (upper - lower < 6 * RIGID) & ~np.isin(codes, linked_codes(codes))
    single = np.zeros(len(codes), dtype=bool)
    single[np.searchsorted(codes, code[hops == 1])] = True
    median = _quantiles(code, length, 0.5)[1]
    lower = np.where(single, np.maximum(lower, (1 - STRETCH) * median), lower)
    upper = np.where(single, np.minimum(upper, (1 + STRETCH) * median), upper)
    wide = LEAST / 2
    middle = 0.5 * (lower + upper)
    lower, upper = np.minimum(lower, middle - wide), np.maximum(upper, middle + wide)
    lower, upper = np.where(rigid, lower, 0.0), np.where(rigid, upper, np.inf)
    shape_codes, shape_lower, shape_upper = _quantiles(*(np.concatenate(c) for c in zip(*shapes, strict=True)), tail)
    tables = {
        "pair_codes": codes, "lower": lower, "upper": upper, "shape_codes": shape_codes, "shape_lower": shape_lower,
        "shape_upper": shape_upper, "contacts": _closest(np.concatenate(contacts), n_atoms),
    }  # fmt: skip
    return {k: torch.as_tensor(v, dtype=torch.int64 if "codes" in k else torch.float32) for k, v in tables.items()}


def bound_tables(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tables as `measured_bounds` gives them, from the state of a `ProteinModel`."""
    names = ("pair_codes", "lower", "upper", "shape_codes", "shape_lower", "shape_upper")
    return {name: state[f"bounds.{name}"] for name in names} | {"contacts": state["bounds.contacts"][:2]}


def _quantiles(code, value, tail):
    """Sorted codes, and the quantiles of their values that leave out `tail` on either side."""
    order = np.lexsort((value, code))
    codes, start, count = np.unique(code[order], return_index=True, return_counts=True)
    ordered = value[order]
    off = np.floor(tail * count).astype(int)
    return codes, ordered[start + off], ordered[start + count - 1 - off]


def _contacts(graph, x, there, reach=4.0):
    """Kinds, whether few bonds apart, and distance of the pairs within reach 3 or more bonds apart, (m, 4)."""
    rows = np.flatnonzero(there)
    found = listed_pairs(torch.as_tensor(x[rows]).unsqueeze(0), reach)[:, 1:].numpy()
    close = rows[found[found[:, 0] < found[:, 1]]]
    n = len(x)
    codes = graph.pairs[:, 0] * n + graph.pairs[:, 1]
    order = np.argsort(codes)
    own = close.min(1) * n + close.max(1)
    place = np.searchsorted(codes[order], own).clip(max=len(codes) - 1)
    hops = np.where(codes[order][place] == own, graph.hops[order][place], FAR)
    kinds = np.sort(graph.elements[close], axis=1)
    length = np.linalg.norm(x[close[:, 0]] - x[close[:, 1]], axis=1)
    found = np.stack([kinds[:, 0], kinds[:, 1], hops < FAR, length], axis=1)
    return found[hops >= 3]


def _closest(contacts, n_atoms):
    """Closest approach (2, 4, 4): farther than 4 bonds apart, and at 3 and 4."""
    table = np.zeros((2, N_KINDS, N_KINDS))
    for near in (0, 1):
        for a in range(N_KINDS):
            for b in range(a, N_KINDS):
                chosen = (contacts[:, 0] == a) & (contacts[:, 1] == b) & (contacts[:, 2] == near)
                length = np.sort(contacts[chosen, 3])
                if len(length):
                    allowed = int(CLOSER[near] * 1e-3 * n_atoms / N_KINDS)
                    # The rarer a kind, the fewer of its contacts are errors of the crystals.
                    closest = length[min(allowed, len(length) // 200)]
                    table[near, a, b] = table[near, b, a] = closest if near else max(closest, HYDROGEN_BOND)
    return table
