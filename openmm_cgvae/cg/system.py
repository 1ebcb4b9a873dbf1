"""A coarse-grained system to run in OpenMM: tabulated potentials of mean force on beads with the right masses."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openmm
from openmm import app

from openmm_cgvae.cg.box import box_vectors, excluded_volume_force, pack, tiled_topology
from openmm_cgvae.core.checks import checked_number
from openmm_cgvae.core.errors import OutputError, SettingsError, SimulationError
from openmm_cgvae.core.output import write_text
from openmm_cgvae.core.platforms import installed_platforms
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.core.translation import translated
from openmm_cgvae.core.units import value_in_md_units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openmm_cgvae.cg.potential import CGPotential
    from openmm_cgvae.core.types import Number, Positions
    from openmm_cgvae.molecule.mapping import CGMapping

__all__ = ["add_cg_potential", "create_cg_simulation", "create_cg_system", "default_platform", "run_steps"]

logger = logging.getLogger(__name__)

STEPS_PER_SLICE = 1000

# Written out by coordinates, with a small number under the root, so that no force is 0/0 where beads coincide.
A = "aa = ax^2 + ay^2 + az^2 + 1e-12; ax = x1-x2; ay = y1-y2; az = z1-z2;"
B = "bb = bx^2 + by^2 + bz^2 + 1e-12; bx = x3-x2; by = y3-y2; bz = z3-z2;"
C = "cc = cx^2 + cy^2 + cz^2 + 1e-12; cx = x4-x3; cy = y4-y3; cz = z4-z3;"
COORDINATES = {
    "distances": "x = sqrt(aa);" + A,
    "angles": "x = (ax*bx + ay*by + az*bz) / sqrt(aa*bb);" + A + B,
    "chiralities": "x = ((ay*bz - az*by)*cx + (az*bx - ax*bz)*cy + (ax*by - ay*bx)*cz) / sqrt(aa*bb*cc);" + A + B + C,
}
ENERGY = (
    "table(number, (inside-lower)/(upper-lower)) + left*min(x-lower, 0) + right*max(x-upper, 0) + wall/2*(x-inside)^2;"
    "inside = min(max(x, lower), upper);"
)


def create_cg_system(
    mapping: CGMapping, potential: CGPotential, copies: int = 1, box: Positions | None = None
) -> openmm.System:
    """Build the OpenMM ``System`` of the beads.

    Parameters
    ----------
    mapping : CGMapping
        Source of the masses and sizes of the beads.
    potential : CGPotential or LearnedPotential
        Potential of one molecule, which acts within each copy.
    copies : int
        Molecules, one after the other. Between them beads repel each other, see `excluded_volume_force`: one
        molecule's reference trajectory holds nothing about attraction.
    box : Quantity or array_like, optional
        Edge length, three edge lengths or three box vectors of a periodic box, in nm. Needed for several copies.

    Returns
    -------
    openmm.System
        One particle a bead; one force for every kind of term, that of `cg_force`, and a ``CMMotionRemover`` so that the
        molecules do not drift away (not for a single bead, which has no other motion).

    Raises
    ------
    SettingsError
        If the potential is of another number of beads, or `copies` and `box` do not fit.
    """
    if potential.n_beads != mapping.n_beads:
        raise SettingsError(
            f"a potential of {potential.n_beads} beads given for a mapping of {mapping.n_beads} beads: "
            "use the two of the same model"
        )
    vectors = box_vectors(box, copies)
    system = openmm.System()
    for mass in np.tile(mapping.masses, copies):
        system.addParticle(float(mass))
    if vectors is not None:
        system.setDefaultPeriodicBoxVectors(*vectors)
    add_cg_potential(system, potential, periodic=vectors is not None)
    if vectors is not None:
        system.addForce(excluded_volume_force(mapping, copies, vectors))
    if system.getNumParticles() > 1:
        system.addForce(openmm.CMMotionRemover(1))
    return system


def add_cg_potential(
    system: openmm.System,
    potential: CGPotential,
    particles: Sequence[int] | None = None,
    periodic: bool = False,
    forceGroup: int = 0,
) -> list[openmm.Force]:
    """Add the energy of beads to a System that holds them, with whatever else.

    Two molecules of 10 beads behind 5 other particles: ``add_cg_potential(system, potential, range(5, 25))``. It acts
    within each molecule; what else acts on the beads, and their masses, are the System's own.

    Parameters
    ----------
    system : openmm.System
    potential : CGPotential or LearnedPotential
    particles : sequence of int, optional
        Particles of the System that are the beads, in the potential's order, molecule after molecule; all if omitted.
    periodic : bool
        Whether a learned term may meet molecules that are split over the periodic box. Tables never do: OpenMM keeps
        molecules whole.
    forceGroup : int

    Returns
    -------
    list of openmm.Force
        Those added: one a kind of tables, and that of `cg_force`.

    Raises
    ------
    SettingsError
        If the particles are no whole number of molecules, there are no such particles, or one is named twice.
    """
    forces = cg_forces(potential, system.getNumParticles(), particles, periodic)
    for force in forces:
        force.setForceGroup(forceGroup)
        system.addForce(force)
    return forces


def cg_forces(potential, n_particles, particles=None, periodic=False):
    """Return the forces of `add_cg_potential`, for a System of `n_particles`."""
    chosen = np.arange(n_particles) if particles is None else np.array([*particles], dtype=np.int64)
    if not len(chosen) or len(chosen) % potential.n_beads:
        raise SettingsError(
            f"{len(chosen)} particles given for a potential of {potential.n_beads} beads: those of one molecule, or of "
            "several one after the other, are expected"
        )
    if len(np.unique(chosen)) < len(chosen) or chosen.min() < 0 or chosen.max() >= n_particles:
        raise SettingsError(
            f"particles {chosen.min()} to {chosen.max()} given: 0 to {n_particles - 1}, each once, expected"
        )
    molecules = chosen.reshape(-1, potential.n_beads)
    forces = [
        _tabulated_force(name, terms, coordinate, molecules)
        for (name, coordinate), terms in zip(COORDINATES.items(), potential.terms, strict=True)
        if len(terms)
    ]
    if hasattr(potential, "module"):
        from openmm_cgvae.cg.force import cg_force

        forces.append(cg_force(potential, periodic=periodic, particles=() if particles is None else chosen.tolist()))
    return forces


def _tabulated_force(name, terms, coordinate, molecules):
    """One force for all terms of a kind: a two-dimensional table over (table, place between the edges).

    At a whole table number the two-dimensional spline is that table's own natural spline. The force is not periodic:
    molecules stay whole in OpenMM, however far they travel, and the ends of one longer than half the box would be
    taken for neighbours.
    """
    # OpenMM requires at least two rows, so the last one is repeated.
    rows = np.concatenate([terms.energies, terms.energies[-1:]])
    force = openmm.CustomCompoundBondForce(terms.beads.shape[1], ENERGY + coordinate)
    force.setName(f"CG {name}")
    function = openmm.Continuous2DFunction(*rows.shape, rows.T.ravel().tolist(), 0, len(rows) - 1, 0, 1)
    force.addTabulatedFunction("table", function)
    for parameter in ("number", "lower", "upper", "left", "right", "wall"):
        force.addPerBondParameter(parameter)
    tables = np.stack(
        [np.arange(len(terms.wall)), terms.lower, terms.upper, *terms.edge_slopes, terms.wall], axis=1
    ).tolist()
    for molecule in molecules:
        for beads, table in zip(molecule[terms.beads].tolist(), terms.tables, strict=True):
            force.addBond(beads, tables[table])
    return force


def create_cg_simulation(
    mapping: CGMapping,
    potential: CGPotential,
    temperature: Number | None = None,
    friction: Number = 1.0,
    timeStep: Number | None = None,
    platform: str | None = None,
    seed: int | None = None,
    start: int = 0,
    copies: int = 1,
    box: Positions | None = None,
) -> app.Simulation:
    """Set up Langevin dynamics of the beads, ready to step.

    Parameters
    ----------
    mapping : CGMapping
    potential : CGPotential
    temperature : float or Quantity, optional
        K; the reference trajectory's if omitted. The potentials hold for that one.
    friction : float or Quantity
        1/ps.
    timeStep : float or Quantity, optional
        ps; the potential's own estimate if omitted.
    platform : str, optional
        OpenMM platform. ``Reference`` if omitted: the fastest for one molecule without a GPU, because these forces
        run on one thread on ``CPU`` as well, which adds about 20 microseconds a step. ``CPU`` in a box.
    seed : int, optional
        Of velocities, thermostat and packing; drawn at random if omitted.
    start : int
        Which of the stored reference frames to start from; further copies start from the next ones.
    copies, box
        As in `create_cg_system`. Copies start on a grid, each turned at random, overlaps minimised away.

    Returns
    -------
    openmm.app.Simulation

    Raises
    ------
    SettingsError
        If a number is out of its range, the platform is not there, or the molecules do not fit the box.
    """
    temperature = checked_number("temperature", potential.temperature if temperature is None else temperature, "K")
    step = checked_number("timeStep", potential.time_step_ps if timeStep is None else timeStep, "ps")
    friction = checked_number("friction", friction, "1/ps")
    if not 0 <= start < len(potential.starts_nm):
        raise SettingsError(f"start {start} given: 0 to {len(potential.starts_nm) - 1} are stored")
    system = create_cg_system(mapping, potential, copies, box)
    integrator = openmm.LangevinMiddleIntegrator(temperature, friction, step)
    integrator.setRandomNumberSeed(_openmm_seed(seed))
    chosen = _platform(platform or default_platform(box))
    with translated(SimulationError, f"no simulation on platform {chosen.getName()} ({{reason}}): try platform CPU"):
        simulation = app.Simulation(tiled_topology(mapping, copies, box), system, integrator, chosen)
    starts = np.roll(potential.starts_nm, -start, axis=0)
    if box is None:
        simulation.context.setPositions(starts[0])
    else:
        simulation.context.setPositions(pack(starts, copies, box_vectors(box), _openmm_seed(seed) or None))
        simulation.minimizeEnergy()
    simulation.context.setVelocitiesToTemperature(temperature, *([] if seed is None else [_openmm_seed(seed)]))
    logger.info("%d copies of %d beads at %g K, step %g fs", copies, mapping.n_beads, temperature, 1000 * step)
    return simulation


def default_platform(box):
    """Name of the platform that `create_cg_simulation` takes if none is given."""
    return "Reference" if box is None else "CPU"


def _openmm_seed(seed):
    """Map a seed to what OpenMM accepts: 31 bits, where 0 would mean a random one."""
    return 0 if seed is None else 1 + int(seed) % (2**31 - 2)


def _platform(name):
    available = installed_platforms()
    if name not in available:
        raise SettingsError(f"platform {name!r} given: {', '.join(available)} are available here")
    return openmm.Platform.getPlatformByName(name)


def run_steps(simulation, steps, progress=False, lastState=None):
    """Run, and stop with an error if positions are no longer finite.

    Parameters
    ----------
    simulation : openmm.app.Simulation
    steps : int
    progress : bool or tqdm
        Show a bar once it takes longer than a few seconds; or the bar to move on.
    lastState : str or path, optional
        Where to write the last finite state (as ``Simulation.saveState`` does) if the run fails.

    Raises
    ------
    SettingsError
        If `steps` is negative.
    OutputError
        If the folder of `lastState` is missing.
    SimulationError
        If positions are no longer finite.
    """
    if steps < 0:
        raise SettingsError(f"steps {steps} given: 0 or more are expected")
    if lastState is not None and not Path(lastState).parent.is_dir():
        raise OutputError(f"folder {Path(lastState).parent} does not exist: create it first")
    state = _finite_state(simulation)
    own = progress_bar(total=steps, unit="step", unit_scale=True, shown=progress is True)
    bar = own if isinstance(progress, bool) else progress
    with own:
        for done in range(0, steps, STEPS_PER_SLICE):
            n = min(STEPS_PER_SLICE, steps - done)
            try:
                simulation.step(n)
                state = _finite_state(simulation)
            except (openmm.OpenMMException, FloatingPointError) as error:
                if lastState is not None:
                    write_text(lastState, openmm.XmlSerializer.serialize(state))
                step = value_in_md_units(simulation.integrator.getStepSize())
                saved = "" if lastState is None else f"; the last good state is in {lastState}"
                raise SimulationError(
                    f"unstable between steps {done} and {done + n} of this run ({error}): "
                    f"use a timeStep below {1000 * step:g} fs{saved}"
                ) from error
            bar.update(n)


def _finite_state(simulation):
    state = simulation.context.getState(positions=True, velocities=True)
    if not np.isfinite(state.getPositions(asNumpy=True)._value).all():
        raise FloatingPointError("bead positions are NaN or infinite")
    return state
