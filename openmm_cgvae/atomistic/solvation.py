"""A box of water and ions around a molecule, by OpenMM's Modeller."""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from openmm import Vec3, app, unit

from openmm_cgvae.atomistic.forcefield import CUTOFF_NM, nearest_name
from openmm_cgvae.core.checks import checked_number
from openmm_cgvae.core.errors import MinimizationError, SettingsError
from openmm_cgvae.core.periodic import as_box_vectors, box_widths, reduced_vectors
from openmm_cgvae.core.translation import translated
from openmm_cgvae.core.units import value_in_md_units

__all__ = ["Solvation", "solvate"]

# Those that both Modeller and OpenMM's amber14 files have.
WATER_MODELS = ("tip3p", "spce", "tip4pew")


@dataclass(frozen=True)
class Solvation:
    """How to solvate: ``Solvation(padding=1.0)``, or ``Solvation(boxVectors=state.getPeriodicBoxVectors())``.

    Parameters
    ----------
    padding : float or Quantity, optional
        nm of water around the molecule, in a cubic box.
    boxVectors : Quantity or array_like, shape (3, 3), optional
        nm, rows a, b, c with a along x and b in the xy plane; instead of `padding`.
    waterModel : {"tip3p", "spce", "tip4pew"}
    ionicStrength : float or Quantity
        Molar, of NaCl, beyond what neutralises.
    neutralize : bool

    Raises
    ------
    SettingsError
        If not exactly one of `padding` and `boxVectors` is given, or a value is out of its range.
    PositionsError
        If `boxVectors` are no box.
    """

    padding: Any = None
    boxVectors: Any = None
    waterModel: str = "tip3p"
    ionicStrength: Any = 0.0
    neutralize: bool = True

    def __post_init__(self):
        if (self.padding is None) == (self.boxVectors is None):
            raise SettingsError("give either the padding or the boxVectors of the water")
        if self.padding is not None:
            checked_number("padding", self.padding, "nm")
        if self.boxVectors is not None:
            as_box_vectors(self.boxVectors, 1)
        checked_number("ionicStrength", self.molar, "mol/l", zero=True)
        nearest_name("waterModel", self.waterModel, WATER_MODELS)

    @property
    def molar(self) -> float:
        """Ionic strength in mol/l."""
        strength = self.ionicStrength
        return strength.value_in_unit(unit.molar) if unit.is_quantity(strength) else strength


def solvate(topology, positions, forcefield, solvation, seed):
    """Put a molecule into the middle of a box of water.

    Parameters
    ----------
    topology : openmm.app.Topology
    positions : numpy.ndarray, shape (n, 3)
        nm.
    forcefield : openmm.app.ForceField
        Of molecule, water and ions.
    solvation : Solvation
    seed : int
        Of the places of the ions.

    Returns
    -------
    topology : openmm.app.Topology
        The molecule first, then water and ions; with its box.
    positions : numpy.ndarray, shape (n + solvent, 3)
        nm; the molecule translated.

    Raises
    ------
    SettingsError
        If the box would be smaller than the molecule, or than twice the cutoff of 0.9 nm.
    MinimizationError
        If the force field does not fit.
    """
    modeller = app.Modeller(topology, [Vec3(*map(float, atom)) for atom in positions] * unit.nanometer)
    given = {"padding": solvation.padding}
    if solvation.boxVectors is not None:
        vectors = reduced_vectors(as_box_vectors(solvation.boxVectors, 1))[0]
        _check_box(vectors, positions, "larger boxVectors")
        given = {"boxVectors": [Vec3(*map(float, vector)) for vector in vectors] * unit.nanometer}
    with (
        _python_random(seed),
        translated(
            MinimizationError,
            "the force field does not fit ({reason}): give one of the molecule, water and ions, for example with "
            "amber14/tip3p.xml",
        ),
    ):
        modeller.addSolvent(
            forcefield,
            model=solvation.waterModel.lower(),
            ionicStrength=solvation.molar * unit.molar,
            neutralize=solvation.neutralize,
            **given,
        )
    vectors = np.array(value_in_md_units(modeller.topology.getPeriodicBoxVectors()))
    _check_box(vectors, positions, "more padding")
    # Modeller leaves the molecule in place, wherever that is, and fills a box about its middle.
    centre = (positions.max(0) + positions.min(0)) / 2
    return modeller.topology, np.array(value_in_md_units(modeller.positions)) - centre + np.diag(vectors) / 2


def _check_box(vectors, positions, remedy):
    length = np.linalg.norm(positions[:, None] - positions[None], axis=-1).max()
    least, width = max(length, 2 * CUTOFF_NM), box_widths(vectors).min()
    if width < least:
        raise SettingsError(
            f"a box {width:.2f} nm wide is too small: the molecule is {length:.2f} nm long and the cutoff {CUTOFF_NM} "
            f"nm, so {least:.2f} nm at least are needed; give {remedy}"
        )


@contextmanager
def _python_random(seed):
    """Seed the random module, which Modeller uses to place ions, and restore its state afterwards."""
    kept = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(kept)
