"""Between protein structures as topologies with positions in nm, and chains as residue types with atoms by slot."""

import numpy as np
from openmm import app

from openmm_cgvae.binding.beadweights import mapping_weights
from openmm_cgvae.binding.martini import martini_beads
from openmm_cgvae.chemistry.aminoacids.names import variant_of
from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS, HEAVY_ATOMS, N_SLOTS, RESIDUE_NAMES, VARIANT_TYPES
from openmm_cgvae.core.errors import TopologyMismatchError
from openmm_cgvae.core.units import as_positions_nm
from openmm_cgvae.proteins.chains import Chain

__all__ = ["amino_acids", "beads_of", "chain_of", "heavy_atoms"]


def beads_of(chain, mapping="ca"):
    """Return the beads that stand for a `Chain`.

    Parameters
    ----------
    chain : Chain
        Where atoms are missing, a bead is the centre of those that are there; without any it is left out.
    mapping : {"ca", "com", "martini3", "martini2", "elnedyn"}

    Returns
    -------
    topology : openmm.app.Topology
        A chain for each unbroken part.
    positions : numpy.ndarray, shape (b, 3)
        nm.
    """
    types = chain.residue_types
    names = [{"ca": ("CA",), "com": ("COM",)}.get(mapping) or martini_beads(mapping, kind) for kind in types]
    owners, roles = (
        np.repeat(np.arange(len(types)), [len(row) for row in names]),
        [role for row in names for role in row],
    )
    starts = N_SLOTS * np.arange(len(types))
    rows, beads, weights = mapping_weights(types, owners, roles, mapping, starts)
    weights = weights * chain.mask.ravel()[rows]
    totals = np.bincount(beads, weights, len(owners))
    positions = np.zeros((len(owners), 3))
    np.add.at(positions, beads, weights[:, None] * chain.atoms.reshape(-1, 3)[rows] / 10)
    there = totals > 0
    topology, part, residue, last = app.Topology(), None, None, None
    for owner, role in zip(owners[there], [role for role, kept in zip(roles, there, strict=True) if kept], strict=True):
        if owner != last:
            part = part if part and chain.connected[owner] else topology.addChain()
            residue, last = topology.addResidue(RESIDUE_NAMES[types[owner]], part), owner
        topology.addAtom(role, app.element.carbon, residue)
    return topology, positions[there] / totals[there, None]


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
    residues = amino_acids(topology)
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
    residues = amino_acids(topology)
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


def amino_acids(topology):
    """Amino acids of a topology, each with its type."""
    types = ((residue, _type_of(residue.name)) for residue in topology.residues())
    return [(residue, kind) for residue, kind in types if kind is not None]


def _type_of(name):
    """Type of an amino acid by its name; None for other residues."""
    variant = variant_of(name)
    return AMINO_ACIDS.index("H") if variant == "HIS" else VARIANT_TYPES.get(variant)
