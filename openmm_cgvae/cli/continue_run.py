"""Continue from a CG frame in atoms: an all-atom run, in vacuum, implicit solvent or water."""

import secrets

from openmm_cgvae.cli.anyprotein import add_protein, bound
from openmm_cgvae.cli.common import add_model, add_overwrite, add_topology, check_with_topology, run_rows
from openmm_cgvae.cli.summary import Summary
from openmm_cgvae.core.errors import SettingsError

__all__ = ["add_arguments", "run"]

# What a run to go on with may be given otherwise, or is in its checkpoint by content: all else is what it depends on.
FREE = {"steps", "checkpoint", "resume", "overwrite", "debug", "quiet", "verbose", "json", "run", "command",
        "command_line", "trajectory", "top", "model", "output"}  # fmt: skip


def add_arguments(parser):
    parser.add_argument("trajectory", metavar="cg.dcd", help="CG trajectory with the model's beads")
    add_model(parser)
    add_topology(parser, "CG particles", required=False)
    parser.add_argument("--frame", type=int, default=0, metavar="k", help="frame to start from (0)")
    parser.add_argument("--steps", type=int, required=True, metavar="n", help="steps in all, those before --resume too")
    parser.add_argument("--report-interval", type=int, metavar="m", help="steps between frames (500, or --steps)")
    parser.add_argument(
        "-o", "--output", required=True, metavar="aa.dcd", help="all-atom trajectory (.dcd, .xtc, .pdb)"
    )
    parser.add_argument("--forcefield", nargs="+", metavar="XML", help="OpenMM force field files; amber14 if omitted")
    solvent = parser.group("simulation").add_mutually_exclusive_group()
    solvent.add_argument("--implicit-solvent", metavar="NAME", help="GBn2, OBC2, ... instead of vacuum")
    solvent.add_argument(
        "--solvate", type=float, metavar="padding", help="nm by which the water box is wider than the molecule"
    )
    parser.add_argument("--water-model", default="tip3p", metavar="NAME", help="tip3p (default), spce, tip4pew")
    parser.add_argument("--ionic-strength", type=float, default=0.0, metavar="mol/l", help="of NaCl (0)")
    parser.add_argument("--temperature", type=float, default=300.0, metavar="K", help="(300)")
    parser.add_argument("--friction", type=float, default=1.0, metavar="1/ps", help="(1)")
    parser.add_argument("--time-step", type=float, default=0.002, metavar="ps", help="(0.002)")
    parser.add_argument("--equilibration", type=float, default=2.0, metavar="ps", help="with the beads held (2)")
    parser.add_argument("--platform", metavar="NAME", help="OpenMM platform")
    parser.add_argument("--seed", type=int, metavar="S", help="of structure, velocities, thermostat; random if omitted")
    parser.add_argument("--checkpoint", metavar="FILE", help="written every 20,000 steps or so, and at the end")
    parser.add_argument("--resume", action="store_true", help="go on from --checkpoint, appending to the output")
    add_protein(parser, "--noise-temperature")
    add_overwrite(parser)


def run(options):
    _check_files(options)
    if options.report_interval is None:
        options.report_interval = max(1, min(500, options.steps))
    if not 1 <= options.report_interval <= options.steps:
        given = f"--steps {options.steps} --report-interval {options.report_interval}"
        raise SettingsError(f"{given} given: an interval from 1 to the number of steps is expected")
    from openmm_cgvae.core.lock import locked
    from openmm_cgvae.simulation.atomistic import run_and_write
    from openmm_cgvae.simulation.checkpoint import RunCheckpoint

    with locked(options.output, options.checkpoint):
        resumed = RunCheckpoint.load(options.checkpoint) if options.resume else None
        if options.seed is None:
            options.seed = resumed.settings.get("seed") if resumed else secrets.randbits(63)
        backmapper, beads = _start(options)
        settings = None if options.checkpoint is None else _settings(options, backmapper, beads)
        if resumed:
            resumed.check(settings, options.checkpoint, [options.output])
        simulation = _simulation(options, backmapper, beads)
        steps, seconds = run_and_write(
            simulation, options.steps, options.report_interval, options.output,
            checkpoint=options.checkpoint, settings=settings, resumed=resumed,
        )  # fmt: skip
    return Summary(run_rows(
        f"{options.steps // options.report_interval} in {options.output}", steps, seconds, options.seed,
        ("atoms", simulation.topology.getNumAtoms()), ("ns/day", 86.4 * steps * options.time_step / seconds),
    ))  # fmt: skip


def _start(options):
    """The sampler, and the beads (1, N, 3) to start from."""
    from openmm_cgvae.backmapping.model import Model
    from openmm_cgvae.backmapping.trajectory import read_frame

    backmapper = bound(Model.load(options.model, trust=options.trust), options)
    return backmapper, read_frame(options.trajectory, backmapper.cg_topology(), options.frame)


def _settings(options, backmapper, beads):
    """All that a run depends on, inputs by their content."""
    from openmm_cgvae.core.fingerprint import fingerprint, fingerprint_of
    from openmm_cgvae.simulation.checkpoint import output_names

    settings = {name: value for name, value in vars(options).items() if name not in FREE}
    files = {name: fingerprint_of(name) for name in options.forcefield or ()}
    inputs = {"model": fingerprint_of(backmapper), "beads": fingerprint(beads), "forcefield": files}
    return settings | inputs | output_names(options.checkpoint, output=options.output)


def _check_files(options):
    inputs = [options.trajectory, *filter(None, [options.top])]
    check_with_topology(options.output, options.overwrite or options.resume, inputs)
    if options.checkpoint is not None:
        from openmm_cgvae.simulation.checkpoint import check_checkpoint

        check_checkpoint(options.checkpoint, options.output, options.overwrite or options.resume)
    elif options.resume:
        raise SettingsError("--resume given without --checkpoint: give the file that the run to go on with wrote")


def _simulation(options, backmapper, beads):
    from openmm_cgvae.atomistic.solvation import Solvation
    from openmm_cgvae.io.trajectory_files import check_format
    from openmm_cgvae.simulation.atomistic import to_atomistic_simulation

    check_format(options.output)
    solvation = None
    if options.solvate is not None:
        solvation = Solvation(options.solvate, waterModel=options.water_model, ionicStrength=options.ionic_strength)
    return to_atomistic_simulation(
        beads,
        backmapper,
        options.forcefield,
        options.implicit_solvent,
        solvation,
        frame=options.frame,
        temperature=options.temperature,
        friction=options.friction,
        timeStep=options.time_step,
        # The checkpoint has the state; the System is the same without.
        equilibration=0.0 if options.resume else options.equilibration,
        platform=options.platform,
        seed=options.seed,
    )
