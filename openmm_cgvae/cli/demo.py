"""Run a CG simulation of alanine dipeptide, put the atoms back, and say how good they are."""

from openmm_cgvae.cli.common import add_overwrite
from openmm_cgvae.cli.summary import Summary

__all__ = ["add_arguments", "demo_summary", "run"]

HEAD = ("", "sampled", "minimized")


def add_arguments(parser):
    parser.add_argument("-o", "--output", default="demo_output", metavar="FOLDER", help="(demo_output)")
    parser.add_argument("--model", default="alanine-dipeptide-3", metavar="NAME", help="(alanine-dipeptide-3)")
    parser.add_argument("--steps", type=int, default=400_000, help="steps of the CG run (400000)")
    parser.add_argument("--seed", type=int, default=0)
    add_overwrite(parser)


def run(options):
    from openmm_cgvae.pretrained.bundle import reference_frames
    from openmm_cgvae.report.demonstration import demonstrate

    reference = reference_frames(options.model)
    facts = demonstrate(
        options.model, options.output, reference, options.steps, seed=options.seed, overwrite=options.overwrite
    )
    note = f"Open {options.output}/report.html to see them; trajectories and summary.json are beside it"
    return demo_summary(facts, note)


def demo_summary(facts, note=""):
    """The `Summary` of what `demonstrate` returned."""

    def both(heading, key, form):
        return heading, *(form.format(facts[name][key]) for name in HEAD[1:])

    rows = [
        ("frames", facts["frames"], facts["frames"]),
        ("frames/s", round(facts["frames_per_second"]), round(facts["minimized_frames_per_second"])),
        both("max |M x - X|, nm", "cg_consistency_max_nm", "{:.1e}"),
        both("valid bond graphs, all atoms", "valid_ratio_all", "{:.1%}"),
        both("valid bond graphs, heavy atoms", "valid_ratio_heavy", "{:.1%}"),
        both("correct chirality", "chirality_ratio", "{:.1%}"),
        ("median energy, kJ/mol", *(f"{facts['median_energy_kj_mol'][name]:.1f}" for name in HEAD[1:])),
    ]
    return Summary(rows, facts, HEAD, note)
