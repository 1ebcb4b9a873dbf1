"""Topologies as plain dictionaries, so that a model file carries names and bonds without a PDB parser's guesses."""

from openmm_cgvae.core.errors import ModelFileError
from openmm_cgvae.molecule.foreign import foreign_topology

__all__ = ["as_mdtraj_topology", "copied_topology", "topology_from_dict", "topology_to_dict"]


def as_mdtraj_topology(topology):
    """Return `topology` as an mdtraj ``Topology``; those of other libraries are converted, see `foreign_topology`."""
    return foreign_topology(topology)


def copied_topology(topology):
    """Return a copy of an OpenMM ``Topology``, bonds and box too.

    ``copy.deepcopy`` of releases before 8.6 leaves bonds between other atoms than those of the copy.
    """
    from openmm.app import Topology

    copy, atoms = Topology(), {}
    for chain in topology.chains():
        own_chain = copy.addChain(chain.id)
        for residue in chain.residues():
            own = copy.addResidue(residue.name, own_chain, residue.id, residue.insertionCode)
            for atom in residue.atoms():
                atoms[atom.index] = copy.addAtom(atom.name, atom.element, own, atom.id)
    for bond in topology.bonds():
        copy.addBond(atoms[bond[0].index], atoms[bond[1].index], bond.type, bond.order)
    copy.setPeriodicBoxVectors(topology.getPeriodicBoxVectors())
    return copy


def topology_to_dict(topology):
    """Describe an mdtraj or OpenMM ``Topology`` in JSON types.

    Returns
    -------
    dict
        ``atoms``: a list of [name, element symbol or "", residue]; ``residues``: [name, sequence number, chain];
        ``bonds``: pairs of atom indices.
    """
    topology = as_mdtraj_topology(topology)
    index = {atom: i for i, atom in enumerate(topology.atoms)}
    symbols = ["" if a.element is None or a.element.symbol == "VS" else a.element.symbol for a in topology.atoms]
    return {
        "atoms": [[a.name, s, a.residue.index] for a, s in zip(topology.atoms, symbols, strict=True)],
        "residues": [[r.name, r.resSeq, r.chain.index] for r in topology.residues],
        "bonds": [[index[a], index[b]] for a, b in topology.bonds],
    }


def topology_from_dict(description):
    """Rebuild the OpenMM ``Topology`` that `topology_to_dict` described.

    Raises
    ------
    ModelFileError
        If the description is incomplete.
    """
    from openmm.app import Element, Topology

    try:
        topology = Topology()
        chains, residues, atoms = {}, [], []
        for name, number, chain in description["residues"]:
            if chain not in chains:
                chains[chain] = topology.addChain()
            residues.append(topology.addResidue(name, chains[chain], id=str(number)))
        for name, symbol, residue in description["atoms"]:
            element = Element.getBySymbol(symbol) if symbol else None
            atoms.append(topology.addAtom(name, element, residues[residue]))
        for i, j in description["bonds"]:
            topology.addBond(atoms[i], atoms[j])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ModelFileError(f"the stored topology cannot be read ({error!r}): the file is damaged") from error
    return topology
