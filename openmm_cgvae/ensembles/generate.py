"""Conformers of any small molecule by a model of torsions on approximate conformers."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from openmm_cgvae.chemistry.approximate import approximate_conformers, canonical_molecule, check_method, optimized
from openmm_cgvae.chemistry.reading import as_molecule
from openmm_cgvae.chemistry.symmetry import heavy_symmetries
from openmm_cgvae.chemistry.usable import usable_molecules
from openmm_cgvae.core.checks import checked_count, checked_number, checked_seed
from openmm_cgvae.core.errors import ModelFileError, MoleculeError
from openmm_cgvae.core.noise import gaussian_noise
from openmm_cgvae.core.parallel import in_even_slices
from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.ensembles.binding import ligand_tensors
from openmm_cgvae.ensembles.forcefield import energies_kj
from openmm_cgvae.ensembles.selection import chosen_conformers
from openmm_cgvae.ligands.features import ligand_arrays
from openmm_cgvae.metrics.pairrmsd import pair_rmsd

if TYPE_CHECKING:
    from openmm_cgvae.core.types import PathLike

__all__ = ["ENERGY", "ConformerModel", "conformers"]

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "ligands"
TEMPERATURE = 0.7
# What samples by a model of each kind, as "module:class".
SAMPLERS = {
    "ligand": "openmm_cgvae.ensembles.generate:ConformerModel",
    "coarsenconf": "openmm_cgvae.ensembles.coarsesampling:CoarsenConfConformers",
}
# Property of a conformer, and of an SDF record: kJ/mol.
ENERGY = "energy_kj_mol"
# Approximate conformers are one in so many, within these limits; samples are
# four times what is asked for, of many twice and so many more.
PER_BASE, FEWEST_BASES, MOST_BASES = 4, 4, 12
MOST_MORE = 200
# Samples at once in a thread: arrays of more leave the cache of a core, and took half as long again.
ROWS = 32


def conformers(
    mol: Any,
    n: int = 20,
    *,
    model: PathLike | ConformerModel = DEFAULT_MODEL,
    seed: int | None = None,
    optimize: str = "none",
    prune: float | None = None,
    temperature: float = TEMPERATURE,
    allow_unknown: bool = False,
    charge: int = 0,
) -> Any:
    """Sample conformers of a small molecule.

    Parameters
    ----------
    mol : rdkit.Chem.Mol or str
        One molecule, its SMILES or file, or a topology (see `as_molecule`); of one with a 3D conformer stereo marks are
        read from that. Marks that are not set are drawn by the seed, which is logged.
    n : int
        Conformers wanted.
    model : str, path or ConformerModel
        A bundled model, a model file, or one that is loaded.
    seed : int, optional
        Same seed, same conformers, whatever the order of atoms. Drawn at random if omitted.
    optimize : {"none", "mmff", "uff"}
        What the conformers are minimised with afterwards.
    prune : float, optional
        Heavy-atom RMSD in Angstrom below which two conformers are one; fewer than `n` may be left.
    temperature : float
        Of the torsions' distributions: 1 samples them, less prefers the likely ones. With 0.7, the default, those of
        validation molecules were nearer to minima, and more of these found.
    allow_unknown : bool
        Try molecules with elements or radicals that no model has seen.
    charge : int
        Net charge of a molecule whose bond orders and charges are not known, as of most PDB files.

    Returns
    -------
    rdkit.Chem.Mol
        With all hydrogens, in the order of `mol` with added ones last, and conformers by rising energy, each with the
        property ``energy_kj_mol`` (MMFF94s; UFF where it has no parameters; NaN where UFF has no sound ones either).

    Raises
    ------
    MoleculeError
        If the molecule cannot be read, is a mixture, or holds what the model does not know.
    """
    if not isinstance(model, ConformerModel):
        model = ConformerModel.load(model)
    return model.conformers(mol, n, seed, optimize, prune, temperature, allow_unknown, charge)


class ConformerModel:
    """A model of any small molecule: ``ConformerModel.load("ligands").conformers("CCO", 20)``.

    Parameters
    ----------
    file : ModelFile
        Of kind "ligand".
    """

    def __init__(self, file: Any):
        self.metadata, self._module = file.metadata, file.module
        self.relaxation = file.metadata.get("approximate", "mmff")

    @classmethod
    def load(cls, name_or_path: PathLike, trust: bool = False) -> ConformerModel:
        """Load a bundled model by name, or a model file by path (`ModelFileError` if there is none).

        `trust` as in `Model.load`.
        """
        from openmm_cgvae.io.bundled import resolve_model
        from openmm_cgvae.io.modelfile import ModelFile
        from openmm_cgvae.models.loading import loaded_module

        file = ModelFile.load(resolve_model(name_or_path))
        if file.kind not in SAMPLERS:
            raise ModelFileError(f"a model of kind {file.kind!r} given: one of small molecules is expected")
        module, name = SAMPLERS[file.kind].split(":")
        sampler = getattr(import_module(module), name)
        file.module = loaded_module(file, sampler.rebuild, trust)
        return sampler(file)

    @staticmethod
    def rebuild(file: Any) -> Any:
        """Build the module of a model file by the package's own classes."""
        from openmm_cgvae.ligands.model import rebuild_ligand

        return rebuild_ligand(file.metadata["model"], file.state)

    def conformers(
        self,
        mol: Any,
        n: int = 20,
        seed: int | None = None,
        optimize: str = "none",
        prune: float | None = None,
        temperature: float = TEMPERATURE,
        allow_unknown: bool = False,
        charge: int = 0,
    ) -> Any:
        """Sample conformers, see `conformers`."""
        seed = checked_seed(seed)
        molecules, notes = usable_molecules(_marked(as_molecule(mol, charge)), allow_unknown=allow_unknown, seed=seed)
        for note in notes:
            logger.warning("%s", note)
        if len(molecules) > 1:
            raise MoleculeError(f"a mixture of {len(molecules)} molecules given: give each on its own")
        return self.of_usable(molecules[0], n, seed, optimize, prune, temperature)

    def of_usable(
        self,
        mol: Any,
        n: int,
        seed: int,
        optimize: str = "none",
        prune: float | None = None,
        temperature: float = TEMPERATURE,
    ) -> Any:
        """Sample conformers of one of `usable_molecules`, see `conformers`."""
        from rdkit import Chem

        n = checked_count("n", n)
        temperature = checked_number("temperature", temperature, zero=True)
        if prune is not None:
            prune = checked_number("prune", prune, "Angstrom", zero=True)
        check_method(optimize)
        canonical, order = canonical_molecule(mol)
        positions = self.sampled(canonical, n, seed, temperature)
        made = Chem.Mol(mol)
        made.RemoveAllConformers()
        for places in positions[:, order]:
            conformer = Chem.Conformer(len(places))
            conformer.SetPositions(np.ascontiguousarray(places, dtype=np.float64))
            made.AddConformer(conformer, assignId=True)
        return _ranked(optimized(made, optimize), prune)

    def sampled(self, mol: Any, n: int, seed: int, temperature: float = TEMPERATURE) -> np.ndarray:
        """Sample positions (n, N, 3) in Angstrom of a molecule with hydrogens, in the order of its atoms."""
        bases = max(FEWEST_BASES, min(MOST_BASES, -(-n // PER_BASE)))
        x, energy = self.pooled(mol, 2 * n + min(2 * n, MOST_MORE), bases, seed, temperature)
        return x[chosen_conformers(mol, x, energy, n, seed)]

    def pooled(
        self, mol: Any, count: int, bases: int, seed: int, temperature: float = TEMPERATURE
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sample `count` conformers, one for each of the approximate ones at least, on so many of these.

        Returns
        -------
        positions : numpy.ndarray, shape (S, N, 3)
            Angstrom, in the order of the molecule's atoms.
        energies : numpy.ndarray, shape (S,)
            kJ/mol, up to a constant of the molecule.
        """
        import torch

        made = approximate_conformers(mol, bases, seed, self.relaxation)
        self._module.take(ligand_tensors(made, ligand_arrays(made)))
        self._module.temperature = temperature
        count = max(count, self._module.n_bases())
        noise = gaussian_noise(seed, [0], np.arange(count), max(1, self._module.n_noise()))[0]
        noise, base = torch.as_tensor(noise, dtype=torch.float32), torch.arange(count) % self._module.n_bases()

        def made(part):
            # Of this thread alone, both.
            with torch.inference_mode(), torch.jit.optimized_execution(False):
                return self._module.conformers(noise[part], base[part])

        parts = list(in_even_slices(made, count, ROWS, torch.get_num_threads()))
        x, energy = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
        return x * ANGSTROM_PER_NM, energy


def _marked(mol):
    """A molecule with the stereo marks that its 3D conformer has."""
    from rdkit import Chem

    if any(conformer.Is3D() for conformer in mol.GetConformers()):
        mol = Chem.Mol(mol)
        Chem.AssignStereochemistryFrom3D(mol)
    return mol


def _ranked(mol, prune):
    """Conformers by rising energy, each with it as a property, without those alike."""
    from rdkit import Chem

    energies = energies_kj(mol)
    if np.isnan(energies).any():
        energies = energies_kj(mol, "uff")
    order = np.argsort(energies, kind="stable")
    if prune:
        positions = np.array([conformer.GetPositions() for conformer in mol.GetConformers()])
        apart, kept = pair_rmsd(positions, positions, heavy_symmetries(mol)), []
        for k in order.tolist():
            if not kept or apart[k, kept].min() >= prune:
                kept.append(k)
        order = kept
    made, old = Chem.Mol(mol), list(mol.GetConformers())
    made.RemoveAllConformers()
    for k in order:
        conformer = Chem.Conformer(old[int(k)])
        conformer.SetDoubleProp(ENERGY, float(energies[int(k)]))
        made.AddConformer(conformer, assignId=True)
    return made
