"""Beads along the backbone (CGVAE paper, appendix F.2, "CG based on backbones")."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from openmm_cgvae.core.errors import DataError, MappingError
from openmm_cgvae.core.units import as_positions_nm
from openmm_cgvae.molecule.mapping.builders import check_request, custom_mapping
from openmm_cgvae.molecule.topology import as_mdtraj_topology

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from openmm_cgvae.core.types import Positions, SomeTopology
    from openmm_cgvae.molecule.mapping.cgmapping import CGMapping

__all__ = ["backbone_chain", "backbone_mapping"]

# Along the chain, whatever the order in the file; CH3 is the carbon of a cap.
ORDER = {"N": 0, "CA": 1, "CH3": 1, "C": 2, "O": 3}


def backbone_mapping(
    topology: SomeTopology, positions: Positions, n_beads: int, seed: int = 0, weights: str | ArrayLike = "geometric"
) -> CGMapping:
    """Cut the backbone into random segments, and add every other atom to the nearest of them.

    Nearest is the segment whose centre of geometry has the least distance to the atom in the mean over frames.

    Parameters
    ----------
    topology : mdtraj.Topology or openmm.app.Topology
    positions : Quantity or array_like, shape (n, 3) or (frames, n, 3)
        One or more structures in nm, molecules whole.
    n_beads : int
        From the number of chains, none of which shares a segment with another, to the number of backbone atoms.
    seed : int
        Of the cuts, from 0 to 2**63 - 1. Same seed and positions, same mapping.
    weights : {"geometric", "mass"} or array_like, shape (n,)

    Returns
    -------
    CGMapping
        Beads in the order of the chain.

    Raises
    ------
    MappingError
        If the molecule has no backbone, or `n_beads` is out of range.
    DataError
        If there is no frame.
    PositionsError
        If the positions are of another shape, or not finite.
    SettingsError
        If `seed` is out of range.
    """
    topology = as_mdtraj_topology(topology)
    frames = as_positions_nm(positions, topology.n_atoms, "atoms")
    if not len(frames):
        raise DataError("no frame given: at least one structure is expected to find the nearest segment")
    chain = backbone_chain(topology)
    segments = _cut(topology, chain, n_beads, seed)
    centres = np.stack([frames[:, part].mean(1, dtype=np.float64) for part in segments], axis=1)
    # One segment at a time, since all distances at once need N n 3 numbers a frame.
    distances = [np.linalg.norm(frames - centres[:, k, None], axis=-1).mean(0) for k in range(n_beads)]
    assignment = np.argmin(distances, axis=0)
    for k, part in enumerate(segments):
        assignment[part] = k
    return custom_mapping(topology, [np.flatnonzero(assignment == k) for k in range(n_beads)], weights)


def backbone_chain(topology):
    """The heavy backbone atoms in the order of the chain: N, CA, C, O of every residue, and the heavy atoms of caps.

    Parameters
    ----------
    topology : mdtraj.Topology or openmm.app.Topology

    Returns
    -------
    numpy.ndarray of int, shape (backbone atoms,)

    Raises
    ------
    MappingError
        If there are none.
    """
    topology = as_mdtraj_topology(topology)
    # mdtraj counts all heavy atoms of ACE and NME to the backbone, except a methyl carbon called CH3.
    chosen = topology.select("backbone or (protein and name CH3)")
    if not len(chosen):
        raise MappingError("the molecule has no protein backbone: choose another method, such as autograin")
    atoms = [topology.atom(i) for i in chosen]
    atoms.sort(key=lambda atom: (atom.residue.index, ORDER[atom.name]))
    return np.array([atom.index for atom in atoms])


def _cut(topology, chain, n_beads, seed):
    """Contiguous parts of `chain`, every possible cut equally likely, and one between any two molecules' chains."""
    numbers = np.array([topology.atom(i).residue.chain.index for i in chain])
    ends = np.diff(numbers) != 0
    check_request(n_beads, int(ends.sum()) + 1, len(chain), "backbone atoms, caps included", seed)
    possible = np.flatnonzero(~ends) + 1
    random = np.random.default_rng(seed).choice(possible, n_beads - 1 - int(ends.sum()), replace=False)
    return np.split(chain, np.sort(np.concatenate([np.flatnonzero(ends) + 1, random]).astype(np.int64)))
