"""Learn a CG force field by force matching: a message-passing energy on top of a tabulated one."""

from openmm_cgvae.cli.common import add_overwrite, add_reference, load_dataset
from openmm_cgvae.cli.summary import Summary
from openmm_cgvae.core.output import check_output

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    add_reference(parser)
    parser.add_argument("-o", "--output", required=True, metavar="learned.pt", help="for simulate --potential")
    parser.add_argument(
        "--potential", metavar="FILE",
        help="tabulated part (see cg-forcefield); direct inversion of the data if omitted",
    )  # fmt: skip
    parser.add_argument(
        "--forcefield", nargs="+", default=["amber99sbildn.xml", "amber99_obc.xml"], metavar="XML",
        help="of the reference MD, where sample-reference kept no forces (amber99sbildn.xml amber99_obc.xml)",
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, default=40, metavar="n", help="(40)")
    parser.add_argument("--features", type=int, default=32, metavar="F", help="width of the network (32)")
    parser.add_argument("--layers", type=int, default=2, metavar="n", help="message-passing layers (2)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="same seed, same potential (0)")
    parser.add_argument("--checkpoint", metavar="FILE", help="written every epoch; repeat the command to go on")
    add_overwrite(parser)


def run(options):
    check_output(options.output, options.overwrite, options.trajectories)
    if options.checkpoint:
        check_output(options.checkpoint, True, options.trajectories)
    from openmm_cgvae.cg.forcematching import ForceMatchingConfig
    from openmm_cgvae.cg.learned import learn_potential
    from openmm_cgvae.cg.potential import CGPotential
    from openmm_cgvae.models import ModelConfig
    from openmm_cgvae.molecule.mapping import CGMapping
    from openmm_cgvae.preparation.reference import ReferenceProtocol, reference_forces

    config = ForceMatchingConfig(epochs=options.epochs, seed=options.seed)
    model_config = ModelConfig(features=options.features, prior_layers=options.layers, radial=12)
    tables = options.potential and CGPotential.load(options.potential)
    dataset = load_dataset(options)
    mapping = CGMapping.from_dict(dataset.description["mapping"])
    protocol = ReferenceProtocol(forcefield=tuple(options.forcefield))
    forces = reference_forces(options.trajectories, mapping.topology, dataset.positions, protocol, options.stride)
    potential = learn_potential(
        mapping,
        tables or CGPotential.from_dict(dataset.description["potential"]),
        dataset.spec,
        mapping.project(dataset.positions).astype(float),
        forces,
        dataset.runs,
        model_config,
        config,
        options.checkpoint,
    )
    potential.save(options.output, options.overwrite)
    facts = {"output": options.output, "time_step_ps": potential.time_step_ps, **potential.metadata}
    return Summary(_rows(potential, options.output), facts)


def _rows(potential, output):
    rows = []
    for name, error in potential.metadata["force_error"].items():
        rows += [
            (f"mean square force, {error['runs']} {name} runs", f"{error['reference']:.6g} (kJ/mol/nm)^2"),
            ("  error of the tables", f"{error['tabulated']:.6g}"),
            ("  with the learned term", _learned(error)),
            ("  noise, at most", f"{error['noise']:.6g}"),
        ]
    return [*rows, ("time step, fs", 1000 * potential.time_step_ps), ("output", output)]


def _learned(error):
    gain = error["tabulated"] - error["learned"]
    # Before the first epoch the learned term is exactly 0, and those weights are kept if none are better.
    if gain == 0:
        return "the same: no epoch lowered the error on the validation runs"
    spread = "" if error["standard_error"] is None else f" +- {error['standard_error']:.6g}"
    return f"{error['learned']:.6g}, {'less' if gain > 0 else 'more'} by {abs(gain):.6g}{spread}"
