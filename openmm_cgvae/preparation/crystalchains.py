"""Protein chains of PDB and mmCIF files, as models for any protein are trained on."""

import logging
from itertools import groupby

import numpy as np

from openmm_cgvae.chemistry.aminoacids.names import variant_of
from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS, HEAVY_ATOMS, N_SLOTS, VARIANT_TYPES
from openmm_cgvae.core.errors import DataError
from openmm_cgvae.preparation.atomrecords import is_structure, read_atoms
from openmm_cgvae.proteins.chains import Chain, PackedChains

__all__ = ["chains_of_file", "chains_of_paths"]

logger = logging.getLogger(__name__)

# Names in selenomethionine and of older force fields.
_RENAMED = {("M", "SE"): "SD", ("I", "CD"): "CD1"}
# Longest peptide bond, and C-alpha distance where an atom of it is missing, in Angstrom.
PEPTIDE, ALPHAS = 1.8, 4.3
N, CA, C = 0, 1, 2


def chains_of_file(path, shortest=30, complete=0.95):
    """Read the protein chains of a file.

    Of alternates, a residue has the one with the highest occupancy. Residues that lack an atom of the backbone are left
    out, other residues than amino acids too; the chain has a break there.

    Parameters
    ----------
    path : path
        PDB or mmCIF, also gzipped.
    shortest : int
        Least number of residues of a chain.
    complete : float
        Least part of a chain's residues that must have all their atoms.

    Returns
    -------
    chains : list of Chain
        Named by the file and the chain, such as 1ejg_A.
    resolution : float
        Angstrom, NaN where the file does not tell.
    """
    atoms, resolution = read_atoms(path)
    stem = str(path).replace("\\", "/").split("/")[-1].split(".")[0]
    chains = []
    for chain_id in dict.fromkeys(atom.chain for atom in atoms):
        chain, share = _chain(f"{stem}_{chain_id}".rstrip("_"), [atom for atom in atoms if atom.chain == chain_id])
        if chain is None or len(chain.residue_types) < shortest or share < complete:
            n, whole = (0, 0) if chain is None else (len(chain.residue_types), share)
            logger.info("%s, chain %s left out: %d residues, %.0f %% complete", path, chain_id, n, 100 * whole)
        else:
            chains.append(chain)
    return chains, resolution


def _chain(name, atoms):
    """A `Chain` of atoms in the order of the file, and the part of its residues that are complete; None of none."""
    found = []
    for _, group in groupby(atoms, key=lambda atom: (atom.number, atom.insertion, atom.chain)):
        residue = _residue(list(group))
        if residue is not None:
            found.append(residue)
    if not found:
        return None, 0.0
    types, places, masks = (np.array(column) for column in zip(*found, strict=True))
    share = float(np.mean([mask[: len(HEAVY_ATOMS[kind])].all() for kind, mask in zip(types, masks, strict=True)]))
    link = np.linalg.norm(places[1:, N] - places[:-1, C], axis=1)
    apart = np.linalg.norm(places[1:, CA] - places[:-1, CA], axis=1)
    connected = np.append(False, (link < PEPTIDE) & (apart < ALPHAS))
    return Chain(name, types, places.astype(np.float32), masks, connected), share


def _residue(atoms):
    """Type, positions (14, 3) and mask (14,) of one residue; None if it is no amino acid or lacks backbone."""
    chosen = _alternate(atoms)
    variant = variant_of(chosen[0].residue)
    if variant is None:
        return None
    kind = AMINO_ACIDS.index("H") if variant == "HIS" else VARIANT_TYPES[variant]
    places, mask = np.zeros((N_SLOTS, 3)), np.zeros(N_SLOTS, dtype=bool)
    for atom in chosen:
        name = _RENAMED.get((AMINO_ACIDS[kind], atom.name), atom.name)
        if name in HEAVY_ATOMS[kind]:
            slot = HEAVY_ATOMS[kind].index(name)
            places[slot], mask[slot] = atom.position, True
    return (kind, places, mask) if mask[:4].all() else None


def _alternate(atoms):
    """The atoms of a residue's alternate of the highest occupancy, with those that have none."""
    share = {}
    for atom in atoms:
        if atom.alternate:
            share[atom.alternate] = share.get(atom.alternate, 0.0) + atom.occupancy
    # The first of equals; alternates may be of different amino acids.
    best = max(share, key=share.get) if share else ""
    return [atom for atom in atoms if atom.alternate in ("", best)]


def chains_of_paths(paths, shortest):
    """Return the protein chains of PDB and mmCIF files, and those of the test split of packed chains.

    Raises
    ------
    DataError
        If a file is something else, or there is no chain of at least `shortest` residues.
    """
    chains = []
    for path in map(str, paths):
        if path.endswith(".npz"):
            chains += PackedChains.load(path).subset("test")
        elif is_structure(path):
            chains += chains_of_file(path, shortest=shortest, complete=0.0)[0]
        else:
            raise DataError(
                f"{path} given for a model of any protein: PDB or mmCIF files, or packed chains are expected, or MD "
                "with the topology of its atoms (--top)"
            )
    if not chains:
        listed = ", ".join(map(str, paths))
        raise DataError(f"no protein chain of {shortest} residues or more with its backbone in {listed}")
    return chains
