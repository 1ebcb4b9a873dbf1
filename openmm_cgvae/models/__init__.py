"""The model: pure torch, scriptable, without OpenMM or mdtraj."""

from openmm_cgvae.geometry.bounds import BoundsProjection
from openmm_cgvae.models.cgvae import CGVAE
from openmm_cgvae.models.config import PRESETS, ModelConfig, TrainingConfig, preset
from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["CGVAE", "PRESETS", "BoundsProjection", "ModelConfig", "MoleculeSpec", "TrainingConfig", "preset"]
