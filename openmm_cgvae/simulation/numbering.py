"""Residues of backmapped structures under the numbers and chains that their beads have."""

from openmm_cgvae.molecule.topology import copied_topology

__all__ = ["numbered_as"]


def numbered_as(topology, mapping, beads):
    """Take over chain ids, residue numbers and insertion codes of a topology of beads, where it tells them.

    It does where beads of one residue have one number and those of different residues different ones: beads that are
    numbered through are not. A residue without a bead of its own follows the one before it.

    Parameters
    ----------
    topology : openmm.app.Topology
        Of all atoms.
    mapping : CGMapping
        Of these on the beads.
    beads : openmm.app.Topology

    Returns
    -------
    openmm.app.Topology
        A copy if anything changes.
    """
    atoms, given = list(topology.atoms()), list(beads.atoms())
    if mapping.n_beads != len(given):
        # Particles that are left out.
        return topology
    told = {}
    for bead, particle in zip(mapping.beads, given, strict=True):
        residue = particle.residue
        told.setdefault(atoms[bead[0]].residue.index, set()).add((residue.chain.id, residue.id, residue.insertionCode))
    labels = {index: next(iter(label)) for index, label in told.items() if len(label) == 1}
    if len(labels) < len(told) or len(set(labels.values())) < len(labels):
        return topology
    own = {residue.index: (residue.chain.id, residue.id, residue.insertionCode) for residue in topology.residues()}
    if all(own[index] == label for index, label in labels.items()):
        return topology
    changed = copied_topology(topology)
    for chain in changed.chains():
        _renumber(chain, labels)
    return changed


def _renumber(chain, labels):
    residues = list(chain.residues())
    told = [residue for residue in residues if residue.index in labels]
    if not told:
        return
    chains = {labels[residue.index][0] for residue in told}
    last, number = told[0], told[0].id
    for residue in residues:
        if residue.index in labels:
            last, number = residue, residue.id
            _, residue.id, residue.insertionCode = labels[residue.index]
        elif all(text.lstrip("-").isdigit() for text in (residue.id, number, labels[last.index][1])):
            residue.id = str(int(residue.id) - int(number) + int(labels[last.index][1]))
    if len(chains) == 1:
        chain.id = chains.pop()
