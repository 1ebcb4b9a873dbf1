"""Direct Boltzmann inversion of a reference trajectory, U = -kT ln P."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from openmm_cgvae.cg.potential import CGPotential, TabulatedTerms, term_values
from openmm_cgvae.cg.timestep import stable_time_step
from openmm_cgvae.core.checks import checked_number
from openmm_cgvae.core.errors import DataError, SettingsError
from openmm_cgvae.core.units import BOLTZMANN_KJ_PER_MOL_K, value_in_md_units

if TYPE_CHECKING:
    from openmm_cgvae.core.types import Number, Positions

__all__ = ["bead_types", "boltzmann_inversion"]

# Smallest bandwidth, which turns a constant distance into a stiff spring.
MIN_BANDWIDTH_NM = 0.002
MIN_BANDWIDTH_COSINE = 0.02
# The table ends, and the wall begins, where fewer frames than this lie under the smoothing kernel.
MIN_FRAMES_UNDER_KERNEL = 50
# kJ/mol/nm^2; keeps beads of widely spread distances from passing through each other.
MIN_WALL = 5000.0
FINE_BINS = 4000
N_STARTS = 8
# Relation of a pair of beads, which determines its volume element and energy scale.
SPANNED, BONDED, APART = range(3)


def bead_types(mapping):
    """Type number of every bead of a `CGMapping`: the same for beads of the same atoms, by residue and atom name."""
    atoms = [f"{atom.residue.name} {atom.name}" for atom in mapping.topology.atoms()]
    return _numbered([tuple(sorted(atoms[i] for i in bead)) for bead in mapping.beads])


def _numbered(keys):
    """Number equal keys alike, in the order of their first appearance."""
    numbers = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def boltzmann_inversion(
    beads_nm: Positions,
    bead_bonds: Positions,
    temperature: Number,
    masses: Positions,
    n_grid: int = 100,
    types: Positions | None = None,
) -> CGPotential:
    """Potentials of mean force of the beads' distances and angles, each inverted on its own.

    U(r) = -kT ln(P(r) / r^2) and U(theta) = -kT ln(P(theta) / sin theta); the latter is -kT ln P(cos theta), and
    tabulated so, because a force over cos theta has no pole at 0 and 180 degrees. A distance that stands for an
    angle or a torsion, as the three of a triangle do (volume element r12 r13 r23), is divided by r instead.

    Up to three beads all distances are used. Beyond that: bonded distances, angles of bonded triples, and the
    distances of all pairs that no angle spans. These last are more than there are degrees of freedom left, and
    each already contains the mean effect of the others; so they are scaled down to that number, except where they
    repel. Every pair has walls, so beads do not pass through each other. As distances and angles cannot tell a
    frame from its mirror image, every bonded quadruple also gets -kT ln(2 P(c) / (P(c) + P(-c))) of its chirality
    c: added to a mirror-symmetric potential that has the right P(c) + P(-c), it gives the right P(c).

    Terms over beads of the same types share a table, from the pooled values of all of them; bonded pairs, pairs
    that an angle spans and other pairs are kept apart.

    Correlations between terms are not accounted for: simulated distributions are near the reference's, not equal;
    `iterative_boltzmann_inversion` brings them nearer.

    Parameters
    ----------
    beads_nm : array_like, shape (frames, N, 3)
        Bead positions of the reference trajectory in nm, molecules whole.
    bead_bonds : array_like of int, shape (m, 2)
        As `CGMapping.bead_bonds` gives.
    temperature : float or Quantity
        Of the reference trajectory, K.
    masses : array_like, shape (N,)
        Bead masses in amu.
    n_grid : int
        Entries of every table.
    types : array_like of int, shape (N,), optional
        As `bead_types` gives; each bead its own type if omitted.

    Returns
    -------
    CGPotential

    Raises
    ------
    DataError
        If there are fewer than two frames, a position is not finite, or bonds or masses do not fit the beads.
    SettingsError
        If the temperature is not positive or `n_grid` is below 10.
    """
    temperature = checked_number("temperature", temperature, "K")
    if n_grid < 10:
        raise SettingsError(f"n_grid {n_grid} given: at least 10 table entries are expected")
    beads_nm, bead_bonds, masses = _checked_data(beads_nm, bead_bonds, masses)
    types = _checked_types(types, len(masses))
    kT = BOLTZMANN_KJ_PER_MOL_K * temperature
    pairs, angles, quadruples = _choose_terms(beads_nm.shape[1], bead_bonds)
    relations = _relations(pairs, bead_bonds, angles)
    powers = _jacobian_powers(relations, len(masses))
    terms = [
        _tabulate(beads_nm, pairs, types, n_grid, lambda t, values: _invert_distance(values, kT, powers[t]), relations),
        _tabulate(beads_nm, angles, types, n_grid, lambda t, values: _invert_cosine(values, kT)),
        _tabulate(beads_nm, quadruples, types, n_grid, lambda t, values: _invert_chirality(values, kT)),
    ]
    terms[0] = _share_out(terms[0], relations, 3 * len(masses) - 6 - len(bead_bonds) - len(angles))
    chosen = np.unique(np.linspace(0, len(beads_nm) - 1, N_STARTS).round().astype(int))
    starts = beads_nm[chosen] - beads_nm[chosen].mean(1, keepdims=True)
    distances, chosen_angles, chiralities = terms
    step = stable_time_step(terms, masses, beads_nm)
    return CGPotential(temperature, step, distances, chosen_angles, chiralities, starts.round(5))


def _checked_data(beads_nm, bead_bonds, masses):
    beads_nm = np.asarray(value_in_md_units(beads_nm), dtype=float)
    if beads_nm.ndim != 3 or beads_nm.shape[1] < 1 or beads_nm.shape[2] != 3:
        raise DataError(f"bead positions of shape {beads_nm.shape} given, (frames, beads, 3) in nm expected")
    n_frames, n_beads = beads_nm.shape[:2]
    if n_frames < 2:
        raise DataError(f"{n_frames} frames given, at least 2 expected, thousands better: give a longer trajectory")
    finite = np.isfinite(beads_nm).all(axis=(1, 2))
    if not finite.all():
        raise DataError(f"bead positions of frame {np.argmin(finite)} hold NaN or infinity: leave such frames out")
    bead_bonds = np.sort(np.asarray(bead_bonds, dtype=np.int64).reshape(-1, 2), axis=1)
    if ((bead_bonds < 0) | (bead_bonds >= n_beads)).any() or (bead_bonds[:, 0] == bead_bonds[:, 1]).any():
        raise DataError(f"bonds {bead_bonds.tolist()} given: pairs of different beads from 0 to {n_beads - 1} expected")
    masses = np.asarray(value_in_md_units(masses), dtype=float)
    if masses.shape != (n_beads,) or not (np.isfinite(masses) & (masses > 0)).all():
        raise DataError(f"bead masses {masses} given: {n_beads} positive numbers in amu are expected")
    return beads_nm, np.unique(bead_bonds, axis=0), masses


def _checked_types(types, n_beads):
    types = np.arange(n_beads) if types is None else np.asarray(types)
    if types.shape != (n_beads,):
        raise DataError(f"bead types of shape {types.shape} given: one for each of {n_beads} beads is expected")
    return types.tolist()


def _choose_terms(n_beads, bead_bonds):
    """Rows of beads of distances, angles and chiralities, shapes (p, 2), (a, 3) and (c, 4)."""
    bonded = {tuple(pair) for pair in bead_bonds.tolist()}
    directed = bonded | {(j, i) for i, j in bonded}
    angles, quadruples = [], []
    if n_beads > 3:
        paths = [(i, j, k) for i, j in sorted(directed) for k in range(n_beads) if (j, k) in directed and k != i]
        # Three mutually bonded beads are already fixed by their distances.
        angles = [path for path in paths if path[0] < path[2] and (path[0], path[2]) not in bonded]
        quadruples = [(*p, m) for p in paths for m in range(n_beads) if (p[2], m) in directed and m not in p]
        quadruples = [path for path in quadruples if path[0] < path[3]]
    pairs = list(itertools.combinations(range(n_beads), 2))
    return tuple(np.array(r, dtype=np.int64).reshape(-1, k) for r, k in ((pairs, 2), (angles, 3), (quadruples, 4)))


def _relations(pairs, bead_bonds, angles):
    """Whether each pair is bonded, spanned by an angle, or apart; shape (p,)."""
    known = {(i, k): SPANNED for i, _, k in angles.tolist()} | {tuple(pair): BONDED for pair in bead_bonds.tolist()}
    return np.array([known.get(tuple(pair), APART) for pair in pairs.tolist()], dtype=np.int64)


def _jacobian_powers(relations, n_beads):
    """2 where a distance is a radius, 1 where it stands for an angle or a torsion; shape (p,)."""
    if n_beads <= 3:
        return np.full(len(relations), 2 if n_beads == 2 else 1)
    return np.where(relations == BONDED, 2, 1)


def _share_out(distances, relations, freedom):
    """Scale the energies of pairs that are not bonded by how many degrees of freedom are left for each.

    Their repulsive flank, down to the first minimum, stays whole: it is the two beads' own. Pairs that an angle
    spans keep their walls only.
    """
    share = np.clip(freedom / max((relations == APART).sum(), 1), 0.0, 1.0)
    energies = distances.energies.copy()
    energies[distances.tables[relations == SPANNED]] = 0.0
    for k in np.unique(distances.tables[relations == APART]):
        table = distances.energies[k]
        contact = np.argmax(np.diff(table) >= 0)
        energies[k] = share * table
        energies[k, :contact] += (1 - share) * (table[:contact] - table[contact])
    return replace(distances, energies=energies.round(4))


def _tabulate(beads_nm, rows, types, n_grid, invert, relations=None):
    """Invert the pooled distribution of all rows of the same types (and relation), by the first such row's rule.

    Rounded, so that the JSON form is short and exact.
    """
    of_types = [[types[i] for i in row] for row in rows.tolist()]
    relations = np.zeros(len(rows), dtype=int) if relations is None else relations
    # A row and its reverse are the same coordinate.
    tables = _numbered([(r, *min(t, t[::-1])) for r, t in zip(relations.tolist(), of_types, strict=True)])
    values = term_values(beads_nm, rows)
    firsts = np.unique(tables, return_index=True)[1]
    found = [invert(first, values[:, tables == m].ravel()) for m, first in enumerate(firsts)]
    lower, upper, wall = (np.array([f[k] for f in found], dtype=float).round(6) for k in range(3))
    energies = np.zeros((len(found), n_grid))
    for m, (_, _, _, x, potential) in enumerate(found):
        energies[m] = np.interp(np.linspace(lower[m], upper[m], n_grid), x, potential)
    return TabulatedTerms(rows, tables, lower, upper, wall, energies.round(4))


def _invert_distance(values, kT, power):
    """Edges, wall, grid and energies of -kT ln(P(r) / r^power)."""
    bandwidth = _bandwidth(values, MIN_BANDWIDTH_NM)
    low, high = max(values.min() - 4 * bandwidth, 1e-3), values.max() + 4 * bandwidth
    x, density, least = _smooth_density(values, bandwidth, low, high)
    lower, upper = x[density >= least][[0, -1]]
    # As stiff as the harmonic potential of the same spread.
    wall = max(kT / (values.var() + bandwidth**2), MIN_WALL)
    return lower, upper, wall, x, _lowered(-kT * np.log((density + 0.1 * least) / x**power), density)


def _invert_cosine(values, kT):
    """Edges, wall, grid and energies of -kT ln P(cos theta)."""
    bandwidth = _bandwidth(values, MIN_BANDWIDTH_COSINE)
    x, density, least = _smooth_density(values, bandwidth, -1.0, 1.0)
    lower, upper = x[density >= least][[0, -1]]
    wall = kT / (values.var() + bandwidth**2)
    return lower, upper, wall, x, _lowered(-kT * np.log(density + 0.1 * least), density)


def _invert_chirality(values, kT):
    """Edges, wall (none: the table covers all values), grid and energies of -kT ln(2 P(c) / (P(c) + P(-c)))."""
    bandwidth = _bandwidth(values, MIN_BANDWIDTH_COSINE)
    x, density, least = _smooth_density(values, bandwidth, -1.0, 1.0)
    density = density + least
    return -1.0, 1.0, 0.0, x, -kT * np.log(2 * density / (density + density[::-1]))


def _lowered(potential, density):
    return potential - potential[density.argmax()]


def _bandwidth(values, minimum):
    """Silverman's rule of thumb, with the interquartile range against outliers and several peaks."""
    quarter, three_quarters = np.quantile(values, (0.25, 0.75))
    spread = min(values.std(), (three_quarters - quarter) / 1.34)
    return max(0.9 * spread * len(values) ** -0.2, minimum)


def _smooth_density(values, bandwidth, low, high):
    """Gaussian kernel density on a fine grid, reflected at its ends.

    Returns
    -------
    x, density : numpy.ndarray, shape (FINE_BINS,)
    least : float
        The least density to rely on: that of `MIN_FRAMES_UNDER_KERNEL` frames, or a tenth of the highest.
    """
    counts, edges = np.histogram(values, FINE_BINS, (low, high))
    width = edges[1] - edges[0]
    density = gaussian_filter1d(counts / (len(values) * width), bandwidth / width, mode="reflect")
    one_frame = 1 / (len(values) * bandwidth * np.sqrt(2 * np.pi))
    return (edges[1:] + edges[:-1]) / 2, density, min(MIN_FRAMES_UNDER_KERNEL * one_frame, 0.1 * density.max())
