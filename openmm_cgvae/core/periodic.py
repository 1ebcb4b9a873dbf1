"""Molecules in periodic boxes of any triclinic shape: made whole, checked against the box, wrapped into it.

Box vectors are rows in nm, as OpenMM and GROMACS write them: a along x, b in the xy plane (lower triangular). A
difference whose components are below half of the diagonal then is the image that rounding finds, axis by axis, last
vector first; nothing here needs the vectors to be reduced further.

A box that enters, from a file or a caller, goes through `reduced_vectors`: files hold lattices by other vectors than
OpenMM takes, and in single precision, which makes half a vector a little more than half.
"""

import numpy as np

from openmm_cgvae.core.errors import DataError, PositionsError
from openmm_cgvae.core.units import frame_number, value_in_md_units

__all__ = [
    "as_box_vectors",
    "box_lengths_and_angles",
    "box_widths",
    "boxes_of_frames",
    "check_fits",
    "make_whole",
    "molecule_labels",
    "reduced_vectors",
    "spanning_tree",
    "vectors_of_cells",
    "wrap",
]

# Of half a vector: what single precision makes of it in files.
ROUNDING = 1e-6
# Edge in nm up to which a box is a dummy: CRYST1 of 1 A, as programs write it where there is none.
DUMMY_NM = 0.1 + 1e-6


def as_box_vectors(vectors, n_frames):
    """Return box vectors as an array, one box a frame.

    Parameters
    ----------
    vectors : Quantity or array_like, shape (3, 3) or (n_frames, 3, 3)
        Rows a, b, c; bare numbers in nm.
    n_frames : int

    Returns
    -------
    numpy.ndarray, shape (n_frames, 3, 3)
        nm, float64, reduced.

    Raises
    ------
    PositionsError
        If the shape is another, a is not along x or b not in the xy plane, or a box has no volume.
    """
    given = np.asarray(value_in_md_units(vectors), dtype=float)
    if given.shape not in ((3, 3), (n_frames, 3, 3)):
        raise PositionsError(f"box of shape {given.shape} given: (3, 3) or ({n_frames}, 3, 3) is expected")
    # Box vectors read from single-precision files have small non-zero values above the diagonal.
    diagonal = np.diagonal(given, axis1=-2, axis2=-1)
    if not np.isfinite(given).all() or (diagonal <= 0).any() or (abs(np.triu(given, 1)) > 1e-4 * diagonal.max()).any():
        raise PositionsError(
            "box vectors that are not lower triangular with a positive diagonal given: rows a, b, c in nm with a "
            "along x and b in the xy plane, as OpenMM has them, are expected"
        )
    return np.broadcast_to(reduced_vectors(np.tril(given)), (n_frames, 3, 3))


def boxes_of_frames(vectors, what):
    """Return the boxes of a file's frames as OpenMM takes them, or None if there are none.

    Parameters
    ----------
    vectors : numpy.ndarray, shape (f, 3, 3)
        Rows a, b, c in nm, as the file holds them; zero, or a cube of 0.1 nm at most, where there is no box.
    what : path or str
        The file, for messages.

    Returns
    -------
    numpy.ndarray, shape (f, 3, 3), or None
        nm, float64, reduced: the same lattices.

    Raises
    ------
    DataError
        If some frames have a box and others none, or a box is none that OpenMM knows.
    """
    lengths = np.linalg.norm(vectors, axis=-1)
    absent = (lengths <= DUMMY_NM).all(1)
    if absent.all():
        return None
    if absent.any():
        raise DataError(f"{what} has frames with a periodic box and frames without: write all of them alike")
    try:
        return as_box_vectors(vectors, len(vectors)).copy()
    except PositionsError as error:
        raise DataError(f"box of {what} cannot be used: {error}") from error


def vectors_of_cells(lengths, angles):
    """Lengths in nm and angles in degrees, (f, 3) each, to box vectors (f, 3, 3) in nm, zero of dummies.

    Angles alpha, beta, gamma lie between b and c, a and c, a and b.
    """
    # Of a box of zeros some readers make NaN.
    lengths = np.nan_to_num(np.asarray(lengths, dtype=float))
    alpha, beta, gamma = np.radians(np.asarray(angles, dtype=float)).T
    there = (lengths > 0).all(1)
    vectors = np.zeros((len(lengths), 3, 3))
    a, b, c = lengths.T
    with np.errstate(invalid="ignore", divide="ignore"):
        vectors[:, 0, 0] = a
        vectors[:, 1, 0], vectors[:, 1, 1] = b * np.cos(gamma), b * np.sin(gamma)
        vectors[:, 2, 0] = c * np.cos(beta)
        vectors[:, 2, 1] = c * (np.cos(alpha) - np.cos(beta) * np.cos(gamma)) / np.sin(gamma)
        vectors[:, 2, 2] = np.sqrt(c**2 - vectors[:, 2, 0] ** 2 - vectors[:, 2, 1] ** 2)
    # Right angles are right: their cosine in floating point is not zero.
    vectors[abs(vectors) < 1e-6 * lengths.max(1, initial=0.0)[:, None, None]] = 0.0
    # An edge of zero beside others is kept, for the message that it is no box.
    vectors[~there] = [np.diag(row) for row in lengths[~there]] or 0.0
    vectors[(lengths <= DUMMY_NM).all(1)] = 0.0
    return vectors


def box_lengths_and_angles(vectors):
    """Box vectors (f, 3, 3) to lengths in nm and angles in degrees, (f, 3) each."""
    a, b, c = np.moveaxis(np.asarray(vectors, dtype=float), -2, 0)
    lengths = np.linalg.norm(vectors, axis=-1)
    products = np.stack([(b * c).sum(-1), (a * c).sum(-1), (a * b).sum(-1)], axis=1)
    cosines = products / (lengths[:, [1, 0, 0]] * lengths[:, [2, 2, 1]])
    return lengths, np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def box_widths(vectors):
    """Distance between opposite faces of each box, (..., 3, 3) to (..., 3), in nm."""
    return 1 / np.linalg.norm(np.linalg.inv(vectors), axis=-2)


def reduced_vectors(vectors):
    """The same lattices, (..., 3, 3), by the vectors OpenMM accepts: 2|b_x| <= a_x, 2|c_x| <= a_x, 2|c_y| <= b_y.

    A component within rounding of half the diagonal is set to exactly half, so that all frames of one box are reduced
    in the same way.
    """
    a, b, c = np.moveaxis(np.array(vectors, dtype=float), -2, 0)
    b -= a * _nearest(b[..., :1] / a[..., :1])
    c -= b * _nearest(c[..., 1:2] / b[..., 1:2])
    c -= a * _nearest(c[..., :1] / a[..., :1])
    b[..., 0] = np.clip(b[..., 0], -a[..., 0] / 2, a[..., 0] / 2)
    c[..., 1] = np.clip(c[..., 1], -b[..., 1] / 2, b[..., 1] / 2)
    c[..., 0] = np.clip(c[..., 0], -a[..., 0] / 2, a[..., 0] / 2)
    return np.stack([a, b, c], axis=-2)


def _nearest(ratios):
    """The nearest integers; 0 of a half, and of what rounding makes of it."""
    return np.where(abs(ratios) <= 0.5 + ROUNDING, 0.0, np.round(ratios))


def molecule_labels(n_particles, bonds):
    """Number the molecules that bonds (m, 2) join: an int for each particle, in the order of first particles."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    i, j = np.asarray(bonds, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(i)), (i, j)), shape=(n_particles, n_particles))
    return connected_components(graph, directed=False)[1]


def spanning_tree(n_particles, bonds):
    """Walk one molecule along its bonds.

    Parameters
    ----------
    n_particles : int
    bonds : array_like of int, shape (m, 2)

    Returns
    -------
    numpy.ndarray of int, shape (n_particles - 1, 2)
        Parent and child, every parent before its children; a part that no bond reaches hangs on particle 0.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order

    parts = np.unique(molecule_labels(n_particles, bonds), return_index=True)[1]
    links = [*np.asarray(bonds, dtype=np.int64).reshape(-1, 2).tolist(), *([0, part] for part in parts[1:])]
    i, j = np.array(links, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(i)), (i, j)), shape=(n_particles, n_particles)).tocsr()
    order, parents = breadth_first_order(graph, 0, directed=False)
    return np.stack([parents[order[1:]], order[1:]], axis=1).astype(np.int64)


def make_whole(positions, vectors, tree):
    """Put every particle beside the one it is bonded to.

    Parameters
    ----------
    positions : numpy.ndarray, shape (f, n, 3)
        nm, of one molecule, its particles wrapped anyhow.
    vectors : numpy.ndarray, shape (f, 3, 3)
    tree : numpy.ndarray, shape (n - 1, 2)
        From `spanning_tree`.

    Returns
    -------
    numpy.ndarray, shape (f, n, 3)
        What was whole already comes back to the bit.
    """
    whole = np.array(positions)
    for parent, child in tree:
        whole[:, child] -= _lattice_vectors(whole[:, child] - whole[:, parent], vectors, np.round)
    return whole


def check_fits(positions, vectors, what, size_nm=0.0, frames=None):
    """Refuse a box smaller than the molecule in it.

    Parameters
    ----------
    positions : numpy.ndarray, shape (f, n, 3)
        nm, of one whole molecule.
    vectors : numpy.ndarray, shape (f, 3, 3)
    what : str
        The molecule's name, for the message.
    size_nm : float
        What it is known to measure at least: in a box that small, bonds no longer tell the images apart.
    frames : int array, shape (f,), optional
        Numbers of the frames, for messages.

    Raises
    ------
    PositionsError
        If the molecule reaches from one face of the box to the opposite one.
    """
    if not len(positions):
        return
    widths = box_widths(vectors)
    fractional = positions @ np.linalg.inv(vectors)
    spans = np.maximum(np.ptp(fractional, axis=1) * widths, size_nm)
    frame, axis = np.unravel_index(np.argmax(spans / widths), spans.shape)
    if spans[frame, axis] >= widths[frame, axis]:
        raise PositionsError(
            f"box smaller than the molecule: {what} measures {spans[frame, axis]:.3g} nm along box vector "
            f"{'abc'[axis]}, between whose faces lie {widths[frame, axis]:.3g} nm, in frame {{frame}}: check that both "
            "are in nm",
            frame_number(int(frame), len(positions), frames),
        )


def wrap(positions, vectors, molecules):
    """Translate whole molecules so that their centres lie in the box.

    Parameters
    ----------
    positions : numpy.ndarray, shape (f, n, 3)
        nm.
    vectors : numpy.ndarray, shape (f, 3, 3)
    molecules : numpy.ndarray of int, shape (n,)
        From `molecule_labels`.

    Returns
    -------
    numpy.ndarray, shape (f, n, 3)
    """
    order = np.argsort(molecules, kind="stable")
    starts = np.flatnonzero(np.diff(molecules[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    centres = np.add.reduceat(positions[:, order], starts, axis=1, dtype=float) / sizes[:, None]
    shifts = _lattice_vectors(centres, vectors[:, None], np.floor)
    return positions - shifts[:, molecules].astype(positions.dtype)


def _lattice_vectors(differences, vectors, rounding):
    """The lattice vector nearest (np.round) or below (np.floor) each difference, (..., 3) and (..., 3, 3)."""
    found = np.zeros(np.shape(differences))
    for k in (2, 1, 0):
        counts = rounding((differences - found)[..., k] / vectors[..., k, k])
        found += counts[..., None] * vectors[..., k, :]
    return found
