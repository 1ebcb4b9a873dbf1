"""Train a model on reference MD, proteins or conformers; run it again to go on after an interruption.

On several GPUs with torchrun. Protein chains give a model of any protein: packed ones, PDB or mmCIF files, a folder of
these, or a .txt list of them and of MD runs, on each line a topology and its trajectories. So does MD with --mapping
ca, com or martini. Conformer ensembles of sample-conformers (.npz) give a model of any small molecule.
"""

import ast
import logging
import math
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

from openmm_cgvae.cli.common import add_reference, load_dataset
from openmm_cgvae.cli.origin import check_origin, note_origin
from openmm_cgvae.cli.pages import report_training
from openmm_cgvae.cli.proteins import of_proteins
from openmm_cgvae.cli.train_ligand import of_ligands, train_ligand
from openmm_cgvae.cli.train_protein import train_protein
from openmm_cgvae.core.errors import CGVAEError, SettingsError
from openmm_cgvae.core.output import existing_folder

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    add_reference(parser)
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="checkpoint, log, plot and model file")
    parser.add_argument(
        "--preset", default="small", help="small (default), peptide, gaussian, paper-alanine-dipeptide, paper-chignolin"
    )
    parser.add_argument("--epochs", type=int, help="the preset's if omitted")
    parser.add_argument("--start", metavar="NAME_OR_FILE", help="begin with the weights of a model of the same shape")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this, at the end of an epoch")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change any setting")
    parser.add_argument(
        "--baseline", metavar="KIND", help="fit linear, mlp or geometric instead; of the settings, their own (paper)"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda; with torchrun, a GPU each process")
    parser.add_argument("--compile", action="store_true", help="let torch compile the networks first (needs g++)")
    parser.add_argument("--no-report", action="store_true", help="leave out report.html at the end")
    parser.add_argument("--name", help="what the model is called; the folder's name if omitted")


def run(options):
    changes = dict(_change(text) for text in options.set)
    if of_ligands(options):
        train_ligand(options, changes)
        return
    if of_proteins(options):
        train_protein(options, changes)
        return
    from openmm_cgvae.training.distributed import process_group, rank

    with process_group(options.device) as device:
        if rank() > 0:
            # The first speaks for all.
            logging.getLogger("openmm_cgvae").setLevel(logging.ERROR)
        if not options.baseline:
            _train(options, device)
        elif rank() == 0:
            _run_baseline(options)


def _train(options, device):
    from openmm_cgvae.training import Trainer
    from openmm_cgvae.training.distributed import rank

    configs = settings(options)
    folder = Path(options.output)
    kept = folder / "data.npz"
    dataset = _dataset(options, kept)
    trainer = Trainer(dataset, folder, *configs, device, _start(options.start), options.compile)
    if rank() == 0 and not _is_dataset(options) and not kept.exists():
        # So that the command, repeated, need not read the trajectories again, and can export.
        dataset.save(kept)
        note_origin(kept, options)
    trainer.run(options.minutes)
    if rank() == 0:
        _plot(folder)
        if _export(folder, dataset, options.name or folder.name) and not options.no_report:
            _report(folder, dataset, options)


def _start(name_or_path):
    """Weights of a model file, None of none."""
    if name_or_path is None:
        return None
    from openmm_cgvae.io.bundled import resolve_model
    from openmm_cgvae.io.modelfile import ModelFile

    return ModelFile.load(resolve_model(name_or_path)).weights


def _run_baseline(options):
    from openmm_cgvae.evaluation.exporting import export_baseline
    from openmm_cgvae.models.config import config_from_dict
    from openmm_cgvae.training.baselines import BaselineConfig, check_baseline

    check_baseline(options.baseline)
    changes = dict(_change(text) for text in options.set)
    if options.epochs is not None:
        changes["epochs"] = options.epochs
    config = config_from_dict(BaselineConfig, changes)
    dataset = load_dataset(options)
    folder = existing_folder(options.output)
    path = folder / "model.pt"
    export_baseline(options.baseline, dataset, path, options.name or folder.name, config, options.minutes, True)
    print(f"model file: {path}")


def settings(options):
    """The preset's settings with ``--epochs`` and every ``--set`` applied."""
    from openmm_cgvae.models.config import check_settings, preset

    model_config, training_config = preset(options.preset)
    if options.epochs is not None:
        training_config = replace(training_config, epochs=options.epochs)
    changes = dict(_change(text) for text in options.set)
    configs = model_config, training_config
    names = [[field.name for field in fields(config)] for config in configs]
    check_settings(changes, names[0] + names[1])
    return tuple(
        replace(config, **{name: value for name, value in changes.items() if name in own})
        for config, own in zip(configs, names, strict=True)
    )


def _change(text):
    """(name, value) of a ``--set NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"--set {text} given: NAME=VALUE is expected")
    # A plain word, such as flow, stays one.
    with suppress(ValueError, SyntaxError):
        value = ast.literal_eval(value)
    return name, value


def _dataset(options, kept):
    from openmm_cgvae.training.dataset import Dataset

    if _is_dataset(options) or not kept.exists():
        return load_dataset(options)
    check_origin(kept, options, "was prepared from other trajectories or with other settings")
    return Dataset.load(kept)


def _is_dataset(options):
    return options.trajectories[0].endswith(".npz")


def _plot(folder):
    if not (folder / "training.csv").exists():
        return
    try:
        from openmm_cgvae.report.plots import plot_training

        plot_training(folder / "training.csv", folder / "training.png")
    except ImportError as error:
        print(f"no plot of the losses: {error}")


def _export(folder, dataset, name):
    path = folder / "model.pt"
    try:
        from openmm_cgvae.evaluation.exporting import export_model

        export_model(folder / "checkpoint.pt", dataset, path, name, overwrite=True)
    except ModuleNotFoundError as error:
        print(f"trained, not exported: {error}; on a machine with the whole package run 'openmm-cgvae export {folder}'")
        return False
    print(f"model file: {path}")
    return True


def _report(folder, dataset, options):
    """Write the page; a training is not lost to what it cannot show."""
    try:
        report_training(folder, dataset, options)
    except (CGVAEError, ImportError) as error:
        print(f"no report: {error}")
