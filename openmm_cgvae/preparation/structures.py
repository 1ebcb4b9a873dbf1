"""Between protein structures as topologies with positions in nm, and chains as residue types with atoms by slot."""

import numpy as np
from openmm import app

from openmm_cgvae.core.errors import TopologyMismatchError
from openmm_cgvae.core.units import as_positions_nm
from openmm_cgvae.molecule.names import variant_of
from openmm_cgvae.molecule.residues import AMINO_ACIDS, HEAVY_ATOMS, N_SLOTS, RESIDUE_NAMES, VARIANT_TYPES
from openmm_cgvae.training.chains import Chain

__all__ = ["bead_topology", "chain_of", "heavy_atoms"]


def bead_topology(chain):
    """Return the C-alpha beads of a `Chain` as an ``openmm.app.Topology``, a chain for each unbroken part."""
    topology, part = app.Topology(), None
    for kind, connected in zip(chain.residue_types, chain.connected, strict=True):
        part = part if part and connected else topology.addChain()
        topology.addAtom("CA", app.element.carbon, topology.addResidue(RESIDUE_NAMES[kind], part))
    return topology


def heavy_atoms(positions, topology):
    """Return the heavy atoms of amino acids by slot.

    Parameters
    ----------
    positions : array_like, shape (..., n, 3)
        nm.
    topology : openmm.app.Topology
        Residues that are no amino acids, such as caps and water, are left out, as are hydrogens and OXT.

    Returns
    -------
    atoms : numpy.ndarray, shape (..., N, 14, 3)
        Angstrom, of the N amino acids.
    mask : numpy.ndarray of bool, shape (N, 14)
        Which atoms are there.
    """
    residues = _amino_acids(topology)
    rows = [
        (atom.index, i, HEAVY_ATOMS[kind].index(atom.name))
        for i, (residue, kind) in enumerate(residues)
        for atom in residue.atoms()
        if atom.name in HEAVY_ATOMS[kind]
    ]
    index, residue, slot = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    positions = np.asarray(positions)
    atoms = np.zeros((*positions.shape[:-2], len(residues), N_SLOTS, 3))
    mask = np.zeros((len(residues), N_SLOTS), dtype=bool)
    atoms[..., residue, slot, :] = positions[..., index, :] * 10
    mask[residue, slot] = True
    return atoms, mask


def chain_of(topology, positions, name=""):
    """Return the amino acids of a structure as one `Chain`, connected where the topology has a peptide bond.

    Parameters
    ----------
    topology : openmm.app.Topology
        As ``openmm.app.PDBFile(path).topology``, which bonds residues of a chain that follow each other.
    positions : Quantity or array_like, shape (n, 3)
        nm.
    name : str, optional

    Raises
    ------
    TopologyMismatchError
        If there is no amino acid, or one has no C-alpha.
    """
    atoms, mask = heavy_atoms(as_positions_nm(positions, topology.getNumAtoms(), "atoms")[0], topology)
    residues = _amino_acids(topology)
    if not mask[:, 1].all() or not len(mask):
        lacking = [str(residue) for (residue, _), there in zip(residues, mask[:, 1], strict=True) if not there]
        raise TopologyMismatchError(
            f"{lacking[0]} without C-alpha given" if lacking else "no amino acid given: a protein is expected"
        )
    number = {residue.index: i for i, (residue, _) in enumerate(residues)}
    connected = np.zeros(len(residues), dtype=bool)
    for one, other in topology.bonds():
        if {one.name, other.name} == {"C", "N"} and one.residue is not other.residue:
            first, second = sorted(number.get(atom.residue.index, -1) for atom in (one, other))
            connected[second] |= first >= 0 and second == first + 1
    return Chain(name, np.array([kind for _, kind in residues]), atoms, mask, connected)


def _amino_acids(topology):
    """Amino acids of a topology, each with its type."""
    types = ((residue, _type_of(residue.name)) for residue in topology.residues())
    return [(residue, kind) for residue, kind in types if kind is not None]


def _type_of(name):
    """Type of an amino acid by its name; None for other residues."""
    variant = variant_of(name)
    return AMINO_ACIDS.index("H") if variant == "HIS" else VARIANT_TYPES.get(variant)
