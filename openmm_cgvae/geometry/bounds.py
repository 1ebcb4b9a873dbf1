"""Projects local geometry into the range seen in training, with M x = X kept."""

import numpy as np
import torch
from torch import nn

from openmm_cgvae.geometry.images import image_pairs, lattice_vectors
from openmm_cgvae.geometry.neighbours import DENSE_ATOMS, listed_pairs, pairs_within
from openmm_cgvae.geometry.shapes import centres_with_neighbours, shapes_and_gradients, stiff_torsions
from openmm_cgvae.geometry.types import as_types, n_types
from openmm_cgvae.geometry.vectors import Recentring, segment_offsets, segment_sum, squared_length
from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["BoundsProjection"]

# Tolerance beyond the training range in Angstrom (for shapes, multiplied by their gradient).
SLACK_ANGSTROM = 0.02
# Pairs this much farther apart than their closest approach may collide during a round.
SKIN_ANGSTROM = 0.5
# A frame is done when nothing is farther out than this.
TOLERANCE_ANGSTROM = 1e-4
# Sweeps per round; the active frames and close pairs are updated after each round.
ROUND = 10
# Over-relaxation factor of the averaged corrections, and momentum (Polyak, USSR Comput. Math. Math. Phys. 4, 1, 1964)
# after the first rounds, in which most frames converge. A factor of 2.5, or momentum from the beginning, overshoots.
RELAXATION, MOMENTUM, STEADY_ROUNDS = 1.9, 0.6, 2
# Elements of the distance matrices, and atoms of the sweeps, that are computed at once.
MAX_ELEMENTS, MAX_ATOMS = 1 << 21, 1 << 16


def outside(value: torch.Tensor, lower: torch.Tensor, upper: torch.Tensor) -> torch.Tensor:
    """How much values are below (positive) or above (negative) their bounds."""
    return value.clamp(lower.to(value.dtype), upper.to(value.dtype)) - value


def frames_last(x: torch.Tensor) -> torch.Tensor:
    """(B, n, 3) to (n, 3, B): an index of atoms then copies rows of all frames."""
    return x.permute(1, 2, 0).contiguous()


class BoundsProjection(nn.Module):
    """Position-based constraints on decoded frames: the identity on good ones, otherwise rounds of Jacobi sweeps.

    Bounded are distances one and two bonds apart, those three bonds apart about a bond that hardly turns, and shapes:
    the signed volumes of atoms with three or four neighbours and the torsions about such a bond, to the range over the
    training frames; all other pairs keep the closest approach of their kinds. In a sweep every violated bound asks its
    atoms for the smallest displacements that satisfy it (Mueller et al., J. Vis. Commun. Image R. 18, 109, 2007); an
    atom moves by the mean of what it is asked, weighted by the violations, so that the result is continuous and does
    not depend on the order; overrelaxed, and with momentum in later rounds. Each bead is then recentred.

    Parameters
    ----------
    spec : MoleculeSpec
    sweeps : int
        At most; made in rounds of 10.
    """

    def __init__(self, spec: MoleculeSpec, sweeps: int):
        super().__init__()
        self._set_sweeps(sweeps)
        self.recentred = Recentring(spec)
        self.bind(spec)
        pairs, shapes = n_types(spec.bound_types, len(self.pairs)), n_types(spec.shape_types, len(self.shapes))
        self._add_tables(pairs, shapes, int(self.kinds.max()) + 1)

    @torch.jit.unused
    def _set_sweeps(self, sweeps: int) -> None:
        # TorchScript sees attributes, not the module's constants.
        self.rounds, self.sweeps = -(-sweeps // ROUND), ROUND
        self.relaxation, self.momentum, self.steady = RELAXATION, MOMENTUM, STEADY_ROUNDS
        self.skin, self.tolerance = SKIN_ANGSTROM, TOLERANCE_ANGSTROM
        self.max_elements, self.max_atoms = MAX_ELEMENTS, MAX_ATOMS
        self.dense_atoms = DENSE_ATOMS
        # Weight of a contact among what an atom is asked, relative to a bond's.
        self.contact_share = 1.0

    @torch.jit.unused
    def _add_tables(self, pairs: int, shapes: int, n_kinds: int) -> None:
        """Add empty tables of bounds for these numbers of pair types, shape types and atom kinds."""
        self.register_buffer("lower", torch.zeros(pairs))
        self.register_buffer("upper", torch.full((pairs,), torch.inf))
        self.register_buffer("shape_lower", torch.full((shapes,), -torch.inf))
        self.register_buffer("shape_upper", torch.full((shapes,), torch.inf))
        # Closest approach (farther than 3 bonds, 3 bonds, bounded); 0 where there is no bound.
        self.register_buffer("contacts", torch.zeros(3, n_kinds, n_kinds))

    def bind(self, spec: MoleculeSpec) -> None:
        """Take another molecule, whose types the tables have."""
        near, hops = torch.as_tensor(spec.near_pairs), torch.as_tensor(spec.near_hops)
        rigid = torch.as_tensor(spec.rigid_pairs)
        centres, torsions = centres_with_neighbours(spec), stiff_torsions(spec)
        self.n_volumes = len(centres)
        self.bind_graph(
            near, hops, torch.cat([near[hops < 3], rigid]), np.concatenate([centres, torsions]), spec.contact_kinds
        )
        self.register_buffer("bound_types", as_types(spec.bound_types, len(self.pairs)), persistent=False)
        self.register_buffer("shape_types", as_types(spec.shape_types, len(self.shapes)), persistent=False)
        self.recentred.bind(spec)

    @torch.jit.unused
    def bind_graph(self, near, hops, pairs, shapes, kinds) -> None:
        """Take the pairs up to 3 bonds apart with their bonds, the bounded pairs and shapes, and the kinds of atoms."""
        self.n_atoms = len(kinds)
        code = self.coded(near)
        order = torch.argsort(code)
        bounded = (hops < 3) | torch.isin(code, self.coded(pairs))
        self.register_buffer("near_codes", code[order])
        # Contacts of pairs three bonds apart are closer than others; bounded pairs have none.
        self.register_buffer("near_contact", torch.where(bounded, 2, 1)[order])
        self.register_buffer("pairs", pairs)
        self.register_buffer("shapes", torch.as_tensor(shapes))
        self.register_buffer("kinds", torch.as_tensor(kinds))
        self._list_demands(self.pairs, self.shapes)

    @torch.jit.unused
    def _list_demands(self, pairs: torch.Tensor, shapes: torch.Tensor) -> None:
        """List, for every atom, the rows of the corrections and weights that its bounds contribute.

        The second atom of a pair is pushed the other way.
        """
        p, c = pairs.shape[0], shapes.shape[0]
        pair, corner = torch.arange(p), torch.arange(4 * c)
        atoms, order = torch.sort(torch.cat([pairs[:, 0], pairs[:, 1], shapes.t().flatten()]), stable=True)
        signs = torch.cat([torch.ones(p), -torch.ones(p), torch.ones(4 * c)])
        self.register_buffer("corner_atoms", shapes.t().flatten(), persistent=False)
        self.register_buffer("rows", torch.cat([pair, pair, p + corner])[order], persistent=False)
        self.register_buffer("weight_rows", torch.cat([pair, pair, p + corner % max(c, 1)])[order], persistent=False)
        self.register_buffer("signs", signs[order], persistent=False)
        self.register_buffer("offsets", segment_offsets(atoms, self.n_atoms), persistent=False)

    def coded(self, pairs: torch.Tensor) -> torch.Tensor:
        """One number for each pair (p, 2), first atom before the second."""
        return pairs[:, 0] * self.n_atoms + pairs[:, 1]

    @torch.jit.unused
    def calibrate(self, x: torch.Tensor) -> None:
        """Take the bounds from training frames (frames, n, 3) in Angstrom."""
        closest = torch.full((self.n_atoms, self.n_atoms), torch.inf, device=x.device)
        distances, shapes = [], []
        for chunk in x.split(max(1, MAX_ELEMENTS // self.n_atoms**2)):
            closest = torch.minimum(closest, torch.cdist(chunk, chunk).amin(0))
            distances.append(torch.stack(self.lengths(chunk).aminmax(dim=0)))
            shapes.append(torch.stack(self.measure_shapes(chunk)[0].aminmax(dim=0)))
        distances, shapes = torch.stack(distances), torch.stack(shapes)
        lowest, highest = distances[:, 0].amin(0) - SLACK_ANGSTROM, distances[:, 1].amax(0) + SLACK_ANGSTROM
        self._widen(self.lower, self.upper, self.bound_types, lowest, highest)
        steepness = self.measure_shapes(x[:1])[1].square().sum((1, 3)).sqrt()[0]
        lowest = shapes[:, 0].amin(0) - SLACK_ANGSTROM * steepness
        highest = shapes[:, 1].amax(0) + SLACK_ANGSTROM * steepness
        self._widen(self.shape_lower, self.shape_upper, self.shape_types, lowest, highest)
        self._calibrate_contacts(closest)

    @torch.jit.unused
    def _widen(self, lower, upper, types, lowest, highest) -> None:
        """Set bounds to hold all that was seen of each type."""
        lower.copy_(lower.scatter_reduce(0, types, lowest.to(lower.dtype), "amin", include_self=False))
        upper.copy_(upper.scatter_reduce(0, types, highest.to(upper.dtype), "amax", include_self=False))

    @torch.jit.unused
    def _calibrate_contacts(self, closest: torch.Tensor) -> None:
        """Closest approach of kinds from that of all pairs (n, n)."""
        i, j = torch.triu_indices(self.n_atoms, self.n_atoms, 1, device=closest.device)
        n_kinds = self.contacts.shape[1]
        classes = (
            torch.zeros_like(closest, dtype=torch.int64).flatten().index_copy(0, self.near_codes, self.near_contact)
        )
        cell = (classes[i * self.n_atoms + j] * n_kinds + self.kinds[i]) * n_kinds + self.kinds[j]
        table = closest.new_full((3 * n_kinds * n_kinds,), torch.inf)
        table = table.scatter_reduce(0, cell, closest[i, j], "amin").reshape(3, n_kinds, n_kinds)
        table = torch.minimum(table, table.transpose(1, 2)) - SLACK_ANGSTROM
        # Kinds that never meet, and pairs with bounds of their own.
        table[~torch.isfinite(table)] = 0.0
        table[2] = 0.0
        self.contacts.copy_(table)

    def closest_approach(self) -> torch.Tensor:
        """Lower bounds of the distances of all pairs (n, n), i < j, in Angstrom; 0 where there is none."""
        i, j = self.near_codes // self.n_atoms, self.near_codes % self.n_atoms
        near = self.contacts[self.near_contact, self.kinds[i], self.kinds[j]]
        table = self.contacts[0].index_select(0, self.kinds).index_select(1, self.kinds)
        return torch.triu(table.flatten().index_copy(0, self.near_codes, near).view_as(table), diagonal=1)

    def closest_of(self, pairs: torch.Tensor) -> torch.Tensor:
        """As `closest_approach`, (m,), of the pairs of a `contact_list`."""
        i, j = pairs[:, 1], pairs[:, 2]
        code = i * self.n_atoms + j
        place = torch.searchsorted(self.near_codes, code).clamp_max(self.near_codes.shape[0] - 1)
        # No bonds lead to other images.
        own = (self.near_codes[place] == code) & (pairs[:, 3:] == 0).all(1)
        near = torch.where(own, self.near_contact[place], torch.zeros_like(place))
        return self.contacts[near, self.kinds[i], self.kinds[j]]

    def contact_list(self, x, box=None):
        # type: (Tensor, Optional[Tensor]) -> tuple[Tensor, Tensor]
        """Frame and atoms i < j of the pairs of x (B, n, 3) that collide or nearly so, and their bounds.

        (m, 3); with a box (B, 3, 3) in Angstrom (m, 6), lattice numbers behind, as `image_pairs` has them.
        """
        if box is not None or self.n_atoms > self.dense_atoms:
            reach = float(self.contacts.max()) + self.skin
            pairs = listed_pairs(x, reach) if box is None else image_pairs(x, reach, box)
            pairs = pairs[pairs[:, 1] < pairs[:, 2]]
            closest = self.closest_of(pairs).to(x.dtype)
            near = (closest > 0) & (self.separations(x, pairs, box) < closest + self.skin)
            return pairs[near], closest[near]
        lower = self.closest_approach().to(x.dtype)
        # Minus infinity where there is no bound, since rounding can make the squared distance of an atom from itself
        # negative.
        reach = torch.where(lower > 0, (lower + self.skin).square(), -torch.inf)
        pairs = pairs_within(x, reach, self.max_elements)
        return pairs, lower[pairs[:, 1], pairs[:, 2]]

    def renewed(self, contacts, closest, x, listed, box=None):
        # type: (Tensor, Tensor, Tensor, Tensor, Optional[Tensor]) -> tuple[Tensor, Tensor, Tensor]
        """The `contact_list`, and the positions (B, n, 3) it was made at, anew for frames that moved since."""
        moved = squared_length(x - listed).amax(1) > (0.25 * self.skin) ** 2
        new, bounds = self.contact_list(x[moved], None if box is None else box[moved])
        new[:, 0] = torch.nonzero(moved)[:, 0][new[:, 0]]
        kept = ~moved[contacts[:, 0]]
        contacts, closest = torch.cat([contacts[kept], new]), torch.cat([closest[kept], bounds])
        return contacts, closest, torch.where(moved[:, None, None], x, listed)

    def separations(self, x, contacts, box=None):
        # type: (Tensor, Tensor, Optional[Tensor]) -> Tensor
        """Distances (m,) of the atoms of x (B, n, 3) that a `contact_list` names."""
        flat, base = x.flatten(0, 1), contacts[:, 0] * self.n_atoms
        vector = flat.index_select(0, base + contacts[:, 1]) - flat.index_select(0, base + contacts[:, 2])
        if box is not None:
            vector = vector - lattice_vectors(contacts, box)
        return squared_length(vector).sqrt()

    def lengths(self, x: torch.Tensor) -> torch.Tensor:
        """Distances of the bounded pairs, (B, n, 3) to (B, p)."""
        vector = x.index_select(1, self.pairs[:, 0]) - x.index_select(1, self.pairs[:, 1])
        return squared_length(vector).add(1e-12).sqrt()

    def measure_shapes(self, x):
        # type: (Tensor) -> tuple[Tensor, Tensor]
        """Signed volumes and torsions (B, s) of x (B, n, 3), and their gradients (B, 4, s, 3) at the four atoms."""
        shape, gradient = shapes_and_gradients(self.corners(frames_last(x)), self.n_volumes)
        return shape.t(), gradient.permute(3, 0, 1, 2)

    def corners(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 3, B) to the four atoms of every shape (4, s, 3, B)."""
        return x.index_select(0, self.corner_atoms).unflatten(0, (4, -1))

    def length_errors(self, distance: torch.Tensor) -> torch.Tensor:
        """Violations of the bounded pairs (B, p): positive where too short, negative where too long."""
        return outside(distance, *self.bounds_of(self.lower, self.upper, self.bound_types))

    def shape_errors(self, shape: torch.Tensor) -> torch.Tensor:
        """Violations of the shapes (B, s): positive where too small, negative where too large."""
        return outside(shape, *self.bounds_of(self.shape_lower, self.shape_upper, self.shape_types))

    def bounds_of(
        self, lower: torch.Tensor, upper: torch.Tensor, types: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Bounds of each member from those of its type."""
        return lower.index_select(0, types), upper.index_select(0, types)

    def worst(self, x, contacts, closest, box=None):
        # type: (Tensor, Tensor, Tensor, Optional[Tensor]) -> Tensor
        """Largest violation of every frame in Angstrom, (B,), with its `contact_list`."""
        shape, gradient = self.measure_shapes(x)
        twist = self.shape_errors(shape).abs() / squared_length(gradient).sum(1).add(1e-6).sqrt()
        local = torch.cat([self.length_errors(self.lengths(x)).abs(), twist], dim=1).amax(1)
        return local.scatter_reduce(0, contacts[:, 0], closest - self.separations(x, contacts, box), "amax")

    def kept(self, move: torch.Tensor, held: float = 1.0) -> torch.Tensor:
        """Remove the part of a displacement (n, 3, B) that moves the beads, or a share `held` of it."""
        recentred = self.recentred(move)
        return recentred if held == 1.0 else torch.lerp(move, recentred, held)

    def relax(self, x, step, momentum, contacts, closest, held=1.0, box=None):
        # type: (Tensor, Tensor, float, Tensor, Tensor, float, Optional[Tensor]) -> tuple[Tensor, Tensor]
        """One round of sweeps on x (n, 3, B), which is laid out like that because bonds are the same in all frames.

        Its last displacement `step`, of which `momentum` is added to the next, is returned as well.
        """
        n, batch = x.shape[0], x.shape[2]
        # Where in (n, B), and in (n, 3, B), the atoms i, then the atoms j, of contacts are.
        atoms, frames = contacts[:, 1:3].t().flatten(), contacts[:, 0].repeat(2)
        places = atoms * batch + frames
        components = ((3 * atoms + torch.arange(3, device=x.device).unsqueeze(1)) * batch + frames).flatten()
        # With few frames the number of calls dominates, so constants are computed before the sweeps.
        apart = x.new_zeros(0) if box is None else lattice_vectors(contacts, box).t()
        signs = self.signs.to(x.dtype)
        first, second = self.pairs.unbind(1)
        lower, upper = self.bounds_of(self.lower.to(x.dtype), self.upper.to(x.dtype), self.bound_types)
        smallest, largest = self.bounds_of(self.shape_lower.to(x.dtype), self.shape_upper.to(x.dtype), self.shape_types)
        lower, upper, smallest, largest = lower[:, None], upper[:, None], smallest[:, None], largest[:, None]
        for _ in range(self.sweeps):
            vector = x.index_select(0, first) - x.index_select(0, second)
            distance = squared_length(vector, 1).add(1e-12).sqrt()
            error = distance.clamp(lower, upper) - distance
            weight = error.abs()
            push = (0.5 * weight * error / distance).unsqueeze(1) * vector
            shape, gradient = shapes_and_gradients(self.corners(x), self.n_volumes)
            slope = squared_length(gradient, 2).sum(0).add(1e-6)
            excess = shape.clamp(smallest, largest) - shape
            twist = excess.abs() / slope.sqrt()
            turn = gradient * (twist * excess / slope).unsqueeze(1)
            # Sum of the weighted corrections of every atom, and of the weights.
            asked = torch.cat([push, turn.flatten(0, 1)])
            asked = segment_sum(asked, self.rows, self.offsets, signs).flatten()
            weights = segment_sum(torch.cat([weight, twist]), self.weight_rows, self.offsets).flatten()
            ends = x.flatten().index_select(0, components).view(3, 2, -1)
            vector = ends[:, 0] - ends[:, 1]
            if box is not None:
                vector = vector - apart
            distance = squared_length(vector, 0).add(1e-12).sqrt()
            error = (closest - distance).clamp_min(0.0)
            weight = self.contact_share * error
            push = 0.5 * weight * error / distance * vector
            asked = asked.scatter_add(0, components, torch.cat([push, -push], dim=1).flatten())
            weights = weights.scatter_add(0, places, weight.repeat(2))
            move = asked.view_as(x) / weights.view(n, 1, batch).clamp_min(1e-12)
            step = self.kept(move, held).mul_(self.relaxation).add_(step, alpha=momentum)
            x = x + step
        return x, step

    def project(self, x, held=1.0, box=None):
        # type: (Tensor, float, Optional[Tensor]) -> Tensor
        """Project all frames at once; `forward` does it in chunks."""
        x = x.clone()
        active = torch.arange(x.shape[0], device=x.device)
        listed, closest = torch.full_like(x, torch.inf), x.new_zeros(0)
        contacts = torch.zeros_like(active).repeat(3 if box is None else 6, 0).t()
        step = torch.zeros_like(frames_last(x))
        for number in range(self.rounds):
            own, own_box = x[active], None if box is None else box[active]
            contacts, closest, listed = self.renewed(contacts, closest, own, listed, own_box)
            bad = self.worst(own, contacts, closest, own_box) > self.tolerance
            if not bool(bad.any()):
                break
            # The contacts of the frames that stay, numbered anew.
            stays = bad[contacts[:, 0]]
            contacts, closest = contacts[stays], closest[stays]
            contacts[:, 0] = (torch.cumsum(bad.to(torch.int64), 0) - 1)[contacts[:, 0]]
            active, listed = active[bad], listed[bad]
            momentum = self.momentum if number >= self.steady else 0.0
            bad_box = None if own_box is None else own_box[bad]
            moved, step = self.relax(frames_last(own[bad]), step[:, :, bad], momentum, contacts, closest, held, bad_box)
            x[active] = moved.permute(2, 0, 1)
        return x

    def forward(self, x, held=1.0, box=None):
        # type: (Tensor, float, Optional[Tensor]) -> Tensor
        """Project.

        Parameters
        ----------
        x : Tensor, shape (B, n, 3)
            Atoms in Angstrom.
        held : float
            Fraction of a bead's displacement that is removed; 1 keeps every bead where it is.
        box : Tensor, shape (B, 3, 3), optional
            Periodic box vectors in Angstrom, across which atoms keep their closest approach too.

        Returns
        -------
        Tensor, shape (B, n, 3)
            With the same M x, where beads are held; frames without a violation as they were, to the bit.
        """
        done: list[torch.Tensor] = []
        size = max(1, self.max_atoms // self.n_atoms)
        for number, part in enumerate(x.split(size)):
            its_box = None if box is None else box[number * size : (number + 1) * size]
            done.append(self.project(part, held, its_box))
        return torch.cat(done)
