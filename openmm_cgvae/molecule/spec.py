"""Index arrays that describe a molecule and its mapping to a network."""

from dataclasses import MISSING, dataclass, fields

import numpy as np

__all__ = ["MoleculeSpec"]


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
        """Undo `to_arrays`; other keys are ignored."""
        known = [field.name for field in fields(cls) if field.default is MISSING or field.name in arrays]
        return cls(**{name: np.asarray(arrays[name]) for name in known})
