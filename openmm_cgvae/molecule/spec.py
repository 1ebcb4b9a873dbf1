"""What the model must know of one molecule and its mapping: index arrays only."""

from dataclasses import dataclass, fields

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

    @property
    def n_atoms(self):
        return len(self.assignment)

    @property
    def n_beads(self):
        return len(self.projection)

    def to_arrays(self):
        """Arrays by field name, for ``numpy.savez`` or a checkpoint."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays):
        """Undo `to_arrays`; other keys are ignored."""
        return cls(**{field.name: np.asarray(arrays[field.name]) for field in fields(cls)})
