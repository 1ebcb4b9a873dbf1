"""Make a CG force field from reference MD: direct, then iterative, Boltzmann inversion."""

from openmm_cgvae.cli.common import add_overwrite, add_reference, add_trust, load_dataset
from openmm_cgvae.cli.summary import Summary
from openmm_cgvae.core.errors import SettingsError, TopologyMismatchError
from openmm_cgvae.core.output import check_output

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    add_reference(parser)
    parser.add_argument(
        "-o", "--output", required=True, metavar="potential.json", help="for simulate --potential; with --model a .pt"
    )
    parser.add_argument("--model", metavar="NAME_OR_FILE", help="write a copy of this model that holds the potential")
    add_trust(parser)
    parser.add_argument("--iterations", type=int, default=40, metavar="n", help="0: direct inversion alone (40)")
    parser.add_argument("--replicas", type=int, default=8, metavar="n", help="short CG runs an iteration (8)")
    parser.add_argument("--steps", type=int, default=8000, metavar="n", help="of each run (8000)")
    parser.add_argument("--rate", type=float, default=0.1, help="of the first iterations, above 0 to 1 (0.1)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="same seed, same potential (0)")
    parser.add_argument("--checkpoint", metavar="FILE", help="written every iteration; repeat the command to go on")
    add_overwrite(parser)


def run(options):
    check_output(options.output, options.overwrite, [*options.trajectories, *filter(None, [options.model])])
    if (options.model is None) != options.output.endswith(".json"):
        raise SettingsError(
            f"--output {options.output} given: a name ending in .json, or another and --model, expected"
        )
    from openmm_cgvae.cg.boltzmann import bead_types, boltzmann_inversion
    from openmm_cgvae.molecule.mapping import CGMapping

    dataset = load_dataset(options)
    mapping = CGMapping.from_dict(dataset.description["mapping"])
    model = _checked_model(options.model, mapping, options.trust)
    beads = mapping.project(dataset.positions)
    temperature = dataset.description["temperature"] or options.temperature
    potential = boltzmann_inversion(beads, mapping.bead_bonds, temperature, mapping.masses, types=bead_types(mapping))
    rows = []
    if options.iterations != 0:
        potential, rows = _improved(options, mapping, potential, beads, dataset.runs)
    if model is None:
        potential.save(options.output, options.overwrite)
    else:
        model.potential = potential.to_dict()
        model.save(options.output, options.overwrite)
    rows += [("beads", mapping.n_beads), ("time step, fs", 1000 * potential.time_step_ps), ("output", options.output)]
    return Summary(rows)


def _checked_model(name, mapping, trust):
    """The model to put the potential into, if any; of the same mapping."""
    if name is None:
        return None
    from openmm_cgvae.backmapping.model import Model
    from openmm_cgvae.molecule.mapping import CGMapping

    model = Model.load(name, trust=trust)
    if model.of_any_molecule:
        raise SettingsError(f"--model {name} given, of {model.serves}: a model of one molecule is expected")
    model = model.file
    own = CGMapping.from_dict(model.mapping)
    if own.beads != mapping.beads or (own.weights != mapping.weights).any():
        raise TopologyMismatchError(f"model {name} has other beads than the reference data: use its own mapping")
    return model


def _improved(options, mapping, potential, beads, runs):
    from openmm_cgvae.cg.inversion import iterative_boltzmann_inversion

    result = iterative_boltzmann_inversion(
        mapping,
        potential,
        beads,
        runs,
        options.iterations,
        options.replicas,
        options.steps,
        options.rate,
        options.seed,
        options.checkpoint,
    )
    rows = [(f"divergence, {name}", value) for name, value in result.divergences.items()]
    return result.potential, [*rows, ("floor, MD against MD", result.floor), ("kept", result.chosen)]
