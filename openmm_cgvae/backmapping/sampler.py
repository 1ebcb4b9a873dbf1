"""The interface of everything that samples atoms for beads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from openmm.app import Topology

    from openmm_cgvae.molecule.mapping import CGMapping

__all__ = ["Sampler"]


@runtime_checkable
class Sampler(Protocol):
    """Samples all-atom structures for the beads of one molecule or system.

    `Backmapper` and `SystemBackmapper` are samplers. `BackmapReporter`, `backmap_trajectory`, `Minimizer`,
    `to_atomistic_simulation` and the command line ask these names and no others, so that a class that has them can be
    used wherever a `Backmapper` can.

    Attributes
    ----------
    n_beads, n_atoms : int
        N beads in, n atoms out.
    mapping : CGMapping
        M, with M x = X for every structure x sampled for beads X.
    topology : openmm.app.Topology
        Of the atoms. A new object each time, so that a caller may set its box.
    handedness : sequence of int or None
        +1 or -1 for each stereocentre, in the order of ``MolecularGraph.stereocentres``; None if unknown.
    """

    @property
    def n_beads(self) -> int: ...

    @property
    def n_atoms(self) -> int: ...

    @property
    def mapping(self) -> CGMapping: ...

    @property
    def topology(self) -> Topology: ...

    @property
    def handedness(self) -> Sequence[int] | None: ...

    def cg_topology(self) -> Topology:
        """Return the ``openmm.app.Topology`` of the beads, in their order, with their bonds."""
        ...

    def sample(
        self,
        cg_positions: object,
        n_samples: int = 1,
        seed: int | None = None,
        frames: Sequence[int] | np.ndarray | None = None,
        correlation: float = 0.0,
        box: object = None,
    ) -> np.ndarray:
        """Draw all-atom structures from p(x | X).

        Parameters
        ----------
        cg_positions : Quantity or array_like, shape (N, 3) or (frames, N, 3)
            Bead positions, bare numbers in nm; molecules whole, unless a box is given.
        n_samples : int
            Structures for each frame.
        seed : int, optional
            With the same seed a frame number has the same structures, however the frames are split over calls.
        frames : int array, shape (frames,), optional
            Frame numbers that key the noise; 0, 1, 2, ... if omitted.
        correlation : float
            Correlation time of the noise in frames; 0 draws every frame on its own.
        box : Quantity or array_like, shape (3, 3) or (frames, 3, 3), optional
            Periodic box vectors: molecules are made whole along their bonds first.

        Returns
        -------
        numpy.ndarray, shape (frames, n_samples, n, 3)
            nm.

        Raises
        ------
        PositionsError
            If the beads do not fit the model.
        SettingsError
            If a number is out of its range.
        """
        ...
