"""Approximate conformers of RDKit, which give rings, bond lengths and angles to those that are sampled."""

import logging
from typing import Any

import numpy as np

from openmm_cgvae.chemistry.axes import cumulene_axes, keep_axes, nearest_planes, turn_axes
from openmm_cgvae.core.errors import MoleculeError, SettingsError
from openmm_cgvae.core.parallel import available_cores

__all__ = ["RELAXATIONS", "approximate_conformers", "canonical_molecule", "check_method", "optimized"]

logger = logging.getLogger(__name__)

# What brings an approximate conformer, or a sampled one, to a minimum.
RELAXATIONS = ("mmff", "uff", "none")
MOST_STEPS = 200
# kcal/mol/degree^2 of the angle between the end planes of a cumulene.
AXIS_STIFFNESS = 1.0


def canonical_molecule(mol: Any) -> tuple[Any, np.ndarray]:
    """The molecule as its canonical SMILES has it, with hydrogens: the same for any order of atoms that is given.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        With all hydrogens.

    Returns
    -------
    canonical : rdkit.Chem.Mol
        Without conformers; those that are made of it have the axes of cumulenes as a 3D conformer of `mol` has them.
    order : int array, shape (N,)
        For every atom of `mol` the atom of the canonical one.
    """
    from rdkit import Chem

    marked = Chem.Mol(mol)
    for atom in marked.GetAtoms():
        atom.SetIntProp("given", atom.GetIdx())
    bare = Chem.RemoveHs(marked)
    smiles = Chem.MolToSmiles(bare)
    rows = list(bare.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"])
    canonical = Chem.AddHs(Chem.MolFromSmiles(smiles))
    order = np.full(mol.GetNumAtoms(), -1)
    for k, row in enumerate(rows):
        given = bare.GetAtomWithIdx(row).GetIntProp("given")
        order[given] = k
        own = [a.GetIdx() for a in canonical.GetAtomWithIdx(k).GetNeighbors() if a.GetIdx() >= len(rows)]
        rest = [a.GetIdx() for a in mol.GetAtomWithIdx(given).GetNeighbors() if a.GetAtomicNum() == 1]
        rest = [i for i in rest if i not in {a.GetIntProp("given") for a in bare.GetAtoms()}]
        if len(own) == len(rest):
            order[rest] = own
    if canonical.GetNumAtoms() != mol.GetNumAtoms() or (order < 0).any():
        # A hydrogen of its own, as of H2 or an isotope: as it is.
        canonical = Chem.Mol(mol)
        canonical.RemoveAllConformers()
        order = np.arange(mol.GetNumAtoms())
    keep_axes(mol, canonical, order)
    return canonical, order


def approximate_conformers(mol: Any, count: int, seed: int, relaxation: str = "mmff") -> Any:
    """Embed a molecule by ETKDGv3, and relax each conformer briefly.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        With hydrogens.
    count : int
    seed : int
        Same seed, same conformers.
    relaxation : {"mmff", "uff", "none"}

    Returns
    -------
    rdkit.Chem.Mol
        A copy with at most `count` conformers.

    Raises
    ------
    MoleculeError
        If it cannot be embedded.
    """
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDistGeom

    made = Chem.Mol(mol)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed, parameters.numThreads = _rdkit_seed(seed), available_cores()
    with rdBase.BlockLogs():
        for random_start in (False, True):
            parameters.useRandomCoords = random_start
            if len(rdDistGeom.EmbedMultipleConfs(made, count, parameters)):
                turn_axes(made)
                return optimized(made, relaxation, MOST_STEPS)
    raise MoleculeError(
        f"no approximate conformer of {Chem.MolToSmiles(Chem.RemoveHs(mol))} can be embedded: check its stereo marks "
        "and rings"
    )


def _rdkit_seed(seed):
    """A positive, odd seed of 31 bits: RDKit's k-th conformer has k times it, which for 0 would all be one."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1) | 1


def check_method(method: str) -> None:
    """Refuse a way of minimising that is not known (`SettingsError`)."""
    if method not in RELAXATIONS:
        raise SettingsError(f"optimize={method!r} given: one of {', '.join(RELAXATIONS)} is expected")


def optimized(mol: Any, method: str, steps: int = 2000) -> Any:
    """Minimise all conformers of a molecule with hydrogens, in place, by MMFF94s (UFF where it has none) or UFF.

    Neither knows what holds the end planes of cumulenes: these are kept at their angles.
    """
    from rdkit.Chem import rdForceFieldHelpers

    check_method(method)
    by_mmff = method == "mmff" and rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol)
    if method == "none":
        return mol
    if not by_mmff and not rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
        logger.warning("neither MMFF94s nor UFF has parameters for the molecule: it is not minimised")
        return mol
    how = {"numThreads": available_cores(), "maxIters": steps}
    if axes := cumulene_axes(mol):
        _optimize_with_axes(mol, axes, by_mmff, steps)
    elif by_mmff:
        rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, mmffVariant="MMFF94s", **how)
    else:
        rdForceFieldHelpers.UFFOptimizeMoleculeConfs(mol, **how)
    return mol


def _optimize_with_axes(mol, axes, by_mmff, steps):
    """Minimise by MMFF94s or UFF with the planes at the ends of cumulenes where they should be."""
    from rdkit import ForceField  # noqa: F401
    from rdkit.Chem import rdForceFieldHelpers

    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol, mmffVariant="MMFF94s") if by_mmff else None
    for conformer in mol.GetConformers():
        number = conformer.GetId()
        if by_mmff:
            field = rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, properties, confId=number)
            constrain = field.MMFFAddTorsionConstraint
        else:
            field = rdForceFieldHelpers.UFFGetMoleculeForceField(mol, confId=number)
            constrain = field.UFFAddTorsionConstraint
        field.Initialize()
        for (a, b, c, d, _, _), angle in zip(axes, nearest_planes(axes, conformer), strict=True):
            constrain(a, b, c, d, False, angle, angle, AXIS_STIFFNESS)
        field.Minimize(maxIts=steps)
