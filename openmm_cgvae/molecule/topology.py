"""Topologies as plain dictionaries, so that a model file carries names and bonds without a PDB parser's guesses."""

import numpy as np

from openmm_cgvae.chemistry.topologies import STEREO
from openmm_cgvae.core.errors import MappingError, ModelFileError
from openmm_cgvae.molecule.description import check_topology
from openmm_cgvae.molecule.foreign import foreign_topology

__all__ = [
    "CHEMISTRY",
    "as_mdtraj_topology",
    "atom_weights",
    "copied_topology",
    "topology_from_dict",
    "topology_to_dict",
]

# Keys of a description that files may lack: those of before had none, and few formats tell them.
CHEMISTRY = ("bond_kinds", "charges", "stereo")


def as_mdtraj_topology(topology):
    """Return `topology` as an mdtraj ``Topology``; those of other libraries are converted, see `foreign_topology`."""
    converted = foreign_topology(topology)
    if converted is not topology:
        setattr(converted, STEREO, getattr(topology, STEREO, None))
    return converted


def atom_weights(topology, weights):
    """Turn ``"geometric"``, ``"mass"`` or an array into one weight an atom, shape (n_atoms,)."""
    if isinstance(weights, str):
        topology = as_mdtraj_topology(topology)
        if weights == "geometric":
            return np.ones(topology.n_atoms)
        if weights == "mass":
            return np.array([atom.element.mass for atom in topology.atoms])
        raise MappingError(f"weights {weights!r} given: 'geometric', 'mass' or one number an atom expected")
    return weights


def copied_topology(topology):
    """Return a copy of an OpenMM ``Topology``, bonds, stereo marks and box too.

    ``copy.deepcopy`` of releases before 8.6 leaves bonds between other atoms than those of the copy.
    """
    from openmm.app import Topology

    copy, atoms = Topology(), {}
    for chain in topology.chains():
        own_chain = copy.addChain(chain.id)
        for residue in chain.residues():
            own = copy.addResidue(residue.name, own_chain, residue.id, residue.insertionCode)
            for atom in residue.atoms():
                atoms[atom.index] = copy.addAtom(atom.name, atom.element, own, atom.id, atom.formalCharge)
    for bond in topology.bonds():
        copy.addBond(atoms[bond[0].index], atoms[bond[1].index], bond.type, bond.order)
    copy.setPeriodicBoxVectors(topology.getPeriodicBoxVectors())
    setattr(copy, STEREO, getattr(topology, STEREO, None))
    return copy


def topology_to_dict(topology):
    """Describe an mdtraj or OpenMM ``Topology`` in JSON types.

    Returns
    -------
    dict
        ``atoms``: a list of [name, element symbol or "", residue]; ``residues``: [name, sequence number, chain];
        ``bonds``: pairs of atom indices. Where something is known, ``bond_kinds``: the type ("Single", "Double",
        "Triple", "Aromatic", "Amide" or "") and order (a number or None) of every bond; ``charges``: the formal charge
        of every atom, or None; ``stereo``: the ``stereoMarks`` of `molecule_topology`.
    """
    topology = as_mdtraj_topology(topology)
    index = {atom: i for i, atom in enumerate(topology.atoms)}
    symbols = ["" if a.element is None or a.element.symbol == "VS" else a.element.symbol for a in topology.atoms]
    bonds = list(topology.bonds)
    description = {
        "atoms": [[a.name, s, a.residue.index] for a, s in zip(topology.atoms, symbols, strict=True)],
        "residues": [[r.name, r.resSeq, r.chain.index] for r in topology.residues],
        "bonds": [[index[a], index[b]] for a, b in bonds],
    }
    kinds = [["" if bond.type is None else str(bond.type), bond.order] for bond in bonds]
    if any(kind != ["", None] for kind in kinds):
        description["bond_kinds"] = kinds
    charges = [getattr(atom, "formal_charge", None) for atom in topology.atoms]
    if any(charge is not None for charge in charges):
        description["charges"] = charges
    if getattr(topology, STEREO, None):
        description["stereo"] = getattr(topology, STEREO)
    return description


def topology_from_dict(description):
    """Rebuild the OpenMM ``Topology`` that `topology_to_dict` described.

    Raises
    ------
    ModelFileError
        If the description is incomplete.
    """
    from openmm import app
    from openmm.app import Element, Topology

    check_topology(description)
    kinds = description.get("bond_kinds") or [["", None]] * len(description.get("bonds", ()))
    charges = description.get("charges") or [None] * len(description.get("atoms", ()))
    try:
        topology = Topology()
        chains, residues, atoms = {}, [], []
        for name, number, chain in description["residues"]:
            if chain not in chains:
                chains[chain] = topology.addChain()
            residues.append(topology.addResidue(name, chains[chain], id=str(number)))
        for (name, symbol, residue), charge in zip(description["atoms"], charges, strict=True):
            element = Element.getBySymbol(symbol) if symbol else None
            atoms.append(topology.addAtom(name, element, residues[residue], formalCharge=charge))
        for (i, j), (kind, order) in zip(description["bonds"], kinds, strict=True):
            topology.addBond(atoms[i], atoms[j], type=getattr(app, kind) if kind else None, order=order)
        setattr(topology, STEREO, description.get("stereo"))
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ModelFileError(f"the stored topology cannot be read ({error!r}): the file is damaged") from error
    return topology
