"""All-atom simulations that continue from a coarse-grained frame."""

from __future__ import annotations

import logging
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openmm
from openmm import app

from openmm_cgvae.atomistic.forcefield import CUTOFF_NM, IMPLICIT_SOLVENTS, amber14, create_system, nearest_name
from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.atomistic.restrained import bead_restraint, hold, restrained_system
from openmm_cgvae.atomistic.solvation import solvate
from openmm_cgvae.cg.system import run_steps
from openmm_cgvae.core.checks import checked_number
from openmm_cgvae.core.errors import MinimizationError, PositionsError, SettingsError, SimulationError
from openmm_cgvae.core.lock import locked
from openmm_cgvae.core.output import complete_output
from openmm_cgvae.core.platforms import installed_platforms
from openmm_cgvae.core.translation import translated
from openmm_cgvae.core.units import as_positions_nm, value_in_md_units
from openmm_cgvae.simulation.checkpoint import run_id
from openmm_cgvae.simulation.reporters import TrajectoryReporter
from openmm_cgvae.simulation.running import begin, run_to

if TYPE_CHECKING:
    from typing import Any

    from openmm_cgvae.atomistic.solvation import Solvation
    from openmm_cgvae.backmapping.sampler import Sampler
    from openmm_cgvae.core.types import Number, Positions

__all__ = ["run_and_write", "to_atomistic_simulation", "velocities_with_beads"]

logger = logging.getLogger(__name__)

# Samples tried for a frame: the second is needed for one in thousands.
ATTEMPTS = 4
# kJ/mol/nm^2 an atom: soft enough for any time step (0.1 rad a fs for a lone hydrogen), and beads stay within 0.01 nm.
RESTRAINT = 1e4
MINIMIZATION_ITERATIONS = 500


@dataclass(frozen=True)
class _Dynamics:
    """Langevin dynamics in K, 1/ps and ps, on a platform by name (OpenMM's choice if None)."""

    temperature: float
    friction: float
    time_step: float
    platform: str | None

    def simulation(self, topology, system, seed):
        """A Simulation without positions."""
        integrator = openmm.LangevinMiddleIntegrator(self.temperature, self.friction, self.time_step)
        integrator.setRandomNumberSeed(seed)
        what = f"no simulation on platform {self.platform or 'of its choice'} ({{reason}}): try platform CPU"
        with translated(SimulationError, what):
            if self.platform is None:
                return app.Simulation(topology, system, integrator)
            platform = openmm.Platform.getPlatformByName(self.platform)
            fixed = {"DeterministicForces": "true"} if "DeterministicForces" in platform.getPropertyNames() else {}
            return app.Simulation(topology, system, integrator, platform, fixed)


def to_atomistic_simulation(
    cg: Any,
    backmapper: Sampler,
    forcefield: Any = None,
    implicitSolvent: str | None = None,
    solvation: Solvation | None = None,
    velocities: Positions | None = None,
    frame: int = 0,
    temperature: Number = 300.0,
    friction: Number = 1.0,
    timeStep: Number = 0.002,
    equilibration: Number = 2.0,
    platform: str | None = None,
    seed: int | None = None,
    progress: bool = True,
) -> app.Simulation:
    """Set up all-atom MD that goes on from a CG frame: ``to_atomistic_simulation(state, backmapper).step(25_000)``.

    The frame is backmapped and minimised with its beads restrained, solvated if asked, minimised again and
    equilibrated with the beads held, all with bonds to hydrogen constrained. Then velocities are drawn at
    `temperature`; where bead velocities are known, see `velocities_with_beads`.

    Parameters
    ----------
    cg : openmm.State or Quantity or array_like, shape (N, 3)
        State of the CG Simulation, with positions and, to be kept, velocities; or bead positions, bare numbers in nm.
    backmapper : Backmapper
    forcefield : openmm.app.ForceField or sequence of str, optional
        A sequence names OpenMM XML files; amber14, with water if solvated, if omitted.
    implicitSolvent : {"HCT", "OBC1", "OBC2", "GBn", "GBn2"}, optional
        Vacuum if omitted. With a force field of your own, put its XML file into that instead.
    solvation : Solvation, optional
        Explicit water with particle mesh Ewald; the molecule is then moved to the middle of the box.
    velocities : Quantity or array_like, shape (N, 3), optional
        Of the beads, bare numbers in nm/ps; the State's if omitted.
    frame : int
        Number that keys the noise: with the same seed, `backmap_trajectory` gives this structure for this frame.
    temperature, friction, timeStep : float or Quantity
        K, 1/ps and ps of a ``LangevinMiddleIntegrator``.
    equilibration : float or Quantity
        ps with the beads held; 0 for none.
    platform : str, optional
        OpenMM's choice if omitted. On a named platform forces are summed in a fixed order: same seed, same bits.
    seed : int, optional
        Drawn at random if omitted.
    progress : bool

    Returns
    -------
    openmm.app.Simulation
        At step 0, without restraints; the molecule's atoms first, in the order of the model.

    Raises
    ------
    PositionsError
        If positions or velocities are of another shape, or not finite.
    SettingsError
        If a setting is out of its range, or the box too small.
    MinimizationError
        If the force field lacks a residue, or no structure with sound bonds and handedness comes out.
    SimulationError
        If the equilibration is unstable.
    """
    beads, velocities = _bead_state(cg, velocities, backmapper.n_beads)
    if velocities is not None and backmapper.mapping.n_beads != backmapper.n_beads:
        logger.warning("velocities of beads are not kept where particles of the CG system are left out")
        velocities = None
    equilibration = checked_number("equilibration", equilibration, "ps", zero=True)
    dynamics = _Dynamics(
        checked_number("temperature", temperature, "K"), checked_number("friction", friction, "1/ps"),
        checked_number("timeStep", timeStep, "ps"),
        None if platform is None else nearest_name("platform", platform, installed_platforms()),
    )  # fmt: skip
    seed = secrets.randbits(63) if seed is None else int(seed)
    forcefield = _forcefield(forcefield, implicitSolvent, solvation)
    minimizer = Minimizer(backmapper.mapping, forcefield, handedness=backmapper.handedness)
    positions, topology = _minimized(beads, backmapper, minimizer, seed, frame), backmapper.topology
    # OpenMM takes 31 bits, and 0 for a random one.
    seeds = np.random.default_rng([seed, frame]).integers(1, 2**31, 5).tolist()
    if solvation is not None:
        topology, positions = solvate(topology, positions, forcefield, solvation, seeds[0])
    system = _create_system(topology, forcefield, solvation)
    steps = round(equilibration / dynamics.time_step)
    positions = _equilibrated(topology, system, positions, backmapper.mapping, dynamics, steps, seeds[1:3], progress)
    simulation = dynamics.simulation(topology, system, seeds[3])
    simulation.context.setPositions(positions)
    _draw_velocities(simulation.context, dynamics.temperature, seeds[4], backmapper.mapping, velocities)
    return simulation


def velocities_with_beads(mapping, thermal, beads):
    """Give atoms the velocities of their beads, and keep their thermal motion within each bead.

    v = v_thermal + lift(V - P v_thermal), where P takes the centre of mass of every bead's atoms, whatever the
    mapping's weights: a CG particle has the mass of all its atoms, so its momentum is theirs. Motion of the centre and
    motion about it are independent in a Maxwell-Boltzmann distribution, so that v has one if v_thermal and V do. With
    mass weights V is the velocity of M x.

    Parameters
    ----------
    mapping : CGMapping
    thermal : numpy.ndarray, shape (n_atoms, 3)
        Maxwell-Boltzmann velocities, nm/ps.
    beads : numpy.ndarray, shape (n_beads, 3)
        V, nm/ps.

    Returns
    -------
    numpy.ndarray, shape (n_atoms, 3)
        nm/ps.
    """
    masses = np.array([atom.element.mass._value for atom in mapping.topology.atoms()])
    momenta = np.zeros_like(beads, dtype=float)
    np.add.at(momenta, mapping.assignment, masses[:, None] * thermal)
    totals = np.bincount(mapping.assignment, masses, mapping.n_beads)
    return thermal + (beads - momenta / totals[:, None])[mapping.assignment]


def run_and_write(simulation, steps, reportInterval, file, progress=True, checkpoint=None, settings=None, resumed=None):
    """Run and write frames; the structure it starts from goes to a PDB file beside them.

    Parameters
    ----------
    simulation : openmm.app.Simulation
    steps, reportInterval : int
        Steps in all, those before `resumed` included.
    file : path
        Ending in .dcd, .xtc, .pdb or .cif (.dcd with a checkpoint); replaced if it exists.
    progress : bool
    checkpoint : path, optional
        Written when the run begins, every 20,000 steps or so, and at the end; an earlier one is replaced.
    settings : dict, optional
        What the run depends on, kept in the checkpoint.
    resumed : RunCheckpoint, optional
        To go on from, with a simulation of the same System; frames written after it are written again.

    Returns
    -------
    steps : int
        Run by this call.
    seconds : float
        Wall time.

    Raises
    ------
    SettingsError, OutputError
        If `resumed` does not fit, see ``RunCheckpoint.restore``; if another process is at the same run.
    SimulationError
        If the run becomes unstable; the frames up to then are in the file, and the last good state is in
        ``<file>-last-state.xml``, as ``Simulation.saveState`` writes it.
    """
    file = Path(file)
    with locked(file, checkpoint):
        if resumed is not None:
            resumed.restore(simulation, [file])
        else:
            # The structure first: a run that can be resumed has it.
            if file.suffix.lower() != ".pdb":
                _write_structure(simulation, file.with_suffix(".pdb"))
            begin(simulation, [file], checkpoint, settings)
        title = "" if settings is None else f"run {run_id(settings)}"
        frames = TrajectoryReporter(file, reportInterval, file.is_file(), title)
        return run_to(simulation, steps, reportInterval, _alone(frames), [file], checkpoint, settings, progress)


@contextmanager
def _alone(reporter):
    """A list of one reporter, closed at its end."""
    with reporter:
        yield [reporter]


def _write_structure(simulation, path):
    positions = simulation.context.getState(positions=True).getPositions()
    with complete_output(path) as temporary, open(temporary, "w") as pdb:
        app.PDBFile.writeFile(simulation.topology, positions, pdb, keepIds=True)


def _bead_state(cg, velocities, n_beads):
    """Bead positions (N, 3) in nm, and velocities (N, 3) in nm/ps or None."""
    if isinstance(cg, openmm.State):
        if not cg.getDataTypes() & openmm.State.Positions:
            raise PositionsError("a State without positions given: ask for getState(positions=True, velocities=True)")
        if velocities is None and cg.getDataTypes() & openmm.State.Velocities:
            velocities = cg.getVelocities(asNumpy=True)
        cg = cg.getPositions(asNumpy=True)
    beads = as_positions_nm(cg, n_beads, "beads")
    if len(beads) != 1:
        raise PositionsError(f"{len(beads)} frames given: one frame of bead positions, ({n_beads}, 3), is expected")
    if velocities is not None:
        velocities = np.asarray(value_in_md_units(velocities), dtype=float)
        if velocities.shape != (n_beads, 3) or not np.isfinite(velocities).all():
            raise PositionsError(
                f"velocities of shape {velocities.shape} given, {int((~np.isfinite(velocities)).sum())} of them "
                f"not finite: ({n_beads}, 3) finite numbers in nm/ps are expected, one row a bead"
            )
    return beads[0], velocities


def _forcefield(forcefield, implicitSolvent, solvation):
    """The ``ForceField`` to use; amber14 with the solvent asked for unless one is given."""
    if implicitSolvent is not None and (forcefield is not None or solvation is not None):
        other = "explicit water" if forcefield is None else "a force field, whose files would have to hold it"
        raise SettingsError(f"implicitSolvent {implicitSolvent!r} given with {other}: leave one out")
    if isinstance(forcefield, app.ForceField):
        return forcefield
    if forcefield is None and implicitSolvent is not None:
        name = nearest_name("implicitSolvent", str(implicitSolvent), IMPLICIT_SOLVENTS)
        return amber14(f"implicit/{name.lower()}.xml")
    if forcefield is None:
        return amber14(*([] if solvation is None else [f"amber14/{solvation.waterModel.lower()}.xml"]))
    with translated(
        SettingsError,
        f"force field {forcefield} cannot be read ({{reason}}): an openmm.app.ForceField, or names of OpenMM XML files "
        "are expected",
    ):
        return app.ForceField(*forcefield)


def _minimized(beads, backmapper, minimizer, seed, frame):
    """The first of a few samples that is sound once minimised, (n, 3) in nm."""
    for structure in backmapper.sample(beads, ATTEMPTS, seed, [frame])[0]:
        # Held where the structure has its beads, which sound proteins move a little.
        result = minimizer.minimize(structure, progress=False)
        if not result.failed[0]:
            return result.positions.astype(float)
    raise MinimizationError(
        f"none of {ATTEMPTS} structures for these beads is sound after minimisation ({result.reason[0]}): take another "
        "frame or seed, and see that the model is of this system"
    )


def _create_system(topology, forcefield, solvation):
    """Constrained bonds to hydrogen; PME in water, no cutoff otherwise."""
    settings = {"nonbondedMethod": app.NoCutoff}
    if solvation is not None:
        settings = {"nonbondedMethod": app.PME, "nonbondedCutoff": CUTOFF_NM}
    return create_system(topology, forcefield, constraints=app.HBonds, **settings)


def _equilibrated(topology, system, positions, mapping, dynamics, steps, seeds, progress):
    """Minimise, then run `steps`, with the beads held where they are; positions afterwards, (particles, 3) in nm."""
    restraint = bead_restraint(mapping, RESTRAINT)
    simulation = dynamics.simulation(topology, restrained_system(system, restraint), seeds[0])
    simulation.context.setPositions(positions)
    hold(simulation.context, restraint, mapping.project(positions[: mapping.n_atoms]))
    simulation.minimizeEnergy(maxIterations=MINIMIZATION_ITERATIONS)
    simulation.context.setVelocitiesToTemperature(dynamics.temperature, seeds[1])
    run_steps(simulation, steps, progress=progress)
    return simulation.context.getState(positions=True).getPositions(asNumpy=True)._value


def _draw_velocities(context, temperature, seed, mapping, beads):
    context.setVelocitiesToTemperature(temperature, seed)
    if beads is None:
        return
    velocities = context.getState(velocities=True).getVelocities(asNumpy=True)._value.copy()
    velocities[: mapping.n_atoms] = velocities_with_beads(mapping, velocities[: mapping.n_atoms], beads)
    context.setVelocities(velocities)
    # Of no effect unless a constrained bond joins two beads.
    context.applyVelocityConstraints(1e-6)
