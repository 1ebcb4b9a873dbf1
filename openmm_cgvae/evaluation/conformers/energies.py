"""Energies of generated ensembles against those of the reference: ensemble average, lowest minimum, orbital gap."""

import numpy as np

from openmm_cgvae.chemistry.symmetry import heavy_symmetries
from openmm_cgvae.metrics.pairrmsd import distinct_conformers
from openmm_cgvae.preparation.ensembles import boltzmann_weights, relaxed
from openmm_cgvae.preparation.xtb import gfn2_gap, gfn2_relaxed

__all__ = ["energy_errors"]

# Heavy-atom RMSD in Angstrom below which two minima are one.
SAME = 0.1


def energy_errors(mol, reference, generated):
    """Relax generated conformers and compare their energies with those of the reference ensemble.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        With all hydrogens.
    reference : Ensemble
    generated : array, shape (G, n, 3)
        Angstrom; relaxed with the method of the reference, each minimum counted once.

    Returns
    -------
    dict of str to float
        ``ensemble_energy_error`` of the Boltzmann average at 298.15 K, ``lowest_energy_error``, both in kJ/mol, and
        with GFN2-xTB ``gap_error``, of the Boltzmann average of the gap between occupied and empty orbitals in eV;
        absolute values. Empty if nothing could be relaxed.
    """
    positions, energies = (relaxed if reference.method == "mmff94s" else gfn2_relaxed)(mol, generated)
    if not len(energies):
        return {}
    kept = distinct_conformers(positions, heavy_symmetries(mol), SAME)
    own, theirs = boltzmann_weights(energies[kept]), boltzmann_weights(reference.energies)
    found = {
        "ensemble_energy_error": abs(float(own @ energies[kept] - theirs @ reference.energies)),
        "lowest_energy_error": abs(float(energies.min() - reference.energies.min())),
    }
    if reference.method == "gfn2":
        gaps = np.array([gfn2_gap(mol, places) for places in positions[kept]])
        expected = np.array([gfn2_gap(mol, places) for places in reference.positions])
        found["gap_error"] = abs(float(own @ gaps - theirs @ expected))
    return found
