"""Backmapping of coarse-grained molecular dynamics to all atoms, inside OpenMM.

Public names are imported on first use, so that ``import openmm_cgvae`` costs nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "Backmapper": "backmapping.backmapper",
    "BackmapReporter": "simulation.reporter",
    "CGMapping": "molecule.mapping",
    "CGPotential": "cg.potential",
    "CGVAEError": "core.errors",
    "CheckpointReporter": "simulation.checkpoints",
    "LearnedPotential": "cg.learned",
    "Minimizer": "atomistic.minimizer",
    "Model": "backmapping.model",
    "Sampler": "backmapping.sampler",
    "Solvation": "atomistic.solvation",
    "SystemBackmapper": "simulation.system",
    "add_cg_potential": "cg.system",
    "alpha_carbon_mapping": "molecule.mapping",
    "autograin_mapping": "molecule.mapping",
    "backbone_mapping": "molecule.mapping",
    "boltzmann_inversion": "cg.boltzmann",
    "cg_force": "cg.force",
    "community_mapping": "molecule.mapping",
    "backmap_in_memory": "backmapping.inmemory",
    "backmap_trajectory": "backmapping.trajectory",
    "conformers": "ensembles.generate",
    "create_cg_simulation": "cg.system",
    "custom_mapping": "molecule.mapping",
    "iterative_boltzmann_inversion": "cg.inversion",
    "learn_potential": "cg.learned",
    "reference_divergence": "evaluation.comparison",
    "residue_mapping": "molecule.mapping",
    "to_atomistic_simulation": "simulation.atomistic",
    "view": "report.notebook",
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__():
    return __all__
