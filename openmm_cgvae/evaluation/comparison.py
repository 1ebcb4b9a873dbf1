"""A CG force field judged in atoms: bead distances of its run, and torsions of the backmapped frames, beside MD."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from openmm_cgvae.cg.inversion import distance_divergence, runs_or_blocks
from openmm_cgvae.core.units import as_positions_nm
from openmm_cgvae.metrics import each_torsion_divergence
from openmm_cgvae.molecule.graph import MolecularGraph
from openmm_cgvae.molecule.topology import as_mdtraj_topology

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike

    from openmm_cgvae.backmapping.sampler import Sampler
    from openmm_cgvae.core.types import Positions

__all__ = ["reference_divergence"]


def reference_divergence(
    backmapper: Sampler, beads_nm: Positions, reference_nm: Positions, runs: ArrayLike | None = None, seed: int = 0
) -> dict[str, Any]:
    """Compare a CG run with reference MD, by its bead distances and by the torsions of the backmapped atoms.

    Of the reference's own beads it tells what the backmapping alone costs; the difference to that is the force field's.

    Parameters
    ----------
    backmapper : Backmapper
    beads_nm : Quantity or array_like, shape (frames, N, 3)
        nm, the molecule whole.
    reference_nm : numpy.ndarray, shape (reference frames, n, 3)
        All-atom MD in nm, better of runs that neither model nor force field has seen.
    runs : int array, shape (reference frames,), optional
        Independent run of every reference frame, for an honest floor; 20 contiguous blocks of one run, or if omitted.
    seed : int
        Of the structures (one a frame), and of the thinning to equal counts.

    Returns
    -------
    dict of str to {"divergence": float, "floor": float}
        Jensen-Shannon divergences in nats, and what MD scores against MD at the same count: the mean over
        ``bead_distances``, and over the torsions of each kind (``backbone``, ``side_chain``, ``rotatable_hydrogen``)
        that the molecule has.

    Raises
    ------
    PositionsError
        If beads or reference are not those of the model.
    DataError
        If there are fewer than two reference frames.
    """
    runs = runs_or_blocks(runs, len(reference_nm))
    beads = as_positions_nm(beads_nm, backmapper.n_beads, "beads")
    atoms = backmapper.sample(beads, 1, seed)[:, 0]
    graph = MolecularGraph.from_topology(as_mdtraj_topology(backmapper.topology))
    torsions = each_torsion_divergence(atoms, reference_nm, graph, runs, seed)
    by_kind: dict[str, list[tuple[float, float]]] = {}
    for torsion in torsions.values():
        by_kind.setdefault(torsion["kind"], []).append((torsion["divergence"], torsion["floor"]))
    distances = distance_divergence(beads, backmapper.mapping.project(reference_nm), runs, seed)
    means = {
        name: np.mean(found, axis=0).tolist() for name, found in {"bead_distances": [distances], **by_kind}.items()
    }
    return {name: dict(zip(("divergence", "floor"), pair, strict=True)) for name, pair in means.items()}
