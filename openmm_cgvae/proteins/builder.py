"""Atoms of residues from their torsions, on C-alpha positions, and the torsions of given atoms.

A peptide unit (C, O and the next N) is placed about the axis between two C-alphas by one angle, side chains by their
torsions, all with mean local geometry: bonds and handedness are right for any torsions. Tables of local coordinates are
means over training structures (`Builder.calibrate`).
"""

import numpy as np
import torch
from torch import nn

from openmm_cgvae.geometry.localframes import frame_of, in_frame, out_of_frame, torsion, turned
from openmm_cgvae.proteins.sidechains import (
    AMINO_ACIDS,
    CHI_ATOMS,
    LEVELS,
    N_CHI,
    N_SLOTS,
    PROLINE,
    SYMMETRIC_CHI,
    level_table,
)

__all__ = ["N_TORSIONS", "Builder", "next_row"]

# Angle of the peptide unit to the next residue (at a chain's end phi), angle of an end group (N of the first residue
# about C - CA, O of the last about CA - C), and the side chain's torsions.
N_TORSIONS = 2 + N_CHI
# Shorter C-alpha distances, in Angstrom, are those of cis peptide bonds (2.9 to 3.0; trans 3.8).
CIS_BELOW = 3.35
N, CA, C, O = range(4)  # noqa: E741


def next_row(values: torch.Tensor, shift: int = 1) -> torch.Tensor:
    """Rows of the residues so many places further on; the order is that of the chain."""
    return torch.roll(values, -shift, 0)


class Builder(nn.Module):
    """Torsions to heavy atoms and back; buffers hold mean local coordinates in Angstrom."""

    def __init__(self):
        super().__init__()
        n_types = len(AMINO_ACIDS)
        atoms, references = level_table()
        self.n_levels, self.n_chi, self.n_slots = LEVELS, N_CHI, N_SLOTS
        self.cis_below, self.proline = CIS_BELOW, PROLINE
        widths = [slots.shape[1] for slots in atoms]
        self.starts = [sum(widths[:k]) for k in range(LEVELS + 1)]
        self.register_buffer("slots", torch.as_tensor(np.concatenate(atoms, 1)), persistent=False)
        self.register_buffer("references", torch.as_tensor(references), persistent=False)
        # Trans and cis, before another residue and before proline: C, O relative to the first C-alpha, N to the second.
        self.register_buffer("unit", torch.zeros(4, 3, 3))
        # Change of these along the axis with the deviation of the C-alpha distance from its mean.
        self.register_buffer("stretch", torch.zeros(4, 3, 3))
        self.register_buffer("span", torch.zeros(4))
        # First N in the frame of O, C, CA; last C in that of C before, N, CA; last O in that of N, CA, C.
        self.register_buffer("ends", torch.zeros(3, n_types, 3))
        self.register_buffer("side", torch.zeros(n_types, sum(widths), 3))
        present = torch.zeros(n_types, N_CHI, dtype=torch.bool)
        symmetric = torch.zeros(n_types, N_CHI, dtype=torch.bool)
        for number, residue in enumerate(AMINO_ACIDS):
            present[number, : len(CHI_ATOMS[residue])] = True
        for residue, k in SYMMETRIC_CHI:
            symmetric[AMINO_ACIDS.index(residue), k] = True
        self.register_buffer("has_chi", present, persistent=False)
        self.register_buffer("symmetric_chi", symmetric, persistent=False)

    def unit_frames(self, ca, connected):
        # type: (Tensor, Tensor) -> Tensor
        """Frames (R, 3, 3) of the peptide units that follow each residue, one axis a row."""
        after, before = next_row(ca), next_row(ca, -1)
        ahead, leads = next_row(ca, 2), next_row(connected, 2) & next_row(connected)
        # Beyond the end of a chain, a reference point that is off the axis for any direction of the axis.
        axis = after - ca
        aside = ca + torch.stack([axis[:, 1] + 0.3, axis[:, 2] - axis[:, 0], 0.7 - axis[:, 1]], dim=1)
        # Direction towards the residue after the next, turned to where the one before would be in a strand.
        other = torch.where(leads.unsqueeze(1), ca + after - ahead, aside)
        return frame_of(torch.where(connected.unsqueeze(1), before, other), ca, after)

    def unit_class(self, distance, types):
        # type: (Tensor, Tensor) -> Tensor
        """Row (R,) of `unit` for the peptide unit that follows each residue, C-alphas so far (R,) apart."""
        return 2 * (distance < self.cis_below).long() + (next_row(types) == self.proline).long()

    def unit_places(self, ca, types):
        # type: (Tensor, Tensor) -> Tensor
        """Local coordinates (R, 3, 3) of C, O and the next N at an angle of 0."""
        distance = (next_row(ca) - ca).square().sum(-1).add(1e-12).sqrt()
        kind = self.unit_class(distance, types)
        longer = (distance - self.span.to(ca.dtype)[kind]).clamp(-0.5, 0.5)
        return self.unit.to(ca.dtype)[kind] + longer[:, None, None] * self.stretch.to(ca.dtype)[kind]

    def backbone(self, ca, types, connected, torsions):
        # type: (Tensor, Tensor, Tensor, Tensor) -> Tensor
        """N, CA, C and O.

        Parameters
        ----------
        ca : Tensor, shape (R, 3)
            Angstrom; residues of all chains and frames after one another.
        types : int Tensor, shape (R,)
        connected : bool Tensor, shape (R,)
            Bond to the row before.
        torsions : Tensor, shape (R, 6)
            Radian.

        Returns
        -------
        Tensor, shape (R, 4, 3)
        """
        leads = next_row(connected).unsqueeze(1)
        cosine, sine = torch.cos(torsions), torch.sin(torsions)
        local = self.unit_places(ca, types)
        frame = self.unit_frames(ca, connected)
        c, o, n = [out_of_frame(frame, turned(part, cosine[:, 0], sine[:, 0])) for part in local.unbind(1)]
        c, o, n = ca + c, ca + o, next_row(next_row(ca) + n, -1)
        ends = self.ends.to(ca.dtype)[:, types]
        first = ca + out_of_frame(frame_of(o, c, ca), turned(ends[0], cosine[:, 1], sine[:, 1]))
        n = torch.where(connected.unsqueeze(1), n, first)
        last = ca + out_of_frame(frame_of(next_row(c, -1), n, ca), turned(ends[1], cosine[:, 0], sine[:, 0]))
        c = torch.where(leads, c, last)
        last = c + out_of_frame(frame_of(n, ca, c), turned(ends[2], cosine[:, 1], sine[:, 1]))
        return torch.stack([n, ca, c, torch.where(leads, o, last)], dim=1)

    def side_chains(self, backbone, types, torsions):
        # type: (Tensor, Tensor, Tensor) -> Tensor
        """All slots (R, 14, 3) of residues on their backbone (R, 4, 3); slots without an atom are at C-alpha."""
        rows = torch.arange(types.shape[0], device=types.device).unsqueeze(1)
        atoms = torch.cat([backbone, backbone[:, 1:2].expand(-1, self.n_slots - 4, -1)], dim=1)
        # One extra slot receives the atoms that an amino acid does not have.
        atoms = torch.cat([atoms, atoms[:, :1]], dim=1)
        cosine, sine = torch.cos(torsions), torch.sin(torsions)
        side = self.side.to(backbone.dtype)[types]
        slots = self.slots[types]
        for level in range(self.n_levels):
            first, last = self.starts[level], self.starts[level + 1]
            a, b, c = atoms[rows, self.references[level, types]].unbind(1)
            local = side[:, first:last]
            if 1 <= level <= 4:
                local = turned(local, cosine[:, level + 1].unsqueeze(1), sine[:, level + 1].unsqueeze(1))
            placed = c.unsqueeze(1) + out_of_frame(frame_of(a, b, c).unsqueeze(1), local)
            slot = slots[:, first:last]
            atoms[rows, torch.where(slot < 0, self.n_slots, slot)] = placed
        return atoms[:, : self.n_slots]

    def forward(self, ca, types, connected, torsions):
        # type: (Tensor, Tensor, Tensor, Tensor) -> Tensor
        """All heavy atoms (R, 14, 3), see `backbone`."""
        return self.side_chains(self.backbone(ca, types, connected, torsions), types, torsions)

    @torch.jit.export
    def torsions(self, atoms, types, connected):
        # type: (Tensor, Tensor, Tensor) -> Tensor
        """Torsions (R, 6) in radian of atoms (R, 14, 3); of symmetric ends the one in [-pi / 2, pi / 2)."""
        n, ca, c, o = atoms[:, :4].unbind(1)
        leads = next_row(connected)
        _, y, z = in_frame(self.unit_frames(ca, connected), o - ca).unbind(-1)
        phi = torsion(next_row(c, -1), n, ca, c)
        first, last = torsion(o, c, ca, n), torsion(n, ca, c, o)
        angles = [torch.where(leads, torch.atan2(z, y), phi), torch.where(connected, last, first)]
        rows = torch.arange(types.shape[0], device=types.device).unsqueeze(1)
        for k in range(self.n_chi):
            a, b, c, d = atoms[rows, self.chi_slots(types, k)].unbind(1)
            angle = torsion(a, b, c, d)
            folded = torch.remainder(angle + 0.5 * torch.pi, torch.pi) - 0.5 * torch.pi
            angles.append(torch.where(self.symmetric_chi[types, k], folded, angle))
        return torch.stack(angles, 1)

    def chi_slots(self, types, k):
        # type: (Tensor, int) -> Tensor
        """Slots (R, 4) of side-chain torsion k; 0 where there is none."""
        last = self.slots[types, self.starts[k + 1]].unsqueeze(1)
        return torch.cat([self.references[k + 1, types], last], 1).clamp_min(0)

    @torch.jit.unused
    def measure(self, atoms, mask, types, connected):
        """Torsions of given atoms.

        Parameters
        ----------
        atoms : Tensor, shape (R, 14, 3)
            Angstrom.
        mask : bool Tensor, shape (R, 14)
        types : int Tensor, shape (R,)
        connected : bool Tensor, shape (R,)

        Returns
        -------
        torsions : Tensor, shape (R, 6)
            Radian, see `torsions`.
        known : bool Tensor, shape (R, 6)
            Which torsions exist and have all their atoms.
        """
        leads = next_row(connected)
        whole = mask[:, :4].all(1)
        known = [mask[:, O] & (leads | (whole & connected & next_row(mask[:, C], -1))), whole & ~(leads & connected)]
        rows = torch.arange(len(types), device=types.device).unsqueeze(1)
        known += [self.has_chi[types, k] & mask[rows, self.chi_slots(types, k)].all(1) for k in range(N_CHI)]
        return self.torsions(atoms, types, connected), torch.stack(known, 1)

    @torch.jit.unused
    def calibrate(self, atoms, mask, types, connected):
        """Take the tables of mean local coordinates from training structures, as `measure` takes them."""
        torsions, known = self.measure(atoms, mask, types, connected)
        cosine, sine = torch.cos(-torsions), torch.sin(-torsions)
        ca, leads = atoms[:, CA], next_row(connected)
        frame = self.unit_frames(ca, connected)
        after = next_row(atoms)
        whole = leads & mask[:, [C, O]].all(1) & next_row(mask)[:, N]
        distance = (after[:, CA] - ca).square().sum(-1).sqrt()
        kind = self.unit_class(distance, types)[whole]
        self.span.copy_(_means(distance[whole].unsqueeze(1), kind, 4)[:, 0])
        longer = (distance[whole] - self.span[kind]).unsqueeze(1)
        for row, (point, origin) in enumerate([(atoms[:, C], ca), (atoms[:, O], ca), (after[:, N], after[:, CA])]):
            local = turned(in_frame(frame, point - origin), cosine[:, 0], sine[:, 0])[whole]
            self.unit[:, row] = _means(local, kind, 4)
            slope = _means(longer * (local - self.unit[kind, row]), kind, 4) / _means(longer.square(), kind, 4)
            self.stretch[:, row] = torch.where(torch.bincount(kind, minlength=4).unsqueeze(1) >= 30, slope, 0.0)
        before = next_row(atoms, -1)
        starts, stops = ~connected & leads & mask[:, :4].all(1), ~leads & known[:, 0] & connected
        ends = [
            (frame_of(atoms[:, O], atoms[:, C], ca), atoms[:, N] - ca, 1, starts),
            (frame_of(before[:, C], atoms[:, N], ca), atoms[:, C] - ca, 0, stops),
            (frame_of(atoms[:, N], ca, atoms[:, C]), atoms[:, O] - atoms[:, C], 1, stops),
        ]
        for row, (axes, vector, k, chosen) in enumerate(ends):
            local = turned(in_frame(axes, vector), cosine[:, k], sine[:, k])[chosen]
            # Ends are few: one mean for all amino acids.
            self.ends[row] = local.mean(0)
        self._calibrate_side_chains(atoms, mask, types, cosine, sine)

    @torch.jit.unused
    def _calibrate_side_chains(self, atoms, mask, types, cosine, sine):
        rows = torch.arange(len(types), device=types.device)
        for level in range(self.n_levels):
            references = self.references[level, types]
            a, b, c = atoms[rows.unsqueeze(1), references].unbind(1)
            there = mask[rows.unsqueeze(1), references].all(1)
            axes = frame_of(a, b, c)
            for column in range(self.starts[level], self.starts[level + 1]):
                slot = self.slots[types, column]
                chosen = there & (slot >= 0) & mask[rows, slot.clamp_min(0)]
                local = in_frame(axes, atoms[rows, slot.clamp_min(0)] - c)
                if 1 <= level <= N_CHI:
                    local = turned(local, cosine[:, level + 1], sine[:, level + 1])
                if level >= 1 and column == self.starts[level]:
                    # Symmetric ends labelled the other way round: the angle is that of the other atom.
                    there = there & (local[:, 1] > 0)
                    chosen = chosen & there
                self.side[:, column] = _means(local[chosen], types[chosen], len(AMINO_ACIDS))


def _means(values: torch.Tensor, groups: torch.Tensor, n_groups: int) -> torch.Tensor:
    """Mean of the rows of every group, (n_groups, c); zero where a group is empty."""
    total = torch.zeros(n_groups, values.shape[1], dtype=values.dtype).index_add(0, groups, values)
    return total / torch.bincount(groups, minlength=n_groups).clamp_min(1).unsqueeze(1)
