"""Training: needs torch and numpy only."""

from openmm_cgvae.training.checkpoint import load_trained
from openmm_cgvae.training.dataset import Dataset, split_runs
from openmm_cgvae.training.trainer import Trainer

__all__ = ["Dataset", "Trainer", "load_trained", "split_runs"]
