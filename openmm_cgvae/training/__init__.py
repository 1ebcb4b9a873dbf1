"""Training: needs torch and numpy only."""

from openmm_cgvae.training.dataset import Dataset, split_runs
from openmm_cgvae.training.trainer import Trainer, load_trained

__all__ = ["Dataset", "Trainer", "load_trained", "split_runs"]
