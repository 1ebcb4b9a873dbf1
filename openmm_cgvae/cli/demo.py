"""Run a CG simulation of alanine dipeptide, put the atoms back, and say how good they are."""

from openmm_cgvae.cli.common import add_overwrite, print_table

__all__ = ["add_arguments", "print_summary", "run"]


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
    summary = demonstrate(
        options.model, options.output, reference, options.steps, seed=options.seed, overwrite=options.overwrite
    )
    print_summary(summary)
    print(f"\nOpen {options.output}/report.html to see them; trajectories and summary.json are beside it")


def print_summary(summary):
    """Print what `demonstrate` returned as a short table."""
    sampled, minimized = summary["sampled"], summary["minimized"]

    def both(key, form):
        return f"{form(sampled[key]):>12}{form(minimized[key]):>14}"

    def percent(value):
        return f"{100 * value:.1f} %"

    energies = summary["median_energy_kj_mol"]
    print_table(
        [
            ("", f"{'sampled':>12}{'minimised':>14}"),
            ("frames", f"{summary['frames']:>12}{summary['frames']:>14}"),
            (
                "frames/s",
                f"{summary['frames_per_second']:>12.0f}{summary['minimized_frames_per_second']:>14.0f}",
            ),
            ("max |M x - X|, nm", both("cg_consistency_max_nm", lambda value: f"{value:.1e}")),
            ("valid bond graphs, all atoms", both("valid_ratio_all", percent)),
            ("valid bond graphs, heavy atoms", both("valid_ratio_heavy", percent)),
            ("correct chirality", both("chirality_ratio", percent)),
            ("median energy, kJ/mol", f"{energies['sampled']:>12.1f}{energies['minimized']:>14.1f}"),
        ]
    )
