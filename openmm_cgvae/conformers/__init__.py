"""Conformer ensembles of small molecules: reference data, training, sampling, and their evaluation."""

import sys
from types import ModuleType


class _Room(ModuleType):
    # ``openmm_cgvae.conformers(mol)`` is a public function, and the name of this room; Python gives a package's
    # attribute to its submodule as soon as that is imported.
    def __call__(self, *arguments, **settings):
        from openmm_cgvae.conformers.generate import conformers

        return conformers(*arguments, **settings)


sys.modules[__name__].__class__ = _Room
