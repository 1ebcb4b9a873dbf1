"""Say what a model is, what it was trained on, and how good it is."""

from openmm_cgvae.cli.summary import Summary

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    parser.add_argument("model", metavar="NAME_OR_FILE", nargs="?", help="omit to list the bundled models")


def run(options):
    from openmm_cgvae.backmapping.model import Model
    from openmm_cgvae.io.bundled import pretrained_names, resolve_model
    from openmm_cgvae.io.modelfile import ModelFile
    from openmm_cgvae.pretrained.description import description_rows

    if options.model is None:
        return Summary(list(pretrained_names().items()), pretrained_names())
    path = resolve_model(options.model)
    model = Model(ModelFile.load(path))
    return Summary(description_rows(model, path), model.metadata)
