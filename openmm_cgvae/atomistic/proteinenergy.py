"""Energy of proteins given by their heavy atoms: hydrogens are added, then some steps of minimisation follow."""

import random
from dataclasses import dataclass

import numpy as np
import openmm
from openmm import app, unit

from openmm_cgvae.atomistic.forcefield import create_system
from openmm_cgvae.core.errors import MinimizationError, PositionsError
from openmm_cgvae.metrics.covalent import disulfides
from openmm_cgvae.metrics.residueshapes import CA, SULFUR, C, O, present_slots
from openmm_cgvae.molecule.residues import HEAVY_ATOMS, RESIDUE_NAMES

__all__ = ["ProteinEnergy", "ProteinEnergyResult"]

FORCE_FIELD = ("amber14-all.xml", "implicit/gbn2.xml")
CUTOFF_NM = 1.2
# C-OXT of a charged end, Angstrom.
TERMINAL_BOND = 1.25


@dataclass(frozen=True)
class ProteinEnergyResult:
    """Energies in kJ/mol per residue.

    Attributes
    ----------
    initial : float
        With hydrogens added and relaxed around fixed heavy atoms; may be inf.
    minimized : float
        After the minimisation.
    """

    initial: float
    minimized: float


class ProteinEnergy:
    """Energies of structures of one protein, all with the hydrogens and disulfides that its native structure has.

    ``ProteinEnergy(types, native, mask, connected)(atoms).minimized`` is comparable with the same of ``native``.

    Parameters
    ----------
    types : numpy.ndarray of int, shape (N,)
        Index into ``ARNDCQEGHILKMFPSTWYV``.
    native : numpy.ndarray, shape (N, 14, 3)
        Angstrom; says which cysteines are bonded and which nitrogens of histidines carry hydrogens.
    mask : numpy.ndarray of bool, shape (N, 14)
        All atoms must be there.
    connected : numpy.ndarray of bool, shape (N,)
        Whether a residue is bonded to the one before; each part ends in charged groups.
    platform : str, optional
        Name of an OpenMM platform.

    Raises
    ------
    PositionsError
        If an atom is missing.
    MinimizationError
        If the force field does not fit.
    """

    def __init__(self, types, native, mask, connected, platform=None):
        if not np.array_equal(mask, present_slots(types)):
            missing = int((present_slots(types) & ~mask).sum())
            raise PositionsError(f"{missing} heavy atoms missing: an energy is that of a complete protein")
        self.mask = mask
        starts = ~np.asarray(connected, dtype=bool)
        starts[0] = True
        self.ends = np.flatnonzero(np.roll(starts, -1))
        self.topology = _topology(types, starts, set(self.ends), disulfides(types, native, mask))
        self.forcefield = app.ForceField(*FORCE_FIELD)
        self.platform = openmm.Platform.getPlatformByName(platform) if platform else None
        self.variants = None
        modeller, self.variants = self._with_hydrogens(native)
        self.context = self._context(modeller.topology)

    def __call__(self, atoms, iterations=50):
        """Add hydrogens to a structure and minimise it.

        Parameters
        ----------
        atoms : numpy.ndarray, shape (N, 14, 3)
            Angstrom.
        iterations : int
            Of L-BFGS.

        Returns
        -------
        ProteinEnergyResult
        """
        modeller, _ = self._with_hydrogens(atoms)
        try:
            self.context.setPositions(modeller.positions)
            initial = self._energy()
            openmm.LocalEnergyMinimizer.minimize(self.context, tolerance=1e-3, maxIterations=iterations)
            return ProteinEnergyResult(initial, self._energy())
        except openmm.OpenMMException as error:
            raise MinimizationError(f"the energy of this structure cannot be evaluated: {error}") from error

    def _with_hydrogens(self, atoms):
        """A Modeller with hydrogens relaxed around fixed heavy atoms, and the variant of each residue."""
        modeller = app.Modeller(self.topology, self._positions(atoms))
        # OpenMM draws first positions of hydrogens from Python's generator.
        state = random.getstate()
        random.seed(0)
        try:
            return modeller, modeller.addHydrogens(self.forcefield, variants=self.variants, platform=self.platform)
        except (ValueError, openmm.OpenMMException) as error:
            raise MinimizationError(f"hydrogens cannot be added: {error}") from error
        finally:
            random.setstate(state)

    def _energy(self):
        """Energy of the context in kJ/mol per residue."""
        energy = self.context.getState(getEnergy=True).getPotentialEnergy()
        return energy.value_in_unit(unit.kilojoule_per_mole) / len(self.mask)

    def _positions(self, atoms):
        """Positions of the topology's atoms in nm: each residue's, the second oxygen after those of an end."""
        atoms = np.asarray(atoms, dtype=np.float64)
        rows = [residue[there] for residue, there in zip(atoms, self.mask, strict=True)]
        for end in self.ends:
            rows[end] = np.vstack([rows[end], _second_oxygen(atoms[end])])
        return np.concatenate(rows) / 10 * unit.nanometer

    def _context(self, topology):
        """A context of the complete molecule."""
        system = create_system(
            topology, self.forcefield, nonbondedMethod=app.CutoffNonPeriodic, nonbondedCutoff=CUTOFF_NM * unit.nanometer
        )
        integrator = openmm.VerletIntegrator(0.001)
        return openmm.Context(system, integrator, *([self.platform] if self.platform else []))


def _topology(types, starts, ends, bonded):
    """Heavy atoms with all bonds; a chain of the topology for each connected part."""
    topology = app.Topology()
    sulfurs = {}
    for i, kind in enumerate(types):
        if starts[i]:
            chain = topology.addChain()
        residue = topology.addResidue(RESIDUE_NAMES[kind], chain)
        names = [*HEAVY_ATOMS[kind], *(["OXT"] if i in ends else [])]
        made = [topology.addAtom(name, app.Element.getBySymbol(name[0]), residue) for name in names]
        if i in bonded:
            sulfurs[i] = made[SULFUR]
    topology.createStandardBonds()
    for one, other in bonded:
        topology.addBond(sulfurs[one], sulfurs[other])
    return topology


def _second_oxygen(residue):
    """Opposite to CA and O in their plane with C; Angstrom."""
    along = [residue[slot] - residue[C] for slot in (CA, O)]
    away = -sum(v / np.linalg.norm(v) for v in along)
    return residue[C] + TERMINAL_BOND * away / np.linalg.norm(away)
