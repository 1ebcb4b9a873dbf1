"""Conformers of any small molecule by CoarsenConf."""

import logging
from typing import Any

import numpy as np
import torch

from openmm_cgvae.conformers.approximate import approximate_conformers, canonical_molecule
from openmm_cgvae.core.checks import checked_count, checked_number, checked_seed
from openmm_cgvae.core.errors import ModelFileError
from openmm_cgvae.core.noise import gaussian_noise
from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.ligands.chemicalbounds import ChemicalBounds
from openmm_cgvae.ligands.coarsegraph import CoarseGraph, joined_graphs
from openmm_cgvae.ligands.coarsening import CoarseMolecule

__all__ = ["CoarsenConfGenerator"]

logger = logging.getLogger(__name__)

# Atoms of the structures that are built at once.
ATOMS_AT_ONCE = 4096
# Bonds that end farther than this from those of the approximate conformers, in Angstrom, are broken.
BROKEN = 0.3


class CoarsenConfGenerator:
    """Samples conformers: ``CoarsenConfGenerator.load("model.pt")(mol, n=20, seed=1)``.

    Every conformer is built from an approximate one of its own and brought inside chemistry's bounds. One that still
    has a stereo mark wrong, or a broken bond, gives way to its approximate conformer, which is counted.

    Parameters
    ----------
    model : CoarsenConfModel or its TorchScript
    temperature : float
        Factor of the prior's standard deviation.
    bounded : bool
        Whether structures are brought inside the bounds; raw samples otherwise.

    Attributes
    ----------
    replaced : int
        Conformers that gave way, of all so far.
    """

    def __init__(self, model: Any, temperature: float = 1.0, bounded: bool = True):
        self._model = model
        self.temperature = checked_number("temperature", temperature, zero=True)
        self.bounded, self.replaced = bounded, 0

    @classmethod
    def load(cls, path: Any, **options: Any) -> "CoarsenConfGenerator":
        """Read a model file (`ModelFileError` if it is none of CoarsenConf)."""
        from openmm_cgvae.io.modelfile import ModelFile
        from openmm_cgvae.pretrained.index import resolve_model

        file = ModelFile.load(resolve_model(path))
        if file.kind != "coarsenconf":
            raise ModelFileError(f"a model of kind {file.kind!r} given: one of CoarsenConf is expected")
        return cls(file.module, **options)

    def __call__(self, mol: Any, n: int = 20, seed: int | None = None, allow_unknown: bool = False) -> Any:
        """Sample conformers.

        Parameters
        ----------
        mol : rdkit.Chem.Mol
            With all hydrogens.
        n : int
        seed : int, optional
            Same seed, same conformers, whatever the order of atoms. Drawn at random if omitted.
        allow_unknown : bool
            Try elements that no model has seen.

        Returns
        -------
        rdkit.Chem.Mol
            A copy with `n` conformers.

        Raises
        ------
        MoleculeError
            If an element is unknown, the molecule has several parts, or cannot be embedded.
        """
        from rdkit import Chem

        n, seed = checked_count("n", n), checked_seed(seed)
        canonical, order = canonical_molecule(mol)
        molecule = CoarseMolecule(canonical, allow_unknown)
        approximate = approximate_conformers(canonical, n, seed, "none")
        x = self._sampled(molecule, approximate, n, seed)
        made = Chem.Mol(mol)
        made.RemoveAllConformers()
        for places in x[:, order]:
            conformer = Chem.Conformer(len(places))
            conformer.SetPositions(np.ascontiguousarray(places, dtype=np.float64))
            made.AddConformer(conformer, assignId=True)
        return made

    def _sampled(self, molecule, mol, n, seed):
        """Positions (n, atoms, 3) in Angstrom of a molecule with approximate conformers."""
        every = np.array([conformer.GetPositions() for conformer in mol.GetConformers()])
        # Where fewer could be embedded, some serve again, with other noise.
        every = every[np.arange(n) % len(every)]
        every -= every.mean(1, keepdims=True)
        raw = np.concatenate(
            [
                self._built(molecule, every[part], seed, part)
                for part in np.array_split(np.arange(n), -(-n * molecule.n_atoms // ATOMS_AT_ONCE))
            ]
        )
        if not self.bounded:
            return raw
        bounds = ChemicalBounds(mol)
        bounded = bounds(torch.as_tensor(raw)).numpy()
        wrong = ~np.isfinite(bounded).all((1, 2)) | is_broken(bounds, bounded) | ~keeps_stereo(mol, bounded)
        if wrong.any():
            logger.info("%d of %d conformers gave way to their approximate conformer", wrong.sum(), n)
            self.replaced += int(wrong.sum())
            bounded[wrong] = every[wrong]
        return bounded

    def _built(self, molecule, approximate, seed, numbers):
        """As `_sampled`, of the approximate conformers (m, atoms, 3) of these numbers, not bounded."""
        graphs = [molecule.graph(x) for x in approximate]
        latent, beads = int(self._model.latent), molecule.n_beads
        noise = gaussian_noise(seed, numbers, [0], beads * 3 * latent).reshape(-1, beads, 3, latent)
        # Noise belongs to places in the order of building, which is the same for any order of atoms.
        steps = np.array([graph.step.numpy() for graph in graphs])
        noise = noise[np.arange(len(graphs))[:, None], steps].reshape(-1, 3, latent) * self.temperature
        tensors = graph_tensors(joined_graphs(graphs))
        places = torch.as_tensor(approximate.reshape(-1, 3) / ANGSTROM_PER_NM)
        with torch.inference_mode(), torch.jit.optimized_execution(False):
            x = self._model(tensors, places, torch.as_tensor(noise))
        return x.numpy().reshape(approximate.shape) * ANGSTROM_PER_NM


def graph_tensors(graph: CoarseGraph) -> dict[str, torch.Tensor]:
    """Tensors of a graph by name, as `CoarsenConfModel` takes them."""
    return graph._asdict()


def is_broken(bounds, x):
    """Whether a structure (n, atoms, 3) has a bounded distance that is far out of its bounds: (n,)."""
    x = torch.as_tensor(x)
    return (bounds.length_errors(bounds.lengths(x)).abs().amax(1) > BROKEN).numpy()


def keeps_stereo(mol, x):
    """Whether structures (n, atoms, 3) have the stereo marks that a molecule has: (n,)."""
    from rdkit import Chem

    expected, kept = Chem.MolToSmiles(mol), []
    for places in x:
        built = Chem.Mol(mol)
        built.RemoveAllConformers()
        conformer = Chem.Conformer(len(places))
        conformer.SetPositions(np.ascontiguousarray(places, dtype=np.float64))
        built.AddConformer(conformer)
        Chem.AssignStereochemistryFrom3D(built)
        kept.append(Chem.MolToSmiles(built) == expected)
    return np.array(kept)
