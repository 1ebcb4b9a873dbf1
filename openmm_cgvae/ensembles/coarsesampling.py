"""Conformers of any small molecule by CoarsenConf."""

import logging
from typing import Any

import numpy as np
import torch

from openmm_cgvae.chemistry.approximate import approximate_conformers
from openmm_cgvae.core.noise import gaussian_noise
from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.ensembles.generate import ConformerModel
from openmm_cgvae.ligands.chemicalbounds import ChemicalBounds
from openmm_cgvae.ligands.coarsegraph import CoarseGraph, joined_graphs
from openmm_cgvae.ligands.coarsening import CoarseMolecule

__all__ = ["CoarsenConfConformers"]

logger = logging.getLogger(__name__)

# Atoms of the structures that are built at once.
ATOMS_AT_ONCE = 4096
# Bonds that end farther than this from those of the approximate conformers, in Angstrom, are broken.
BROKEN = 0.3


class CoarsenConfConformers(ConformerModel):
    """Samples conformers: ``ConformerModel.load("coarsenconf.pt").conformers("CCO", 20)``.

    Every conformer is built from an approximate one of its own and brought inside chemistry's bounds. One that still
    has a stereo mark wrong, or a broken bond, gives way to its approximate conformer, which is counted.

    Parameters
    ----------
    file : ModelFile
        Of kind "coarsenconf".

    Attributes
    ----------
    bounded : bool
        Whether structures are brought inside the bounds; raw samples otherwise.
    replaced : int
        Conformers that gave way, of all so far.
    """

    def __init__(self, file: Any):
        super().__init__(file)
        self.bounded, self.replaced = True, 0

    @staticmethod
    def rebuild(file: Any) -> Any:
        """Build the module of a model file by the package's own classes."""
        from openmm_cgvae.ligands.coarsemodel import rebuild_coarsenconf

        return rebuild_coarsenconf(file.metadata["model"], file.state)

    def sampled(self, mol: Any, n: int, seed: int, temperature: float = 1.0) -> np.ndarray:
        """Sample positions (n, N, 3) in Angstrom of a molecule with hydrogens, in the order of its atoms.

        `temperature` is a factor of the prior's standard deviation.
        """
        molecule = CoarseMolecule(mol, allow_unknown=True)
        approximate = approximate_conformers(mol, n, seed, self.relaxation)
        return self._sampled(molecule, approximate, n, seed, temperature)

    def _sampled(self, molecule, mol, n, seed, temperature):
        """Positions (n, atoms, 3) in Angstrom of a molecule with approximate conformers."""
        every = np.array([conformer.GetPositions() for conformer in mol.GetConformers()])
        # Where fewer could be embedded, some serve again, with other noise.
        every = every[np.arange(n) % len(every)]
        every -= every.mean(1, keepdims=True)
        raw = np.concatenate(
            [
                self._built(molecule, every[part], seed, part, temperature)
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

    def _built(self, molecule, approximate, seed, numbers, temperature):
        """As `_sampled`, of the approximate conformers (m, atoms, 3) of these numbers, not bounded."""
        graphs = [molecule.graph(x) for x in approximate]
        latent, beads = int(self._module.latent), molecule.n_beads
        noise = gaussian_noise(seed, numbers, [0], beads * 3 * latent).reshape(-1, beads, 3, latent)
        # Noise belongs to places in the order of building, which is the same for any order of atoms.
        steps = np.array([graph.step.numpy() for graph in graphs])
        noise = noise[np.arange(len(graphs))[:, None], steps].reshape(-1, 3, latent) * temperature
        tensors = graph_tensors(joined_graphs(graphs))
        places = torch.as_tensor(approximate.reshape(-1, 3) / ANGSTROM_PER_NM)
        with torch.inference_mode(), torch.jit.optimized_execution(False):
            x = self._module(tensors, places, torch.as_tensor(noise))
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
