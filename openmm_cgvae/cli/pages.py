"""Steps of commands that write a report."""

from openmm_cgvae.core.errors import DataError

__all__ = ["command_source", "protein_training_page", "training_page", "write_page"]

# Frames that are sampled for the page of a training, and residues of the chain that is shown.
FRAMES, LONGEST = 200, 300


def command_source(options):
    """The command line as a source of a page, none where it is not known."""
    return [("command", options.command_line)] if hasattr(options, "command_line") else []


def write_page(path, subject):
    """Write the report of a `Subject`; return the row that says where it is."""
    from openmm_cgvae.report.build import write_report

    written = write_report(path, subject, overwrite=True)
    return "report", f"{written} ({written.stat().st_size / 1e6:.1f} MB)"


def training_page(model, dataset, **more):
    """The `Subject` of a model of one molecule: its samples on the held-out runs of its dataset."""
    from openmm_cgvae.evaluation.subject import of_model
    from openmm_cgvae.training.dataset import split_runs

    training = model.metadata["training"]
    frames = split_runs(dataset.runs, training["validation_fraction"], training["test_fraction"], training["seed"])[2]
    return of_model(
        model.bind(), dataset.positions[frames], dataset.runs[frames], str(model.metadata["name"]), FRAMES,
        figures=dict(model.metadata.get("held_out", {})), **more,
    )  # fmt: skip


def protein_training_page(model, chains, **more):
    """The `Subject` of a model of any protein: the longest usual chain that was held out (`DataError` if none was)."""
    from openmm_cgvae.evaluation.subject import of_longest

    held_out = [chain for name in ("test", "validation") for chain in chains.subset(name)]
    usual = [chain for chain in held_out if len(chain.residue_types) <= LONGEST]
    if not usual:
        raise DataError(f"no chain of up to {LONGEST} residues was held out")
    return of_longest(model, usual, str(model.metadata["name"]), **more)
