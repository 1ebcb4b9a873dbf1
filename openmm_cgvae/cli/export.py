"""Make a model file of a training folder."""

from openmm_cgvae.cli.common import add_overwrite
from openmm_cgvae.cli.summary import Summary

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    parser.add_argument("folder", metavar="FOLDER", help="what 'train' wrote")
    parser.add_argument("--data", metavar="data.npz", help="what it was trained on (in FOLDER, if omitted)")
    parser.add_argument("-o", "--output", metavar="model.pt", help="model file (FOLDER/model.pt)")
    parser.add_argument("--name", help="what the model is called; the folder's name if omitted")
    parser.add_argument(
        "--measure", default="test", choices=["test", "validation"], help="held-out runs to report on (test)"
    )
    add_overwrite(parser)


def run(options):
    from openmm_cgvae.pretrained.trained import export_training

    path = export_training(
        options.folder, options.output, options.name, options.data, options.overwrite, options.measure
    )
    return Summary([("model file", path)])
