"""The table of `openmm_cgvae.metrics.residueshapes`, measured on crystal chains."""

import itertools
from dataclasses import fields

import numpy as np

from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS, HEAVY_ATOMS, VARIANT_TYPES, template
from openmm_cgvae.core.output import complete_output
from openmm_cgvae.metrics.peptides import backbone_torsions, ramachandran_classes
from openmm_cgvae.metrics.residueshapes import CA, FILE, HALF_TURN_CHI2, PROLINE, C, N, O, ResidueShapes
from openmm_cgvae.metrics.rotamers import CHI_BINS, side_chain_torsions
from openmm_cgvae.metrics.vectors import angle, distance

__all__ = ["measure_shapes", "write_shapes"]

# Values further than this many robust standard deviations from the median are errors of the model, not spread.
OUTLIER = 6.0
# Refinement holds planar groups tighter than their own thermal motion: least standard deviation of an angle, degrees.
LEAST_ANGLE_SPREAD = 1.5
# Width of the kernel that smooths histograms, in bins.
SMOOTHING = 1.5


def measure_shapes(chains):
    """Measure the geometry of residues.

    Parameters
    ----------
    chains : iterable of (types, atoms, mask, connected)
        As in `openmm_cgvae.metrics.proteins.protein_figures`; crystal structures at high resolution, with all types.

    Returns
    -------
    ResidueShapes
    """
    types, atoms, mask, connected = (np.concatenate(parts) for parts in zip(*_separate(chains), strict=True))
    chosen = [_residue(atoms[types == kind], mask[types == kind], kind) for kind in range(len(AMINO_ACIDS))]
    padded = [_padded(parts) for parts in zip(*chosen, strict=True)]
    torsions = backbone_torsions(atoms, mask, connected)
    classes = ramachandran_classes(types, connected)
    ramachandran = np.stack([_levels(torsions[classes == k, :2], 72, 2 * np.pi) for k in range(5)])
    chi = side_chain_torsions(types, atoms, mask)[:, :2]
    rotamers = np.stack([_rotamer_levels(chi[types == kind], half) for kind, half in enumerate(HALF_TURN_CHI2)])
    return ResidueShapes(*padded, *_links(types, atoms, mask, connected), ramachandran, rotamers)


def write_shapes(shapes, path=FILE):
    """Write the table that `residue_shapes` reads."""
    arrays = {field.name: getattr(shapes, field.name) for field in fields(shapes)}
    small = {k: array.astype(np.float32 if array.dtype.kind == "f" else np.int8) for k, array in arrays.items()}
    with complete_output(path) as temporary:
        np.savez_compressed(temporary, **small)


def _separate(chains):
    """The chains, none connected to the one before."""
    for types, atoms, mask, connected in chains:
        connected = np.array(connected, dtype=bool)
        connected[:1] = False
        yield types, atoms, mask, connected


def _residue(atoms, mask, kind):
    """Bonds, lengths, spreads, angles, means, spreads of one type."""
    complete = atoms[mask[:, : len(HEAVY_ATOMS[kind])].all(1)]
    bonds = _heavy_bonds(kind)
    lengths = [_spread(distance(complete[:, i], complete[:, j])) for i, j in bonds]
    angles = _bends(bonds)
    degrees = [_angle_spread(*(complete[:, k] for k in row)) for row in angles]
    return (np.array(bonds), *np.array(lengths).T, np.array(angles), *np.array(degrees).T)


def _heavy_bonds(kind):
    """Bonds between heavy atoms of a type, as sorted pairs of slots."""
    entry = template(next(name for name, of in VARIANT_TYPES.items() if of == kind))
    slots = np.sort(entry.slots[entry.bonds], axis=1)
    return sorted(map(tuple, slots[slots[:, 0] >= 0].tolist()))


def _bends(bonds):
    """Every two bonds that share an atom, as rows of slots (end, middle, end)."""
    pairs = sorted({*bonds, *((b, a) for a, b in bonds)})
    return [(a, b, c) for (a, b), (d, c) in itertools.product(pairs, pairs) if b == d and a < c]


def _padded(parts):
    """Stack arrays of unequal length, -1 in indices and 1 in values where one is shorter."""
    size = max(len(part) for part in parts)
    out = np.full((len(parts), size, *parts[0].shape[1:]), 1.0 if parts[0].dtype.kind == "f" else -1, parts[0].dtype)
    for row, part in zip(out, parts, strict=True):
        row[: len(part)] = part
    return out


def _spread(values):
    """Mean and standard deviation of the values without gross outliers."""
    median = np.median(values)
    robust = 1.4826 * np.median(np.abs(values - median))
    kept = values[np.abs(values - median) <= OUTLIER * robust]
    return kept.mean(), kept.std()


def _angle_spread(a, b, c):
    """Mean and standard deviation of an angle, degrees."""
    mean, spread = _spread(np.degrees(angle(a, b, c)))
    return mean, max(spread, LEAST_ANGLE_SPREAD)


def _links(types, atoms, mask, connected):
    """Peptide bonds to other residues and to proline: lengths, their spreads, angles, their spreads."""
    second = np.flatnonzero(connected)
    second = second[mask[second][:, [N, CA]].all(1) & mask[second - 1][:, [CA, C, O]].all(1)]
    lengths, angles = [], []
    for part in (second[types[second] != PROLINE], second[types[second] == PROLINE]):
        before, after = atoms[part - 1], atoms[part]
        lengths.append(_spread(distance(before[:, C], after[:, N])))
        rows = (before[:, CA], before[:, C], after[:, N]), (before[:, O], before[:, C], after[:, N]), (
            before[:, C], after[:, N], after[:, CA]
        )  # fmt: skip
        angles.append([_angle_spread(*row) for row in rows])
    return *np.array(lengths).T, *np.moveaxis(np.array(angles), -1, 0)


def _rotamer_levels(chi, half_turn):
    """Levels of chi1, chi2 of one type, shape (36, 36); ones where it has no side chain."""
    levels = np.ones((CHI_BINS, CHI_BINS))
    if np.isfinite(chi[:, 1]).any():
        half = CHI_BINS // 2 if half_turn else CHI_BINS
        levels[:, :half] = _levels(chi, (CHI_BINS, half), np.array([2 * np.pi, np.pi if half_turn else 2 * np.pi]))
    elif np.isfinite(chi[:, 0]).any():
        levels[:] = _levels(np.stack([chi[:, 0], np.zeros(len(chi))], 1), (CHI_BINS, 1), 2 * np.pi)
    return levels


def _levels(angles, bins, period):
    """Share of the rows in bins no more populated than each, after smoothing around the circle."""
    from scipy.ndimage import gaussian_filter

    angles = angles[np.isfinite(angles).all(1)]
    bins = np.broadcast_to(bins, 2)
    index = (angles % period / period * bins).astype(np.int64) % bins
    counts = np.zeros(bins)
    np.add.at(counts, tuple(index.T), 1)
    density = gaussian_filter(counts, np.where(bins > 1, SMOOTHING, 0), mode="wrap")
    order = np.argsort(density, axis=None)
    levels = np.empty(counts.size)
    levels[order] = np.cumsum(counts.ravel()[order]) / len(angles)
    return levels.reshape(bins)
