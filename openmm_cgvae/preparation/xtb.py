"""GFN2-xTB by tblite, an optional package: minima, energies and orbital gaps of conformers."""

from dataclasses import replace

import numpy as np

from openmm_cgvae.chemistry.symmetry import heavy_symmetries
from openmm_cgvae.core.errors import MissingDependencyError, MoleculeError
from openmm_cgvae.metrics.pairrmsd import distinct_conformers
from openmm_cgvae.preparation.ensembles import boltzmann_weights

__all__ = ["gfn2_ensemble", "gfn2_gap", "gfn2_relaxed"]

BOHR = 0.529177210903
HARTREE_KJ = 2625.4996394799
HARTREE_EV = 27.211386245988
# Largest gradient of a minimum, Hartree per Bohr, and the most steps to it.
CONVERGED = 5e-4
STEPS = 300


class _Gfn2:
    """Energy and gradient of one molecule, the electrons of the last call a start for the next."""

    def __init__(self, mol):
        try:
            from tblite.interface import Calculator
        except ImportError as error:
            raise MissingDependencyError("GFN2-xTB needs tblite: pip install 'openmm_cgvae[xtb]'") from error
        self._calculator, self._result, self._kind = None, None, Calculator
        self._numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
        self._charge = sum(atom.GetFormalCharge() for atom in mol.GetAtoms())
        self._unpaired = sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())

    def __call__(self, positions):
        """The results of tblite at positions (n, 3) in Angstrom."""
        places = np.ascontiguousarray(positions, dtype=np.float64).reshape(-1, 3) / BOHR
        if self._calculator is None:
            self._calculator = self._kind("GFN2-xTB", self._numbers, places, self._charge, self._unpaired)
            self._calculator.set("verbosity", 0)
        else:
            self._calculator.update(places)
        try:
            self._result = self._calculator.singlepoint(self._result)
        except RuntimeError as error:
            self._result = None
            raise MoleculeError(f"GFN2-xTB does not converge ({error})") from error
        return self._result

    def value_and_gradient(self, flat):
        """Hartree, and Hartree per Angstrom, at a flat array of positions in Angstrom."""
        result = self(flat)
        return float(result["energy"]), np.asarray(result["gradient"]).ravel() / BOHR


def gfn2_relaxed(mol, positions):
    """Minimise conformers with GFN2-xTB; as `relaxed` does with MMFF94s, those that do not converge left out.

    Raises
    ------
    MissingDependencyError
        If tblite is not installed.
    """
    from scipy.optimize import minimize

    field, found = _Gfn2(mol), []
    for places in np.asarray(positions, dtype=np.float64):
        try:
            done = minimize(
                field.value_and_gradient, places.ravel(), jac=True, method="L-BFGS-B",
                options={"maxiter": STEPS, "gtol": CONVERGED / BOHR, "ftol": 0.0},
            )  # fmt: skip
        except MoleculeError:
            continue
        if np.abs(done.jac).max() <= 2 * CONVERGED / BOHR:
            found.append((done.fun * HARTREE_KJ, done.x.reshape(-1, 3)))
    found.sort(key=lambda pair: pair[0])
    n = mol.GetNumAtoms()
    return np.array([places for _, places in found]).reshape(-1, n, 3), np.array([energy for energy, _ in found])


def gfn2_gap(mol, positions):
    """Gap between the highest occupied and the lowest empty orbital at positions (n, 3) in Angstrom, in eV."""
    result = _Gfn2(mol)(positions)
    levels, occupied = np.asarray(result["orbital-energies"]), np.asarray(result["orbital-occupations"]) > 1.0
    return float((levels[~occupied].min() - levels[occupied].max()) * HARTREE_EV)


def gfn2_ensemble(ensemble, window=12.0, most=10, prune=0.1):
    """Re-optimise the low-energy conformers of an ensemble with GFN2-xTB.

    Parameters
    ----------
    ensemble : Ensemble
        Of MMFF94s.
    window : float
        Energies above the lowest, in kJ/mol, up to which conformers are taken.
    most : int
        Conformers taken, at most.
    prune : float
        Heavy-atom RMSD in Angstrom below which two minima are one.

    Returns
    -------
    Ensemble

    Raises
    ------
    MoleculeError
        If none converges.
    """
    mol = ensemble.mol()
    chosen = np.flatnonzero(ensemble.energies <= ensemble.energies.min() + window)[:most]
    positions, energies = gfn2_relaxed(mol, ensemble.positions[chosen])
    if not len(energies):
        raise MoleculeError(f"{ensemble.smiles}: no conformer converges with GFN2-xTB")
    kept = distinct_conformers(positions, heavy_symmetries(mol), prune)
    return replace(
        ensemble,
        method="gfn2",
        positions=positions[kept].astype(np.float32),
        energies=energies[kept],
        weights=boltzmann_weights(energies[kept]).astype(np.float32),
    )
