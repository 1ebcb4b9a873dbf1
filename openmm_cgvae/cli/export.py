"""Make a model file of a training folder."""

from pathlib import Path

from openmm_cgvae.cli.common import add_overwrite
from openmm_cgvae.core.errors import SettingsError

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
    from openmm_cgvae.conformers.coarseexport import export_coarsenconf, is_coarsenconf_training
    from openmm_cgvae.conformers.refineexport import is_refinement_training
    from openmm_cgvae.conformers.torsionexport import export_ligand_model, is_ligand_training
    from openmm_cgvae.evaluation.exporting import export_model
    from openmm_cgvae.training.dataset import Dataset
    from openmm_cgvae.training.proteincheckpoint import is_protein_training

    folder = Path(options.folder)
    output = Path(options.output or folder / "model.pt")
    name = options.name or folder.name
    if is_coarsenconf_training(folder):
        export_coarsenconf(folder, output, name, options.overwrite)
        print(f"model file: {output}")
        return
    if is_ligand_training(folder):
        export_ligand_model(folder, output, name, options.overwrite)
        print(f"model file: {output}")
        return
    if is_refinement_training(folder):
        raise SettingsError(
            f"{folder} holds what refines samples of another model: repeat its 'train' command with --start"
        )
    if is_protein_training(folder):
        from openmm_cgvae.evaluation.proteinexport import export_protein

        export_protein(folder, output, name, options.data, options.overwrite)
        print(f"model file: {output}")
        return
    dataset = Dataset.load(options.data or folder / "data.npz")
    export_model(folder / "checkpoint.pt", dataset, output, name, options.overwrite, options.measure)
    print(f"model file: {output}")
