"""The benchmark as a Markdown page, the paper's figures beside ours."""

from openmm_cgvae.report.paper_tables import paper_figures

__all__ = ["benchmark_markdown"]

METRICS = {
    "recon_rmsd_heavy_angstrom": "RMSD_recon heavy / A",
    "recon_rmsd_all_angstrom": "RMSD_recon all / A",
    "recon_rmsd_all_permuted_angstrom": "RMSD_recon all, equivalent H permuted / A",
    "gen_rmsd_heavy_angstrom": "RMSD_gen heavy / A",
    "gen_rmsd_all_angstrom": "RMSD_gen all / A",
    "gen_rmsd_all_permuted_angstrom": "RMSD_gen all, equivalent H permuted / A",
    "lambda_heavy": "lambda heavy",
    "lambda_all": "lambda all",
    "valid_ratio_heavy": "valid graphs heavy",
    "valid_ratio_all": "valid graphs all",
    "chirality_ratio": "right chirality",
}
SPLITS = {"runs": "whole runs held out", "shuffled": "shuffled frames"}
NOTES = """\
Mean ± standard error over folds, which are whole runs of MD, or shuffled frames as in the paper; columns of shuffled
frames are there for comparison only, since frames a moment before and after each test frame were trained on. RMSDs are
not superposed; RMSD_gen is of valid samples against the frame that their beads are of ("-": no fold has a valid one).
Samples of linear and mlp do not differ from each other, for which the paper gives an RMSD_gen of 0. cgvae-raw is what
the networks give, as in the paper; cgvae is followed by the bounds projection (but not in reconstruction). All models
are recentred to M x = X, which the paper's baselines are not. The paper's MD is in explicit solvent, ours in implicit.
"""


def benchmark_markdown(results):
    """Lay out what `run_benchmark` returns.

    Parameters
    ----------
    results : dict

    Returns
    -------
    str
        Commands, notes, what was trained, and a table of figures for every mapping.
    """
    table, paper = paper_figures(results["residues"])
    commands = "\n".join(["```", *results["commands"], "```"])
    parts = [f"# Benchmark: {'-'.join(results['residues'])}", commands, NOTES, _training(results["results"])]
    for mapping in dict.fromkeys(row["mapping"] for row in results["results"]):
        rows = [row for row in results["results"] if row["mapping"] == mapping]
        parts += [f"## {mapping}: {rows[0]['n_beads']} beads", _figures(rows, table, paper)]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _training(rows):
    header = ("mapping", "model", "split", "folds", "epochs", "minutes", "frames measured a fold", "samples")
    lines = [
        (row["mapping"], row["model"], row["split"], row["folds"], f"{row['epochs']:.0f}", f"{row['minutes']:.2g}",
         row["settings"]["test_frames"], row["settings"]["samples"])
        for row in rows
    ]  # fmt: skip
    return _table(header, lines)


def _figures(rows, table, paper):
    """Metric by metric, each model by split and in the paper."""
    by_case = {(row["model"], row["split"]): row["figures"] for row in rows}
    models = list(dict.fromkeys(row["model"] for row in rows))
    splits = [split for split in SPLITS if any(row["split"] == split for row in rows)]
    header = ["metric", "model", *(SPLITS[split] for split in splits), *([f"paper, {table}"] if table else [])]
    lines = []
    for metric, title in METRICS.items():
        for model in models:
            cells = [by_case.get((model, split), {}).get(metric) for split in splits]
            shown = [_cell(c["mean"], c["standard_error"]) if c else "-" for c in cells]
            reported = paper.get((rows[0]["n_beads"], metric, model.removesuffix("-raw")), (None, None))
            known = [_cell(*reported)] if table else []
            lines.append([title, model, *shown, *known])
    return _table(header, lines)


def _cell(mean, error):
    if mean is None:
        return "-"
    return f"{mean:.3f}" if error is None else f"{mean:.3f} ± {error:.3f}"


def _table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
