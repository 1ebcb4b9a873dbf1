"""The OpenMM topology of an assembled protein."""

import gc
from contextlib import contextmanager

import numpy as np

__all__ = ["atom_topology"]

# Atoms of caps where they are part of the residue they cap: names of CHARMM's patches ACE, CT3 and CT2.
_MERGED = {
    "ACE": {"CH3": "CAY", "C": "CY", "O": "OY", "H1": "HY1", "H2": "HY2", "H3": "HY3"},
    "NME": {"N": "NT", "H": "HNT", "C": "CAT", "H1": "HT1", "H2": "HT2", "H3": "HT3"},
    "NH2": {"N": "NT", "HN1": "HT1", "HN2": "HT2"},
}


def atom_topology(assembly, labels, bonded, record, kept_rows, merge_caps=False):
    """Return the ``openmm.app.Topology`` of all atoms.

    Every part of a chain is a chain of its own with the id of the whole, so that a PDB file ends it with TER and a
    reader bonds nothing across. Beads that are kept follow as chains of particles without an element.

    Parameters
    ----------
    assembly : Assembly
    labels : list of (number, insertion code, chain id, molecule)
        By residue.
    bonded : numpy.ndarray of bool
        Whether a residue is bonded to the one before.
    record : BeadRecord
    kept_rows : list of int
    merge_caps : bool
        Whether caps are part of the residue they cap.
    """
    with _no_garbage_collection():
        return _build(assembly, labels, bonded, record, kept_rows, merge_caps)


def _build(assembly, labels, bonded, record, kept_rows, merge_caps):
    from openmm.app import Element, Topology

    topology = Topology()
    ids = _ChainIds()
    elements = {int(n): Element.getByAtomicNumber(int(n)) for n in np.unique(assembly.numbers)}
    numbers = assembly.numbers.tolist()
    atoms, chain, residue = [], None, None
    for k, template in enumerate(assembly.templates):
        names = template.atoms
        merged = merge_caps and template.type < 0
        if merged:
            names = [_MERGED[template.name][name] for name in names]
        if not bonded[k]:
            chain = topology.addChain(ids.id_of(*labels[k][2:]))
        # A cap in front is of the residue behind it, which has been begun then.
        ahead = merged and not bonded[k]
        begun = merge_caps and k and not bonded[k - 1] and assembly.templates[k - 1].type < 0
        if not begun and not (merged and bonded[k]):
            named = k + 1 if ahead else k
            residue = topology.addResidue(assembly.templates[named].name, chain, *map(str, labels[named][:2]))
        for name in names:
            atoms.append(topology.addAtom(name, elements[numbers[len(atoms)]], residue))
    for i, j in assembly.bonds.tolist():
        topology.addBond(atoms[i], atoms[j])
    last = None
    for row in kept_rows:
        place = (record.chains[row], int(record.molecules[row]))
        if last is None or place != last[:2]:
            chain = topology.addChain(ids.id_of(*place))
        if last is None or (*place, int(record.residues[row])) != last:
            last = (*place, int(record.residues[row]))
            residue = topology.addResidue(
                record.residue_names[row], chain, str(record.numbers[row]), record.insertions[row]
            )
        topology.addAtom(record.names[row], None, residue)
    return topology


@contextmanager
def _no_garbage_collection():
    """Hundreds of thousands of objects that stay: looking through them again and again takes most of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _ChainIds:
    """Ids of chains: the source's, or letters for chains without one."""

    def __init__(self):
        self._letters = {}

    def id_of(self, chain_id, molecule):
        if chain_id:
            return chain_id
        count = self._letters.setdefault(molecule, len(self._letters))
        return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[count % 26]
