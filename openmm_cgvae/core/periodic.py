"""Molecules in periodic boxes of any triclinic shape: made whole, checked against the box, wrapped into it.

Box vectors are rows in nm, as OpenMM and GROMACS write them: a along x, b in the xy plane (lower triangular). A
difference whose components are below half of the diagonal then is the image that rounding finds, axis by axis, last
vector first; nothing here needs the vectors to be reduced further.
"""

import numpy as np

from openmm_cgvae.core.errors import PositionsError
from openmm_cgvae.core.units import value_in_md_units

__all__ = [
    "as_box_vectors",
    "box_widths",
    "check_fits",
    "make_whole",
    "molecule_labels",
    "reduced_vectors",
    "spanning_tree",
    "wrap",
]


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
        nm, float64.

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
    return np.broadcast_to(np.tril(given), (n_frames, 3, 3))


def box_widths(vectors):
    """Distance between opposite faces of each box, (..., 3, 3) to (..., 3), in nm."""
    return 1 / np.linalg.norm(np.linalg.inv(vectors), axis=-2)


def reduced_vectors(vectors):
    """The same lattices, (..., 3, 3), by the vectors OpenMM accepts: 2|b_x| <= a_x, 2|c_x| <= a_x, 2|c_y| <= b_y."""
    a, b, c = np.moveaxis(np.array(vectors, dtype=float), -2, 0)
    b -= a * np.round(b[..., :1] / a[..., :1])
    c -= b * np.round(c[..., 1:2] / b[..., 1:2])
    c -= a * np.round(c[..., :1] / a[..., :1])
    return np.stack([a, b, c], axis=-2)


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


def check_fits(positions, vectors, what, size_nm=0.0):
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
            f"{'abc'[axis]}, between whose faces lie {widths[frame, axis]:.3g} nm: check that both are in nm"
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
