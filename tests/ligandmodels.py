"""Molecules with approximate conformers, and models of small molecules with weights that nobody trained."""

import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from openmm_cgvae.ensembles.torsionexport import ligand_model_file
from openmm_cgvae.ligands.features import ligand_arrays
from openmm_cgvae.ligands.graph import TorsionGraph
from openmm_cgvae.ligands.torsionnet import LigandNetwork

# A stereocentre, an amide, an ether, a ring with two different sides.
DRUG = "CC(C)CC(=O)N[C@@H](C)c1ccc(OC)cc1Cl"
SMALL = {"width": 16, "odd": 8, "hidden": 16, "layers": 2, "known_layers": 2, "waves": 6, "bins": 36}


def embedded(smiles, count=2, seed=1):
    """A molecule with hydrogens and ETKDG conformers."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    rdDistGeom.EmbedMultipleConfs(mol, count, parameters)
    return mol


def positions_of(mol):
    return np.array([conformer.GetPositions() for conformer in mol.GetConformers()])


def random_network(seed=0, spread=0.3):
    """A small network whose weights are all random, those that begin at zero too."""
    torch.manual_seed(seed)
    network = LigandNetwork(**SMALL).eval()
    for weights in network.parameters():
        torch.nn.init.normal_(weights, std=spread)
    return network


def random_model(path):
    """A model file of `random_network` with a density that is not far from even."""
    ligand_model_file(random_network(spread=0.1), SMALL, {"name": "random"}).save(path, overwrite=True)
    return path


def graph_of(mol, positions=None):
    """Arrays, graph with a column for each conformer, and torsions (T, S)."""
    positions = positions_of(mol) if positions is None else positions
    arrays = ligand_arrays(mol)
    angles = arrays.angles(positions)
    parts = (arrays.atoms, arrays.bonds, arrays.bond_features, arrays.quads, arrays.token)
    offsets = torch.as_tensor(arrays.offsets(angles)).float()
    handed = torch.as_tensor(arrays.handed(positions))
    graph = TorsionGraph(*map(torch.as_tensor, parts), arrays.n_tokens, handed, offsets)
    return arrays, graph, torch.as_tensor(angles[arrays.first]).float()
