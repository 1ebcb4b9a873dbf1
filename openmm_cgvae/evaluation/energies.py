"""Energies of some structures of a subject, before and after a brief minimisation."""

from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.io.thinning import thinned
from openmm_cgvae.molecule.mapping import custom_mapping

__all__ = ["measure_energies"]


def measure_energies(subject, count):
    """Minimise evenly spaced structures, and as many of the reference, in amber14 in vacuum.

    Parameters
    ----------
    subject : Subject
        Gets ``energies``.
    count : int

    Raises
    ------
    SettingsError
        If `count` is less than 1.
    MinimizationError
        If the force field lacks a residue.
    """
    if count < 1:
        raise SettingsError(f"{count} structures to minimise given: 1 or more is expected")
    mapping = subject.mapping or custom_mapping(subject.topology, [list(range(subject.n_atoms))])
    signs = subject.reference_signs if subject.is_small else None
    minimizer = Minimizer(mapping, handedness=signs)
    sets = {"": subject.structures[:, 0]} | ({} if subject.reference is None else {"md": subject.reference})
    for name, positions in sets.items():
        chosen = positions[thinned(len(positions), count)]
        done = minimizer.minimize(chosen, mapping.project(chosen))
        for moment, energies in (("", done.energy_before), ("minimised", done.energy_after)):
            subject.energies[f"{name} {moment}".strip() or "sampled"] = energies / subject.n_atoms
