"""Steps of commands that write a report."""

__all__ = ["command_source", "concatenated", "report_protein_training", "report_training", "write_and_tell"]

# Frames that are sampled for the page of a training, and residues of the chain that is shown.
FRAMES, LONGEST = 200, 300


def command_source(options):
    """The command line as a source of a page, none where it is not known."""
    return [("command", options.command_line)] if hasattr(options, "command_line") else []


def write_and_tell(path, subject, temporary=None):
    """Write the report of a `Subject`, under a temporary name if there is one, and say where it is."""
    from openmm_cgvae.report.build import write_report

    written = write_report(temporary or path, subject, overwrite=True)
    print(f"report: {path} ({written.stat().st_size / 1e6:.1f} MB)")


def concatenated(arrays):
    """Arrays one after the other."""
    import numpy as np

    return np.concatenate(arrays)


def report_training(folder, dataset, options):
    """Write ``report.html`` of a training: the model on its held-out runs, and the training curves."""
    from openmm_cgvae.backmapping.model import Model
    from openmm_cgvae.evaluation.subject import of_model
    from openmm_cgvae.training.dataset import split_runs

    model = Model.load(folder / "model.pt")
    training = model.metadata["training"]
    frames = split_runs(dataset.runs, training["validation_fraction"], training["test_fraction"], training["seed"])[2]
    figures = dict(model.metadata.get("held_out", {}))
    subject = of_model(
        model.bind(), dataset.positions[frames], dataset.runs[frames], str(model.metadata["name"]), FRAMES,
        figures=figures, training_log=folder / "training.csv", sources=command_source(options),
    )  # fmt: skip
    write_and_tell(folder / "report.html", subject)


def report_protein_training(folder, chains, options):
    """Write ``report.html`` of a training on proteins: a held-out chain, and the training curves."""
    from openmm_cgvae.backmapping.model import Model
    from openmm_cgvae.evaluation.subject import of_longest

    held_out = [chain for name in ("test", "validation") for chain in chains.subset(name)]
    usual = [chain for chain in held_out if len(chain.residue_types) <= LONGEST]
    if not usual:
        print(f"no report: no chain of up to {LONGEST} residues was held out")
        return
    model = Model.load(folder / "model.pt")
    more = {"training_log": folder / "training.csv", "sources": command_source(options)}
    write_and_tell(folder / "report.html", of_longest(model, usual, str(model.metadata["name"]), **more))
