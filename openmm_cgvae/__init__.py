"""Backmapping of coarse-grained molecular dynamics to all atoms, inside OpenMM.

Public names are imported on first use, so that ``import openmm_cgvae`` costs nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "Backmapper": "backmapper",
    "BackmapReporter": "app.reporter",
    "CGMapping": "mapping",
    "CGVAEError": "errors",
    "Minimizer": "app.minimizer",
    "alpha_carbon_mapping": "mapping",
    "autograin_mapping": "mapping",
    "backbone_mapping": "mapping",
    "community_mapping": "mapping",
    "backmap_trajectory": "trajectory",
    "custom_mapping": "mapping",
    "residue_mapping": "mapping",
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__():
    return __all__
