"""Samples of a model of torsions and their MMFF94s minima, in parts, so that a run can be interrupted."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from openmm_cgvae.core.errors import DataError, MoleculeError, SettingsError
from openmm_cgvae.core.output import complete_output, existing_folder
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.ensembles.forcefield import KJ_PER_KCAL
from openmm_cgvae.ensembles.generate import ConformerModel
from openmm_cgvae.ensembles.packed import PackedEnsembles, with_conformers
from openmm_cgvae.ensembles.relaxations import PackedRelaxations, Relaxation
from openmm_cgvae.preparation.ensembles import seed_of

__all__ = ["pack_relaxations", "sample_relaxations"]

logger = logging.getLogger(__name__)

# Molecules a part: what an interruption loses at most.
BATCH = 10
# One approximate conformer for so many samples, and steps of a minimisation.
PER_BASE, MINIMIZER_STEPS = 2, 2000
SPLITS = ("train", "validation")


def sample_relaxations(
    ensembles: PackedEnsembles,
    folder: str | Path,
    model: ConformerModel,
    samples: int = 12,
    seed: int = 0,
    progress: bool = True,
) -> None:
    """Sample conformers of the molecules of ensembles that are not for test, and minimise each with MMFF94s.

    Each 10 molecules are a file of their own. Files that are there are kept, so that an interrupted call goes on where
    it was when it is repeated; validation molecules come in their share.

    Parameters
    ----------
    ensembles : PackedEnsembles
    folder : path
        Gets ``train-00000.npz`` and so on; created if missing.
    model : ConformerModel
        Whose samples they are.
    samples : int
        Of each molecule, at most: those whose minimisation does not converge are left out.
    seed : int
    progress : bool

    Raises
    ------
    SettingsError
        If the folder holds parts of other molecules, or of other settings.
    """
    folder = existing_folder(folder)
    record = {"ensembles": ensembles.sha256, "model": model.metadata.get("name"), "samples": samples, "seed": seed}
    path = folder / "settings.json"
    if path.exists() and json.loads(path.read_text()) != record:
        raise SettingsError(f"{folder} holds parts of other settings (see {path.name}): give another folder")
    with complete_output(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
    parts = []
    for split in SPLITS:
        own = ensembles.subset(split)
        parts += [(k / len(own), f"{split}-{k // BATCH:05d}", own, k) for k in range(0, len(own), BATCH)]
    for _, name, own, first in progress_bar(sorted(parts, key=lambda part: part[:2]), shown=progress, unit="part"):
        path, found = folder / f"{name}.npz", []
        if path.exists():
            continue
        for k in range(first, min(first + BATCH, len(own))):
            try:
                found.append(_relaxation(own[k], model, samples, seed))
            except MoleculeError as error:
                logger.warning("left out: %s", error)
        if found:
            PackedRelaxations.packed(found).save(path)


def pack_relaxations(folder: str | Path) -> PackedRelaxations:
    """Read all parts that a folder of `sample_relaxations` holds by now (`DataError` if there is none)."""
    paths = sorted(path for split in SPLITS for path in Path(folder).glob(f"{split}-*.npz"))
    if not paths:
        raise DataError(f"{folder} holds no relaxed samples yet")
    return PackedRelaxations.packed([found for path in paths for found in PackedRelaxations.load(path)])


def _relaxation(ensemble: Any, model: ConformerModel, samples: int, seed: int) -> Relaxation:
    from rdkit.Chem import rdForceFieldHelpers

    mol = ensemble.mol()
    bases = max(1, samples // PER_BASE)
    start, _ = model.pooled(mol, samples, bases, seed_of(seed, ensemble.smiles))
    built = with_conformers(mol, start)
    results = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(
        built, numThreads=1, maxIters=MINIMIZER_STEPS, mmffVariant="MMFF94s"
    )
    end = np.array([conformer.GetPositions() for conformer in built.GetConformers()])
    kept = [k for k, (flag, energy) in enumerate(results) if flag == 0 and np.isfinite(energy)]
    if not kept:
        raise MoleculeError(f"{ensemble.smiles}: no sample was minimised")
    energies = np.array([results[k][1] for k in kept]) * KJ_PER_KCAL
    return Relaxation(ensemble.smiles, ensemble.split, start[kept].astype(np.float32), end[kept], energies)
