"""The reference ensemble of a molecule: ETKDGv3 from many seeds, minimised with MMFF94s, without duplicates."""

import hashlib
from dataclasses import dataclass

import numpy as np

from openmm_cgvae.chemistry.isomers import ATTEMPTS
from openmm_cgvae.chemistry.rotatable import rotatable_bonds
from openmm_cgvae.chemistry.symmetry import heavy_symmetries
from openmm_cgvae.core.checks import check_ranges
from openmm_cgvae.core.errors import MoleculeError
from openmm_cgvae.ensembles.packed import Ensemble, with_conformers
from openmm_cgvae.metrics.pairrmsd import pair_rmsd
from openmm_cgvae.preparation.scaffolds import split_of

__all__ = ["EnsembleProtocol", "boltzmann_weights", "reference_ensemble", "relaxed", "seed_of"]

KCAL = 4.184
# Boltzmann constant times 298.15 K in kJ/mol.
RT = 0.00831446262 * 298.15
# Minima of one conformer agree in energy to this, in kJ/mol: only such pairs are compared when duplicates are removed.
SAME_ENERGY = 1.0
MINIMIZER_STEPS = 2000
# ETKDG seeds of a molecule without rotatable bonds, and how many times as many each such bond asks for.
RIGID_SEEDS, SEEDS_A_BOND = 10, 2


@dataclass(frozen=True)
class EnsembleProtocol:
    """How the ensemble of a molecule is made.

    Parameters
    ----------
    seeds : int
        Most ETKDGv3 conformers that are minimised; of a molecule of few rotatable bonds 10 times 2 to their power are.
    test_seeds : int
        The same for molecules of the test split, whose ensembles should miss nothing.
    window : float
        Energies above the lowest that are kept, in kJ/mol.
    prune : float
        Heavy-atom RMSD in Angstrom below which two minima are one.
    most : int
        Conformers that are kept, the lowest in energy.
    approximate : int
        Raw ETKDGv3 conformers kept beside, the first of those that were minimised.
    """

    seeds: int = 60
    test_seeds: int = 150
    window: float = 25.0
    prune: float = 0.1
    most: int = 100
    approximate: int = 10

    def __post_init__(self):
        check_ranges(self, positive=("seeds", "test_seeds", "window", "most"), zero=("prune", "approximate"))


def reference_ensemble(mol, source, protocol, seed=0):
    """Make the ensemble of one molecule; its split, and everything drawn, depends on the molecule and `seed` alone.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        One molecule, without undefined stereo marks (see `drawn_isomer`).
    source : str
        Where the molecule is from.
    protocol : EnsembleProtocol
    seed : int

    Returns
    -------
    Ensemble

    Raises
    ------
    MoleculeError
        If MMFF94s has no parameters, or no conformer can be built that keeps the stereo marks.
    """
    from rdkit import Chem
    from rdkit.Chem import rdForceFieldHelpers

    smiles = Chem.MolToSmiles(Chem.RemoveHs(mol))
    # Atoms in the order that a reader of the SMILES has.
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        raise MoleculeError(f"{smiles}: MMFF94s has no parameters for it")
    split = split_of(mol)
    most = protocol.test_seeds if split == "test" else protocol.seeds
    count = min(most, RIGID_SEEDS * SEEDS_A_BOND ** min(len(rotatable_bonds(mol)), 20))
    built = _embedded(mol, count, seed_of(seed, smiles))
    approximate = _positions(built)[: protocol.approximate]
    if not built.GetNumConformers():
        raise MoleculeError(f"{smiles}: ETKDGv3 builds no conformer of it")
    positions, energies = relaxed(mol, _positions(built))
    kept = _distinct(mol, positions, energies, protocol)
    if not len(kept):
        raise MoleculeError(f"{smiles}: no minimum that keeps its stereo marks was found")
    return Ensemble(
        smiles=smiles,
        split=split,
        source=source,
        method="mmff94s",
        elements=np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=np.uint8),
        positions=positions[kept].astype(np.float32),
        energies=energies[kept],
        weights=boltzmann_weights(energies[kept]).astype(np.float32),
        approximate=approximate.astype(np.float32),
    )


def relaxed(mol, positions):
    """Minimise conformers with MMFF94s.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        With all hydrogens.
    positions : array, shape (K, n, 3)
        Angstrom.

    Returns
    -------
    positions : numpy.ndarray, shape (M, n, 3)
        Those that converged, the lowest first.
    energies : numpy.ndarray, shape (M,)
        kJ/mol.
    """
    from rdkit.Chem import rdForceFieldHelpers

    built = with_conformers(mol, positions)
    if not built.GetNumConformers():
        return _positions(built), np.empty(0)
    results = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(
        built, numThreads=1, maxIters=MINIMIZER_STEPS, mmffVariant="MMFF94s"
    )
    energies = np.array([energy * KCAL if flag == 0 else np.inf for flag, energy in results])
    order = np.argsort(energies, kind="stable")
    order = order[np.isfinite(energies[order])]
    return _positions(built)[order], energies[order]


def boltzmann_weights(energies):
    """Boltzmann weights at 298.15 K of energies in kJ/mol, their sum 1."""
    factors = np.exp(-(np.asarray(energies, dtype=np.float64) - np.min(energies)) / RT)
    return factors / factors.sum()


def seed_of(seed, *texts):
    """A seed of 31 bits for RDKit from a seed and texts."""
    return int.from_bytes(hashlib.sha256("\n".join((str(seed), *texts)).encode()).digest()[:4], "big") >> 1


def _embedded(mol, count, seed):
    """A copy of a molecule with ETKDGv3 conformers, fewer than `count` where embedding fails."""
    from rdkit import Chem
    from rdkit.Chem import rdDistGeom

    mol = Chem.Mol(mol)
    mol.RemoveAllConformers()
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    parameters.numThreads = 1
    parameters.maxIterations = ATTEMPTS
    rdDistGeom.EmbedMultipleConfs(mol, count, parameters)
    return mol


def _distinct(mol, positions, energies, protocol):
    """Numbers of the minima that are kept: in the window, each once, and of the molecule's own stereo marks."""
    inside = np.flatnonzero(energies <= energies.min(initial=np.inf) + protocol.window)
    apart = pair_rmsd(positions[inside], positions[inside], heavy_symmetries(mol))
    kept = []
    for i in inside:
        alike = [j for j in kept if energies[i] - energies[j] < SAME_ENERGY and apart[i, j] < protocol.prune]
        if not alike and _keeps_stereo(mol, positions[i]):
            kept.append(int(i))
        if len(kept) == protocol.most:
            break
    return kept


def _keeps_stereo(mol, places):
    """Whether a conformer has the stereo marks that the molecule has."""
    from rdkit import Chem

    built = with_conformers(mol, places[None])
    Chem.AssignStereochemistryFrom3D(built)
    return Chem.MolToSmiles(built) == Chem.MolToSmiles(mol)


def _positions(mol):
    return np.array([c.GetPositions() for c in mol.GetConformers()]).reshape(-1, mol.GetNumAtoms(), 3)
