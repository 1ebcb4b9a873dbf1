"""What conformers are generated with in an evaluation: RDKit's ETKDGv3, and models, each minimised or not."""

from collections.abc import Callable
from typing import Any

__all__ = ["BASELINES", "Generator", "named_generator"]

# Takes a molecule with hydrogens, a number of conformers and a seed; returns the molecule with that many, or fewer.
Generator = Callable[[Any, int, int], Any]
BASELINES = ("etkdg", "etkdg+mmff")
MINIMISED = "+mmff"
MINIMISER_STEPS = 2000


def named_generator(name: str, trust: bool = False) -> Generator:
    """Return the generator of a name: ``etkdg``, a bundled model or a model file; with ``+mmff`` behind it, minimised.

    `trust` as of `Model.load`.

    Raises
    ------
    ModelFileError
        If there is no such model, or it is not one of small molecules.
    """
    base = name.removesuffix(MINIMISED)
    generate = _etkdg if base == BASELINES[0] else _model(base, trust)
    return _minimised(generate) if name.endswith(MINIMISED) else generate


def _etkdg(mol, n, seed):
    from openmm_cgvae.chemistry.approximate import approximate_conformers

    return approximate_conformers(mol, n, seed, "none")


def _minimised(generate):
    def minimised(mol, n, seed):
        from openmm_cgvae.chemistry.approximate import optimized

        return optimized(generate(mol, n, seed), "mmff", MINIMISER_STEPS)

    return minimised


def _model(name, trust):
    from openmm_cgvae.ensembles.generate import ConformerModel

    return ConformerModel.load(name, trust).conformers
