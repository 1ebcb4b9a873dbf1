"""Ways to make a `CGMapping`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from openmm_cgvae.core.errors import MappingError, SettingsError
from openmm_cgvae.molecule.mapping.cgmapping import CGMapping
from openmm_cgvae.molecule.topology import as_mdtraj_topology, atom_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from openmm_cgvae.core.types import Beads, SomeTopology

__all__ = ["alpha_carbon_mapping", "check_request", "custom_mapping", "residue_mapping"]


def custom_mapping(
    topology: SomeTopology,
    beads: Beads | dict[str, Sequence[int]],
    weights: str | ArrayLike = "geometric",
    names: Sequence[str] | None = None,
) -> CGMapping:
    """Use beads given by hand.

    Parameters
    ----------
    topology : mdtraj.Topology or openmm.app.Topology
    beads : sequence of sequence of int, or dict of str to sequence of int
        Atom indices of every bead; the keys of a dict name the beads.
    weights : {"geometric", "mass"} or array_like, shape (n_atoms,)
    names : sequence of str, optional

    Returns
    -------
    CGMapping
    """
    topology = as_mdtraj_topology(topology)
    if isinstance(beads, dict):
        names, beads = tuple(beads), tuple(beads.values())
    return CGMapping(topology, beads, atom_weights(topology, weights), names)


def residue_mapping(topology: SomeTopology, weights: str | ArrayLike = "geometric") -> CGMapping:
    """Put one bead on every residue.

    Parameters
    ----------
    topology : mdtraj.Topology or openmm.app.Topology
    weights : {"geometric", "mass"} or array_like, shape (n_atoms,)

    Returns
    -------
    CGMapping
        Beads named by residue.
    """
    topology = as_mdtraj_topology(topology)
    beads = [[atom.index for atom in residue.atoms] for residue in topology.residues]
    return custom_mapping(topology, beads, weights, [residue.name for residue in topology.residues])


def alpha_carbon_mapping(topology: SomeTopology) -> CGMapping:
    """Put one bead on every alpha carbon.

    Every atom of a residue is rebuilt with its alpha carbon and has weight 0 itself. A cap without alpha carbon
    (ACE, NME, NH2) is joined to the neighbouring residue.

    Parameters
    ----------
    topology : mdtraj.Topology or openmm.app.Topology

    Returns
    -------
    CGMapping

    Raises
    ------
    MappingError
        If a chain has no alpha carbon.
    """
    topology = as_mdtraj_topology(topology)
    beads, names, weights = [], [], np.zeros(topology.n_atoms)
    for chain in topology.chains:
        waiting: list[int] = []
        own: list[list[int]] = []
        for residue in chain.residues:
            atoms = [atom.index for atom in residue.atoms]
            centre = next((a.index for a in residue.atoms if a.name == "CA" and a.element.symbol == "C"), None)
            if centre is not None:
                weights[centre] = 1.0
                own.append(waiting + atoms)
                names.append(residue.name)
                waiting = []
            elif own:
                own[-1] += atoms
            else:
                waiting += atoms
        if not own:
            raise MappingError(f"chain {chain.index} has no alpha carbon: map it by residue or by hand")
        beads += own
    return CGMapping(topology, beads, weights, names)


def check_request(n_beads, least, most, what, seed=0):
    """Check the number of beads and the seed.

    Parameters
    ----------
    n_beads : int
    least, most : int
        The range that is possible.
    what : str
        What there are `most` of.
    seed : int

    Raises
    ------
    MappingError
        If `n_beads` is not a whole number from `least` to `most`.
    SettingsError
        If `seed` is negative or has more than 63 bits.
    """
    if n_beads != int(n_beads) or not least <= n_beads <= most:
        raise MappingError(
            f"{n_beads} beads asked for: a whole number from {least} to {most} is expected, "
            f"since the molecule has {most} {what}"
        )
    if not 0 <= seed < 2**63:
        raise SettingsError(f"seed={seed} given: an integer from 0 to 2**63 - 1 is expected")
