"""Weights of heavy atoms in the beads of each mapping, by amino acid and slot."""

import numpy as np

from openmm_cgvae.binding.beadweights import bead_weights
from openmm_cgvae.binding.martini import MARTINI_ROLES, martini_beads
from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS, N_SLOTS

__all__ = ["MAPPINGS", "N_EXTRA", "weights_of"]

# Mappings a model may be of, and what they are called where beads are read.
MAPPINGS = {"ca": "ca", "com": "com", "martini": "martini3"}
# Side-chain beads of a residue, at most.
N_EXTRA = len(MARTINI_ROLES) - 1


def weights_of(mapping: str):
    """Weights of a residue's own bead and of its side-chain beads.

    Returns
    -------
    main : float array, shape (20, 14)
    extra : float array, shape (20, N_EXTRA, 14)
        All zero where a residue has no such bead; (20, 0, 14) for mappings of one bead a residue.
    """
    version = MAPPINGS[mapping]
    n_extra = N_EXTRA if mapping == "martini" else 0
    main, extra = np.zeros((len(AMINO_ACIDS), N_SLOTS)), np.zeros((len(AMINO_ACIDS), n_extra, N_SLOTS))
    for kind in range(len(AMINO_ACIDS)):
        roles = martini_beads(version, kind) if n_extra else [version.upper()]
        for role in roles:
            slots, weights = bead_weights(kind, role, version)
            row = extra[kind, MARTINI_ROLES.index(role) - 1] if role.startswith("SC") else main[kind]
            row[list(slots)] = weights
    return main, extra
