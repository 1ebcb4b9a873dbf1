"""Contacts between molecules, in the open or in a periodic box."""

from itertools import product

import numpy as np

from openmm_cgvae.core.errors import PositionsError
from openmm_cgvae.core.periodic import as_box_vectors, box_widths, molecule_labels
from openmm_cgvae.core.units import as_positions_nm
from openmm_cgvae.molecule.graph import MolecularGraph
from openmm_cgvae.molecule.topology import as_mdtraj_topology

__all__ = ["intermolecular_clashes"]


def intermolecular_clashes(positions, topology, vectors=None):
    """Count the pairs of atoms of different molecules that lie as close as if they were bonded.

    Two atoms clash below 1.3 times the sum of their covalent radii, where the bond graph of the paper (appendix D) has
    an edge: 0.20 nm for two carbons, 0.14 for carbon and hydrogen, 0.08 for two hydrogens. With none, the bond graph
    seen in the whole box is that of its molecules.

    Parameters
    ----------
    positions : Quantity or array_like, shape (frames, n, 3) or (n, 3)
        nm.
    topology : mdtraj.Topology or openmm.app.Topology
        Its bonds say what a molecule is; particles without an element, such as virtual sites, never clash.
    vectors : Quantity or array_like, shape (3, 3) or (frames, 3, 3), optional
        Periodic box of any triclinic shape, nm.

    Returns
    -------
    numpy.ndarray of int, shape (frames,)

    Raises
    ------
    PositionsError
        If the positions are not of this topology or not finite, or the box is narrower than such a distance.
    """
    topology = as_mdtraj_topology(topology)
    molecules = molecule_labels(topology.n_atoms, [(a.index, b.index) for a, b in topology.bonds])
    numbers = [atom.element.atomic_number if atom.element else 0 for atom in topology.atoms]
    elements, kinds = np.unique(numbers, return_inverse=True)
    limits = _bond_cutoffs(elements)
    frames = as_positions_nm(positions, topology.n_atoms, "atoms").astype(float)
    boxes = [None] * len(frames) if vectors is None else as_box_vectors(vectors, len(frames))

    def count(frame, box):
        i, j, distances = close_pairs(frame, limits.max(), box)
        return np.count_nonzero((molecules[i] != molecules[j]) & (distances < limits[kinds[i], kinds[j]]))

    return np.array([count(*pair) for pair in zip(frames, boxes, strict=True)], dtype=np.int64)


def _bond_cutoffs(elements):
    """The molecular graph's own limits in nm for every two of these atomic numbers; 0 is no element and no limit."""
    nothing = np.zeros((0, 2), dtype=np.int64)
    limits = MolecularGraph(elements, nothing, (), (), nothing).bond_cutoffs.copy()
    limits[elements == 0] = limits[:, elements == 0] = 0.0
    return limits


def close_pairs(positions, cutoff, vectors=None):
    """Find the pairs of points closer than a cutoff, under periodic boundary conditions where a box is given.

    Points go into the box, images of those near a face are added around it, and a k-d tree finds the rest: right for
    every lattice, cost linear in the number of points.

    Parameters
    ----------
    positions : numpy.ndarray, shape (n, 3)
    cutoff : float
    vectors : numpy.ndarray, shape (3, 3), optional

    Returns
    -------
    i, j : numpy.ndarray of int, shape (p,)
        i < j, each pair once.
    distances : numpy.ndarray, shape (p,)
        To the nearest image.

    Raises
    ------
    PositionsError
        If a face of the box is nearer to the opposite one than the cutoff.
    """
    from scipy.spatial import cKDTree

    points, sources = (positions, np.arange(len(positions))) if vectors is None else _with_images(
        positions, cutoff, vectors
    )  # fmt: skip
    pairs = cKDTree(points).query_pairs(cutoff, output_type="ndarray")
    # Images among themselves say nothing new; those of one point are no pair.
    pairs = pairs[(pairs.min(1) < len(positions)) & (sources[pairs[:, 0]] != sources[pairs[:, 1]])]
    distances = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    i, j = np.sort(sources[pairs], axis=1).T
    # The nearest image of each pair comes first.
    order = np.lexsort([distances, j, i])
    i, j, distances = i[order], j[order], distances[order]
    first = np.ones(len(i), dtype=bool)
    first[1:] = (np.diff(i) != 0) | (np.diff(j) != 0)
    return i[first], j[first], distances[first]


def _with_images(positions, cutoff, vectors):
    """Points in the box, followed by their images within `cutoff` around it, and which point each one is."""
    margin = cutoff / box_widths(vectors)
    if (margin >= 1).any():
        raise PositionsError(
            f"box {box_widths(vectors).min():.3g} nm wide given: wider than a contact of {cutoff:.3g} nm is expected"
        )
    fractional = positions @ np.linalg.inv(vectors)
    fractional -= np.floor(fractional)
    points, sources = [fractional], [np.arange(len(positions))]
    for cell in product((-1, 0, 1), repeat=3):
        if any(cell):
            image = fractional + cell
            near = np.flatnonzero(((image > -margin) & (image < 1 + margin)).all(1))
            points.append(image[near])
            sources.append(near)
    return np.concatenate(points) @ vectors, np.concatenate(sources)
