"""A box of two kinds of molecules, with ions and solvent beads, which several tests share."""

import numpy as np
from openmm import app

BOX = np.array([[3.0, 0, 0], [1.4, 3.2, 0], [-1.2, 1.5, 2.9]])
# Two kinds and two sorts of particles that no model covers, mixed.
ORDER = ["three", "CL", "five", "three", "W", "W", "CL", "CL", "five", "three"]


def cg_box(kinds, order=ORDER):
    """Molecules in chains of their own, residues numbered through; no bonds."""
    topology, number = app.Topology(), 1
    for k, name in enumerate(order):
        chain = topology.addChain("abcdefghijklm"[k])
        single = kinds[name].cg_topology() if name in kinds else None
        for atom in single.atoms() if single else [None]:
            residue = topology.addResidue(atom.residue.name if atom else name, chain, str(number))
            topology.addAtom(atom.name if atom else name, app.element.chlorine if name == "CL" else None, residue)
            number += 1
    return topology
