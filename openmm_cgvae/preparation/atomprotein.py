"""The protein that all-atom MD is of, for a model of any protein."""

from itertools import product

import numpy as np

from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS
from openmm_cgvae.core.errors import TopologyMismatchError
from openmm_cgvae.preparation.structures import amino_acids, beads_of, chain_of
from openmm_cgvae.proteins.beadweights import MAPPINGS

__all__ = ["bound_to_atoms"]


def bound_to_atoms(model, topology, positions):
    """Make the sampler of the protein that all-atom MD is of, to `evaluate` it.

    Protonation, disulfides, caps and termini are those that the topology's atoms show.

    Parameters
    ----------
    model : Model
        Of any protein.
    topology : openmm.app.Topology
        All atoms, hydrogens too.
    positions : array_like, shape (n, 3)
        One frame in nm.

    Returns
    -------
    sampler : ProteinBackmapper
    order : int array, shape (n,)
        Of the sampler's atoms among those of the topology.

    Raises
    ------
    TopologyMismatchError
        If the atoms are of no protein, or not those of one in any state that is known.
    """
    chain, residues = chain_of(topology, positions), amino_acids(topology)
    number = {residue.index: i for i, (residue, _) in enumerate(residues)}
    pairs = [
        (number[one.residue.index], number[other.residue.index])
        for one, other in topology.bonds()
        if one.name == other.name == "SG"
    ]
    beads, places = beads_of(chain, MAPPINGS[model.metadata["mapping"]])
    states = {i: state for i, (residue, kind) in enumerate(residues) if (state := _state(residue, kind))}
    given, unlike = {key: atom.index for key, atom in _named(topology).items()}, []
    for ends in product(("capped", "charged", "neutral"), repeat=2):
        sampler = model.bind(
            beads, positions=places, breaks="none", termini=ends, protonation=states, disulfides=pairs or None
        )
        wanted = list(_named(sampler.topology))
        unlike.append(sorted(set(wanted) ^ set(given)))
        if not unlike[-1]:
            return sampler, np.array([given[key] for key in wanted])
    residue, name = min(unlike, key=len)[0]
    raise TopologyMismatchError(
        f"{len(given)} atoms given, of which {name} of residue {residue + 1} is missing, or is none of a protein: "
        "all atoms of amino acids, with hydrogens, and of their caps are expected, as OpenMM names them"
    )


def _named(topology):
    """Atoms by the number of their residue and their name."""
    return {(atom.residue.index, atom.name): atom for atom in topology.atoms()}


def _state(residue, kind):
    """State of an amino acid of a type that its hydrogens show; None of the usual one."""
    there = {atom.name for atom in residue.atoms()}
    states = {
        "H": ("HIP" if "HE2" in there else "HID") if "HD1" in there else "HIE",
        "D": "ASH" if "HD2" in there else None,
        "E": "GLH" if "HE2" in there else None,
        "K": None if {"HZ1", "HZ2", "HZ3"} <= there else "LYN",
    }
    return states.get(AMINO_ACIDS[kind])
