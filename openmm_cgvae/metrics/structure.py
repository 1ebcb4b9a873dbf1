"""Metrics of single structures: bond graph, handedness, cis/trans, clashes, RMSD.

Every function returns one value (or row) a frame. To pool a distance over frames as the paper does, take the root of
the mean square, ``sqrt(mean(rmsd**2))``; to pool a yes or no, the mean.
"""

import numpy as np

from openmm_cgvae.core.errors import PositionsError, SettingsError, TopologyMismatchError
from openmm_cgvae.core.units import as_positions_nm, value_in_md_units
from openmm_cgvae.molecule.graph import BOND_FACTOR, dihedral, signed_volume
from openmm_cgvae.molecule.neighbourpairs import LARGE, changed_bonds, pairs_closer

__all__ = [
    "CONTACT_NM",
    "bond_angles",
    "bond_graph_edit_ratio",
    "bond_graph_edit_ratios",
    "bond_lengths",
    "cis_trans",
    "clashes",
    "correct_chirality",
    "correct_cis_trans",
    "handedness",
    "match_equivalent_hydrogens",
    "rmsd",
    "torsion_angles",
    "valid_graphs",
]

# Two heavy atoms this close without a bond between them are a clash in the backmapping literature (1.2 A).
CONTACT_NM = 0.12
# Numbers a temporary array may hold: about what a core's own cache does.
CHUNK = 1 << 17


def in_chunks(measure, positions, per_frame):
    """Apply `measure` to as many frames at a time as `CHUNK` numbers allow, `per_frame` each, and join the results."""
    step = max(1, CHUNK // max(1, per_frame))
    starts = range(0, max(1, len(positions)), step)
    return np.concatenate([measure(positions[k : k + step]) for k in starts])


def bond_graph_edit_ratio(positions, graph, atoms=None):
    """Relative difference of the bond graph seen in the positions to that of the molecule.

    lambda = |E_gen symmetric-difference E_mol| / |E_mol| (paper, section F.3); E_gen holds the pairs closer than
    ``graph.bond_cutoffs`` (appendix D), E_mol the bonds of the molecule.

    Parameters
    ----------
    positions : Quantity or array_like, shape (frames, n, 3) or (n, 3)
        nm.
    graph : MolecularGraph
    atoms : array_like of int or bool, optional
        Count only edges among these atoms, for example ``graph.heavy``.

    Returns
    -------
    numpy.ndarray, shape (frames,)
        0 for a correct structure. The plain number of edits where the molecule has no bond among `atoms`.

    Raises
    ------
    PositionsError
        If the positions are not of this molecule or not finite.
    SettingsError
        If `atoms` names an atom that does not exist.
    """
    return bond_graph_edit_ratios(positions, graph, [atoms])[0]


def bond_graph_edit_ratios(positions, graph, selections):
    """As `bond_graph_edit_ratio` of several selections of atoms at once: a list of arrays."""
    frames = as_positions_nm(positions, graph.n_atoms, "atoms")
    selections = [_selected(graph.n_atoms, atoms) for atoms in selections]
    if graph.n_atoms > LARGE:
        bonds = [max(1, np.count_nonzero(np.isin(graph.bonds, atoms).all(1))) for atoms in selections]
        counts = changed_bonds(frames, graph, selections, BOND_FACTOR)
        return [count / n for count, n in zip(counts, bonds, strict=True)]
    return [_edit_ratio(frames, graph, atoms) for atoms in selections]


def _edit_ratio(frames, graph, atoms):
    inside = np.ix_(atoms, atoms)
    bonded = (graph.bond_distances == 1)[inside]
    edits = _count_unexpected(frames, atoms, graph.bond_cutoffs[inside], bonded)
    return edits / max(1, np.count_nonzero(bonded) // 2)


def valid_graphs(positions, graph, atoms=None):
    """Tell which frames have exactly the bond graph of the molecule, lambda = 0; bool, shape (frames,)."""
    return bond_graph_edit_ratio(positions, graph, atoms) == 0


def clashes(positions, graph, contact_nm=CONTACT_NM):
    """Tell which frames have a contact that no bond explains.

    Parameters
    ----------
    positions : Quantity or array_like, shape (frames, n, 3) or (n, 3)
        nm.
    graph : MolecularGraph
    contact_nm : float
        Two heavy atoms more than 3 bonds apart and closer than this are a clash.

    Returns
    -------
    numpy.ndarray of bool, shape (frames,)

    Raises
    ------
    PositionsError
        If the positions are not of this molecule or not finite.
    """
    frames = as_positions_nm(positions, graph.n_atoms, "atoms")
    if graph.n_atoms > LARGE:
        return pairs_closer(frames, graph, graph.heavy, contact_nm, 3) > 0
    apart = (graph.bond_distances > 3)[np.ix_(graph.heavy, graph.heavy)]
    # No distance is below 0: pairs that may touch never count.
    limits = np.where(apart, contact_nm, 0.0)
    return _count_unexpected(frames, graph.heavy, limits, np.zeros_like(apart)) > 0


def _count_unexpected(frames, atoms, limits, expected):
    """Count the pairs of which "closer than `limits`" is not what is `expected`.

    Parameters
    ----------
    frames : numpy.ndarray, shape (frames, n, 3)
    atoms : numpy.ndarray of int, shape (m,)
    limits : numpy.ndarray, shape (m, m)
        nm.
    expected : numpy.ndarray of bool, shape (m, m)

    Returns
    -------
    numpy.ndarray of int, shape (frames,)
    """
    squared_limits = (limits**2).astype(frames.dtype)[..., None]
    expected = expected[..., None]

    def count(chunk):
        # Frames last: every operation runs over contiguous memory, one atom against all later ones.
        coordinates = np.ascontiguousarray(chunk[:, atoms].transpose(2, 1, 0))
        total = np.zeros(len(chunk), dtype=np.int64)
        for i in range(len(limits) - 1):
            squared = np.square(coordinates[:, i + 1 :] - coordinates[:, i, None]).sum(0)
            unexpected = (squared < squared_limits[i, i + 1 :]) != expected[i, i + 1 :]
            if unexpected.any():
                total += np.count_nonzero(unexpected, axis=0)
        return total

    return in_chunks(count, frames, 3 * len(limits))


def handedness(positions, graph, centres=None):
    """Sign of the volume spanned at each stereocentre.

    Parameters
    ----------
    positions : Quantity or array_like, shape (frames, n, 3) or (n, 3)
        nm.
    graph : MolecularGraph
    centres : int array, shape (c, 4), optional
        Others than ``graph.stereocentres``: an atom and three of its neighbours.

    Returns
    -------
    numpy.ndarray of int8, shape (frames, centres)
        1 or -1, in the order of the centres; a mirror image has the opposite sign, and 0 is flat.

    Raises
    ------
    PositionsError
        If the positions are not of this molecule or not finite.
    """
    frames = as_positions_nm(positions, graph.n_atoms, "atoms")
    rows = graph.stereocentres if centres is None else centres
    return in_chunks(lambda chunk: np.sign(signed_volume(chunk, rows)).astype(np.int8), frames, 9 * len(rows))


def correct_chirality(positions, graph, reference_signs):
    """Tell which frames have the right handedness at every stereocentre.

    Parameters
    ----------
    positions : Quantity or array_like, shape (frames, n, 3) or (n, 3)
        nm.
    graph : MolecularGraph
    reference_signs : array_like, shape (centres,), (1, centres) or (frames, centres)
        What `handedness` says of a reference structure.

    Returns
    -------
    numpy.ndarray of bool, shape (frames,)
        True everywhere for a molecule without stereocentres.

    Raises
    ------
    TopologyMismatchError
        If the signs are not of this molecule.
    """
    signs = handedness(positions, graph)
    return (signs == _fitting(reference_signs, signs.shape, "reference_signs", "handedness")).all(-1)


def cis_trans(positions, graph):
    """Tell which omega torsions are trans.

    Parameters
    ----------
    positions : Quantity or array_like, shape (frames, n, 3) or (n, 3)
        nm.
    graph : MolecularGraph

    Returns
    -------
    numpy.ndarray of bool, shape (frames, t)
        True where \\|omega\\| > 90 degrees, in the order of ``graph.torsions["omega"]``.
    """
    return np.abs(torsion_angles(positions, graph, graph.torsions["omega"])) > np.pi / 2


def correct_cis_trans(positions, graph, reference_trans=None):
    """Tell which frames have every omega torsion on the right side.

    Parameters
    ----------
    positions : Quantity or array_like, shape (frames, n, 3) or (n, 3)
        nm.
    graph : MolecularGraph
    reference_trans : array_like of bool, shape (t,), (1, t) or (frames, t), optional
        What `cis_trans` says of a reference. If omitted, all are to be trans, but before proline both will do.

    Returns
    -------
    numpy.ndarray of bool, shape (frames,)

    Raises
    ------
    TopologyMismatchError
        If `reference_trans` is not of this molecule.
    """
    trans = cis_trans(positions, graph)
    if reference_trans is None:
        free = np.array([graph.residues[row[2]] == "PRO" for row in graph.torsions["omega"]], dtype=bool)
        return (trans | free).all(-1)
    return (trans == _fitting(reference_trans, trans.shape, "reference_trans", "cis_trans")).all(-1)


def bond_lengths(positions, graph):
    """Length of every bond in nm, shape (frames, bonds), in the order of ``graph.bonds``."""
    frames = as_positions_nm(positions, graph.n_atoms, "atoms")
    i, j = graph.bonds.T
    return in_chunks(lambda chunk: np.linalg.norm(chunk[:, i] - chunk[:, j], axis=-1), frames, 3 * len(i))


def bond_angles(positions, graph):
    """Angle between every two bonds of an atom, radians, shape (frames, angles).

    Ordered by the atom in the middle, then by its two neighbours.
    """
    frames = as_positions_nm(positions, graph.n_atoms, "atoms")
    rows = [(a, i, b) for i, row in enumerate(graph.neighbours) for k, a in enumerate(row) for b in row[k + 1 :]]
    ends, middle, others = np.array(rows, dtype=np.int64).reshape(-1, 3).T

    def measure(chunk):
        u, v = chunk[:, ends] - chunk[:, middle], chunk[:, others] - chunk[:, middle]
        # Unlike the arc cosine, exact for straight angles too.
        return np.arctan2(np.linalg.norm(np.cross(u, v), axis=-1), (u * v).sum(-1))

    return in_chunks(measure, frames, 9 * len(rows))


def torsion_angles(positions, graph, rows):
    """Torsion angles in radians, in (-pi, pi], shape (frames, t), of atom rows (t, 4) as in ``graph.torsions``."""
    frames, rows = as_positions_nm(positions, graph.n_atoms, "atoms"), np.asarray(rows)
    return in_chunks(lambda chunk: dihedral(chunk, rows), frames, 15 * len(rows))


def rmsd(positions, reference, atoms=None):
    """Root mean square distance to a reference, without superposition (paper, section F.3).

    Both share the coarse-grained frame, so that nothing has to be fitted.

    Parameters
    ----------
    positions : Quantity or array_like, shape (frames, n, 3) or (n, 3)
        nm.
    reference : Quantity or array_like, shape (frames, n, 3), (1, n, 3) or (n, 3)
        nm; one frame is compared with all.
    atoms : array_like of int or bool, optional
        Average over these atoms only.

    Returns
    -------
    numpy.ndarray, shape (frames,)
        nm; pool over frames by ``sqrt(mean(rmsd**2))``.

    Raises
    ------
    PositionsError
        If the shapes do not fit or a coordinate is not finite.
    SettingsError
        If `atoms` names an atom that does not exist, or none.
    """
    frames, reference = _paired(positions, reference)
    atoms = _selected(frames.shape[1], atoms)
    return np.sqrt(np.square(frames[:, atoms] - reference[:, atoms]).sum(-1).mean(-1))


def match_equivalent_hydrogens(positions, reference, graph):
    """Relabel the hydrogens of each XH3 group of the reference as they lie closest to the positions.

    The three labels are only turned in a cycle, which a rotation of the group can also do: handedness stays.

    Parameters
    ----------
    positions : Quantity or array_like, shape (frames, n, 3) or (n, 3)
        nm.
    reference : Quantity or array_like, shape (frames, n, 3), (1, n, 3) or (n, 3)
        nm.
    graph : MolecularGraph

    Returns
    -------
    numpy.ndarray, shape (frames, n, 3)
        The reference, relabelled for every frame; nm.

    Raises
    ------
    PositionsError
        If the shapes do not fit or a coordinate is not finite.
    """
    frames, reference = _paired(positions, reference)
    as_positions_nm(frames, graph.n_atoms, "atoms")
    matched = np.array(np.broadcast_to(reference, frames.shape))
    turns = np.array([[0, 1, 2], [1, 2, 0], [2, 0, 1]])
    for group in graph.equivalent_hydrogens:
        distances = [np.square(frames[:, group] - matched[:, group[turn]]).sum((1, 2)) for turn in turns]
        best = turns[np.argmin(distances, axis=0)]
        matched[:, group] = np.take_along_axis(matched[:, group], best[..., None], axis=1)
    return matched


def _selected(n_atoms, atoms):
    """Sorted indices of the chosen atoms, all if `atoms` is None."""
    if atoms is None:
        return np.arange(n_atoms)
    try:
        chosen = np.unique(np.arange(n_atoms)[np.asarray(atoms)])
    except IndexError as error:
        raise SettingsError(f"atoms of a molecule of {n_atoms} expected, indices from 0 or a mask: {error}") from error
    if not chosen.size:
        raise SettingsError("no atom chosen: give at least one, or None for all")
    return chosen


def _paired(positions, reference):
    """Both as (frames, n, 3) arrays; the reference may have one frame for all."""
    reference = value_in_md_units(reference)
    n_atoms = np.shape(reference)[-2] if np.ndim(reference) in (2, 3) else 0
    reference = as_positions_nm(reference, n_atoms, "atoms")
    frames = as_positions_nm(positions, n_atoms, "atoms")
    if len(reference) not in (1, len(frames)):
        raise PositionsError(
            f"{len(frames)} frames and {len(reference)} reference frames given: give one reference, or one a frame"
        )
    return frames, reference


def _fitting(reference, shape, name, maker):
    """The reference as an array that fits measured values of `shape` (frames, k)."""
    reference = np.asarray(reference)
    if reference.shape[-1:] != shape[1:] or reference.shape[:-1] not in ((), (1,), shape[:1]):
        raise TopologyMismatchError(
            f"{name} of shape {reference.shape} given, {shape[1:]} or {shape} expected: "
            f"take it from {maker}() of a structure of the same molecule"
        )
    return reference
