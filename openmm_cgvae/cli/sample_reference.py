"""Make all-atom reference MD to train on: independent implicit-solvent runs with hot starts."""

from dataclasses import fields

from openmm_cgvae.cli.common import add_scheduler
from openmm_cgvae.cli.summary import Summary

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    parser.add_argument("pdb", metavar="molecule.pdb", help="starting structure with all hydrogens")
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="repeat the command to go on")
    parser.add_argument("--runs", type=int, default=40, help="independent runs (40)")
    parser.add_argument("--frames", type=int, default=500, help="frames a run (500)")
    parser.add_argument("--interval", dest="interval_ps", type=float, default=1.0, metavar="ps", help="(1)")
    parser.add_argument(
        "--forcefield", nargs="+", default=["amber99sbildn.xml", "amber99_obc.xml"], metavar="XML",
        help="OpenMM force field files, implicit solvent included (amber99sbildn.xml amber99_obc.xml)",
    )  # fmt: skip
    parser.add_argument("--temperature", type=float, default=300.0, metavar="K", help="(300)")
    parser.add_argument("--hot-temperature", type=float, default=900.0, metavar="K", help="of the burst (900)")
    parser.add_argument(
        "--burst", dest="burst_ps", type=float, nargs=2, default=[10.0, 40.0], metavar="ps",
        help="shortest and longest hot burst before a run (10 40)",
    )  # fmt: skip
    parser.add_argument("--equilibration", dest="equilibration_ps", type=float, default=20.0, metavar="ps", help="(20)")
    parser.add_argument("--friction", type=float, default=2.0, metavar="1/ps", help="(2)")
    parser.add_argument("--time-step", dest="time_step_ps", type=float, default=0.002, metavar="ps", help="(0.002)")
    parser.add_argument("--hydrogen-mass", type=float, metavar="amu", help="for a longer time step")
    parser.add_argument("--solvent-every", type=int, default=1, metavar="n", help="steps for one of the solvent (1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--platform", metavar="NAME", help="OpenMM platform; one thread of CPU if omitted")
    add_scheduler(parser)


def run(options):
    from openmm_cgvae.io.cluster import cluster_client
    from openmm_cgvae.preparation.reference import ReferenceProtocol, sample_reference

    protocol = {field.name: getattr(options, field.name) for field in fields(ReferenceProtocol)}
    for name in ("forcefield", "burst_ps"):
        protocol[name] = tuple(protocol[name])
    with cluster_client(options.scheduler) as client:
        paths = sample_reference(
            options.pdb, options.output, options.runs, ReferenceProtocol(**protocol), options.seed, options.platform,
            client=client,
        )  # fmt: skip
    rows = [("runs", len(paths)), ("frames each", options.frames), ("output", options.output)]
    train = f"openmm-cgvae train {options.output}/run-*.dcd --top {options.pdb} -o training"
    return Summary(rows, note=f"Train on them with\n  {train}")
