"""Packed chains of two small crystals, and trainings on them that take a second."""

import numpy as np
from proteinchains import FOLDER

from openmm_cgvae.preparation.crystalchains import chains_of_file
from openmm_cgvae.proteins.chains import Chain, PackedChains
from openmm_cgvae.training.proteinconfig import ProteinConfig
from openmm_cgvae.training.proteins import ProteinTrainer

SMALL = {"width": 16, "layers": 1, "known_layers": 1, "neighbours": 8, "bins": 12, "batch_residues": 70}


def chains():
    """5K6D, which has all amino acids, to train on and crambin for validation."""
    (whole,), _ = chains_of_file(FOLDER / "5k6d.pdb")
    with np.load(FOLDER / "crambin.npz") as file:
        names = ("residue_types", "atoms", "mask", "connected")
        small = Chain("1ejg_A", *(file[name] for name in names))
    return whole, small


def packed():
    return PackedChains.packed(chains(), [1.14, 0.54], ["train", "validation"], [0, 1], [True, True])


def trainer(folder, start=None, data=None, **settings):
    config = ProteinConfig(**(SMALL | {"residues": 780} | settings))
    return ProteinTrainer(data or packed(), folder, config, start)
