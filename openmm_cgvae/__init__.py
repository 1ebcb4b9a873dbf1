"""Backmapping of coarse-grained molecular dynamics to all atoms, inside OpenMM.

Public names are imported on first use, so that ``import openmm_cgvae`` costs nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "Backmapper": "backmapper",
    "BackmapReporter": "app.reporter",
    "CGMapping": "mapping",
    "CGPotential": "app.potential",
    "CGVAEError": "errors",
    "LearnedPotential": "app.learned",
    "Minimizer": "app.minimizer",
    "Solvation": "app.solvation",
    "SystemBackmapper": "app.systembackmapper",
    "alpha_carbon_mapping": "mapping",
    "autograin_mapping": "mapping",
    "backbone_mapping": "mapping",
    "boltzmann_inversion": "app.boltzmann",
    "cg_force": "app.cgforce",
    "community_mapping": "mapping",
    "backmap_trajectory": "trajectory",
    "create_cg_simulation": "app.cgsystem",
    "custom_mapping": "mapping",
    "iterative_boltzmann_inversion": "app.inversion",
    "learn_potential": "app.learned",
    "reference_divergence": "app.comparison",
    "residue_mapping": "mapping",
    "to_atomistic_simulation": "app.atomistic",
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__():
    return __all__
