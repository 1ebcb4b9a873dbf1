"""The networks of small molecules by name."""

from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.ensembles.coarseconfig import CoarsenConfTraining
from openmm_cgvae.ensembles.coarsetraining import CoarsenConfTrainer
from openmm_cgvae.ensembles.torsionconfig import TorsionConfig
from openmm_cgvae.ensembles.torsiontrainer import TorsionTrainer

__all__ = ["network"]

NETWORKS = {"torsions": (TorsionConfig, TorsionTrainer), "coarsenconf": (CoarsenConfTraining, CoarsenConfTrainer)}


def network(name):
    """Return settings and trainer of a network (`SettingsError` if there is none of that name)."""
    if name not in NETWORKS:
        raise SettingsError(f"network={name!r} given: one of {', '.join(NETWORKS)} is expected")
    return NETWORKS[name]
