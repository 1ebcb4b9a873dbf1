"""Train a model on reference MD, proteins or conformers; run it again to go on after an interruption.

On several GPUs with torchrun. Protein chains give a model of any protein: packed ones, PDB or mmCIF files, a folder of
these, or a .txt list of them and of MD runs, on each line a topology and its trajectories. So does MD with --mapping
ca, com or martini. Conformer ensembles of sample-conformers (.npz) give a model of any small molecule.
"""

import ast
import logging
import math
from contextlib import suppress
from pathlib import Path

from openmm_cgvae.cli.common import add_reference, load_dataset
from openmm_cgvae.cli.origin import kept_data, start_file
from openmm_cgvae.cli.pages import command_source, write_page
from openmm_cgvae.cli.summary import Summary
from openmm_cgvae.cli.train_any import ligand_training, protein_training
from openmm_cgvae.cli.trainingdata import of_ligands, of_proteins
from openmm_cgvae.core.errors import CGVAEError, SettingsError
from openmm_cgvae.core.output import existing_folder

__all__ = ["add_arguments", "run", "settings"]

# Arguments that a kind of models does not have, and what they are if they are not given.
FOREIGN = {
    "small molecules": ("epochs", "baseline", "compile", "start", "top", "run_frames", "preset", "device", "mapping"),
    "any protein": ("epochs", "baseline", "compile", "preset", "device"),
}
DEFAULTS = {"preset": "small", "device": "cpu", "mapping": "residue"}


def add_arguments(parser):
    add_reference(parser)
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="checkpoint, log, plot and model file")
    parser.add_argument(
        "--preset", default="small",
        help="small (default), quick, peptide, gaussian, paper-alanine-dipeptide, paper-chignolin",
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, help="the preset's if omitted")
    parser.add_argument("--start", metavar="NAME_OR_FILE", help="begin with the weights of a model of the same shape")
    parser.add_argument("--minutes", type=float, default=math.inf, help="train for this long, all stages included")
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
    kinds = {"small molecules": of_ligands, "any protein": of_proteins}
    kind = next((name for name, found in kinds.items() if found(options)), "one molecule")
    _refuse(options, kind)
    from openmm_cgvae.training.distributed import process_group, rank

    with process_group(options.device) as device:
        if rank() > 0:
            # The first speaks for all.
            logging.getLogger("openmm_cgvae").setLevel(logging.ERROR)
        if options.baseline:
            return _baseline(options, changes) if rank() == 0 else None
        if kind == "small molecules":
            trainer, data = ligand_training(options, changes), None
        elif kind == "any protein":
            trainer, data = protein_training(options, changes)
        else:
            trainer, data = _molecule_training(options, device)
        trainer.run(options.minutes)
        return Summary(list(_finished(options, kind, data))) if rank() == 0 else None


def _refuse(options, kind):
    """Refuse arguments of other kinds of models (`SettingsError`)."""
    for name in FOREIGN.get(kind, ()):
        if getattr(options, name) not in (None, False, DEFAULTS.get(name)):
            raise SettingsError(
                f"--{name.replace('_', '-')} given, which models of {kind} do not have: leave it out (or use --set)"
            )


def _molecule_training(options, device):
    """The trainer of a model of one molecule, and its dataset."""
    from openmm_cgvae.training import Trainer
    from openmm_cgvae.training.dataset import Dataset
    from openmm_cgvae.training.distributed import rank

    configs = settings(options)
    folder, start = Path(options.output), start_file(options.start)
    dataset, keep = kept_data(options, folder / "data.npz", load_dataset, Dataset.load)
    trainer = Trainer(dataset, folder, *configs, device, None if start is None else start.weights, options.compile)
    if rank() == 0:
        keep()
    return trainer, dataset


def _finished(options, kind, data):
    """Export and show what was trained; a training is not lost to what cannot be: yields rows."""
    folder = Path(options.output)
    try:
        if kind == "one molecule" and (folder / "training.csv").exists():
            yield "losses", _plotted(folder)
        from openmm_cgvae.pretrained.trained import export_training

        of_one = data if kind == "one molecule" else None
        yield "model file", export_training(folder, None, options.name, of_one, overwrite=True)
    except ModuleNotFoundError as error:
        yield "model file", f"none: {error}; on a machine with the whole package run 'openmm-cgvae export {folder}'"
        return
    if options.no_report or kind == "small molecules":
        return
    try:
        from openmm_cgvae.backmapping.model import Model
        from openmm_cgvae.pretrained.trained import of_protein_training, of_training

        subject = of_training if kind == "one molecule" else of_protein_training
        more = {"training_log": folder / "training.csv", "sources": command_source(options)}
        yield write_page(folder / "report.html", subject(Model.load(folder / "model.pt"), data, **more))
    except (CGVAEError, ImportError) as error:
        yield "report", f"none: {error}"


def _plotted(folder):
    try:
        from openmm_cgvae.report.plots import plot_training

        plot_training(folder / "training.csv", folder / "training.png")
        return folder / "training.png"
    except ImportError as error:
        return f"no plot: {error}"


def _baseline(options, changes):
    from openmm_cgvae.evaluation.exporting import export_baseline
    from openmm_cgvae.models.config import config_from_dict
    from openmm_cgvae.training.baselines import BaselineConfig, check_baseline

    check_baseline(options.baseline)
    if options.epochs is not None:
        changes["epochs"] = options.epochs
    config = config_from_dict(BaselineConfig, changes)
    dataset = load_dataset(options)
    folder = existing_folder(options.output)
    path = folder / "model.pt"
    export_baseline(options.baseline, dataset, path, options.name or folder.name, config, options.minutes, True)
    return Summary([("model file", path)])


def settings(options):
    """The preset's settings with ``--epochs`` and every ``--set`` applied."""
    from openmm_cgvae.models.config import preset

    epochs = {} if options.epochs is None else {"epochs": options.epochs}
    return preset(options.preset, epochs | dict(_change(text) for text in options.set))


def _change(text):
    """(name, value) of a ``--set NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"--set {text} given: NAME=VALUE is expected")
    # A plain word, such as flow, stays one.
    with suppress(ValueError, SyntaxError):
        value = ast.literal_eval(value)
    return name, value
