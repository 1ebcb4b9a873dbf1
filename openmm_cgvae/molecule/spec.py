"""Index arrays that describe a molecule and its mapping to a network."""

from dataclasses import MISSING, dataclass, fields

import numpy as np

from openmm_cgvae.core.errors import DataError

__all__ = ["MoleculeSpec"]

# Rows of tables by type, where there are fewer atoms or beads than types; and of tables of pairs.
MOST_TYPES, MOST_ROWS = 4096, 1 << 24
MAY_BE_EMPTY = ("bead_frames", "bead_axes")


@dataclass(frozen=True)
class MoleculeSpec:
    """Static index arrays of one molecule on its beads (n atoms, N beads).

    Parameters
    ----------
    atom_types : int array, shape (n,)
        Embedding row of every atom.
    assignment : int array, shape (n,)
        Bead m(i) of every atom.
    channels : int array, shape (n,)
        Place of every atom in its bead, Index(i, C_I) (paper, section 4.3).
    projection : float array, shape (N, n)
        The mapping's M.
    atom_frames : int array, shape (n, 3)
        Three atoms along the bonds from each atom, for a signed volume that shows its side.
    bead_frames : int array, shape (N, 3)
        Three other beads near each bead, for a signed volume; empty, (0, 3), where there are fewer than 4 beads.
    bead_axes : int array, shape (N, 2)
        Two other beads near each bead; empty, (0, 2), where there are fewer than 3 beads.
    graph_pairs : int array, shape (p, 2)
        Pairs of the graph loss.
    equivalent_hydrogens : int array, shape (g, 3)
    near_pairs : int array, shape (m, 2)
        Pairs up to 3 bonds apart, each once.
    near_hops : int array, shape (m,)
        Number of bonds between them.
    rigid_pairs : int array, shape (r, 2)
        Pairs 3 bonds apart whose distance hardly changes.
    contact_kinds : int array, shape (n,)
        What the closest approach of an atom depends on.
    handedness : float array, shape (c,)
        Sign of the volume of each of the molecule's stereocentres in the reference.
    alike_pairs : int array, shape (g, 5)
        A centre, two of its neighbours, and two alike end atoms of one bead and weight, in the order that gives the
        first four a positive volume in the reference.
    bead_types : int array, shape (N,), optional
        Row of every bead in the tables that a network learns for beads (embeddings, latent moments).
    place_types : int array, shape (n,), optional
        Row of every atom in the tables for atoms on their beads (place filters, refinement).
    bound_types : int array, shape (p,), optional
        Row of every bounded pair (`near_pairs` up to 2 bonds apart, then `rigid_pairs`) in the table of bounds.
    shape_types : int array, shape (s,), optional
        Row of every bounded shape in the table of bounds.

    A network that serves several molecules has a row for each type of bead, atom or pair. Where types are omitted, each
    is its own type: the network is of one molecule.
    """

    atom_types: np.ndarray
    assignment: np.ndarray
    channels: np.ndarray
    projection: np.ndarray
    atom_frames: np.ndarray
    bead_frames: np.ndarray
    bead_axes: np.ndarray
    graph_pairs: np.ndarray
    equivalent_hydrogens: np.ndarray
    near_pairs: np.ndarray
    near_hops: np.ndarray
    rigid_pairs: np.ndarray
    contact_kinds: np.ndarray
    handedness: np.ndarray
    alike_pairs: np.ndarray
    bead_types: np.ndarray | None = None
    place_types: np.ndarray | None = None
    bound_types: np.ndarray | None = None
    shape_types: np.ndarray | None = None

    @property
    def n_atoms(self):
        return len(self.assignment)

    @property
    def n_beads(self):
        return len(self.projection)

    def to_arrays(self):
        """Arrays by field name, for ``numpy.savez`` or a checkpoint."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: array for name, array in arrays.items() if array is not None}

    @classmethod
    def from_arrays(cls, arrays):
        """Undo `to_arrays`; other keys are ignored.

        Raises
        ------
        DataError
            If an array is missing, of another shape, or names atoms or beads that are not there.
        """
        known = [field.name for field in fields(cls) if field.default is MISSING or field.name in arrays]
        missing = [name for name in known if name not in arrays]
        if missing:
            raise DataError(f"the molecule has no array {missing[0]}")
        spec = cls(**{name: np.asarray(arrays[name]) for name in known})
        spec.check()
        return spec

    def check(self):
        """Refuse arrays that do not belong together (`DataError`)."""
        if self.projection.ndim != 2 or self.assignment.ndim != 1:
            raise DataError("the molecule has a projection or an assignment of another shape")
        n, n_beads, rows = self.n_atoms, self.n_beads, {"n": self.n_atoms, "N": self.n_beads}
        if not n or not n_beads:
            raise DataError(f"the molecule has {n} atoms on {n_beads} beads")
        for name, (shape, dtype, least, most) in _expected(n, n_beads).items():
            array = getattr(self, name)
            if array is None:
                continue
            sides = [tuple(rows.get(side, side) for side in shape)]
            if name in MAY_BE_EMPTY:
                sides.append((0, *sides[0][1:]))
            if not any(_fits(array.shape, side) for side in sides):
                raise DataError(f"array {name} of the molecule has shape {array.shape}, {sides[0]} is expected")
            if array.dtype.kind not in dtype:
                raise DataError(f"array {name} of the molecule is of {array.dtype}")
            # The negation makes NaN fail too.
            if array.size and not (array.min() >= least and array.max() <= most):
                raise DataError(f"array {name} of the molecule has numbers outside {least:g} to {most:g}")
        if (np.bincount(self.assignment, minlength=n_beads) == 0).any():
            raise DataError("a bead of the molecule has no atom")


def _fits(shape, expected):
    return len(shape) == len(expected) and all(b is None or a == b for a, b in zip(shape, expected, strict=True))


def _expected(n, n_beads):
    """Shape (n atoms, N beads, None for any number), kinds of dtype, least and largest number of every array."""
    atoms, beads, types = n - 1, n_beads - 1, max(n, n_beads, MOST_TYPES) - 1
    return {
        "atom_types": (("n",), "iu", 0, types), "assignment": (("n",), "iu", 0, beads),
        "channels": (("n",), "iu", 0, atoms), "projection": (("N", "n"), "f", -1e-6, 1 + 1e-6),
        "atom_frames": (("n", 3), "iu", 0, atoms), "bead_frames": (("N", 3), "iu", 0, beads),
        "bead_axes": (("N", 2), "iu", 0, beads), "graph_pairs": ((None, 2), "iu", 0, atoms),
        "equivalent_hydrogens": ((None, 3), "iu", 0, atoms), "near_pairs": ((None, 2), "iu", 0, atoms),
        "near_hops": ((None,), "iu", 1, 3), "rigid_pairs": ((None, 2), "iu", 0, atoms),
        "contact_kinds": (("n",), "iu", 0, types), "handedness": ((None,), "fiu", -1, 1),
        "alike_pairs": ((None, 5), "iu", 0, atoms), "bead_types": (("N",), "iu", 0, types),
        "place_types": (("n",), "iu", 0, types), "bound_types": ((None,), "iu", 0, MOST_ROWS),
        "shape_types": ((None,), "iu", 0, MOST_ROWS),
    }  # fmt: skip
