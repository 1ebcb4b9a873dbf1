"""The stages that the examples share: reference MD, training, a CG run and its atoms, and CG force fields compared."""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from forcefields import FULL, QUICK, compare, force_fields, print_comparison

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.cli.demo import demo_summary
from openmm_cgvae.cli.summary import print_table
from openmm_cgvae.core.output import existing_folder
from openmm_cgvae.evaluation.exporting import export_model
from openmm_cgvae.formats.structures import load_topology
from openmm_cgvae.io.bundled import resolve_model
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.models import preset
from openmm_cgvae.preparation.dataset import prepare_dataset, read_reference
from openmm_cgvae.preparation.reference import ReferenceProtocol, reference_forces, sample_reference
from openmm_cgvae.report.demonstration import demonstrate
from openmm_cgvae.report.plots import plot_training
from openmm_cgvae.training import Dataset, Trainer, split_runs

__all__ = ["Molecule", "arguments", "tell"]

# What --quick takes instead: enough to see every stage work, and a poor model.
QUICK_PROTOCOL = {"burst_ps": (0.2, 0.5), "equilibration_ps": 0.3, "interval_ps": 0.1}
QUICK_MODEL = {"decoder_layers": 3, "flow_width": 32, "projection_sweeps": 60}
QUICK_TRAINING = {"ema_decay": 0.9, "batch_size": 16, "prior_updates": 5, "polish_updates": 3}


@dataclass(frozen=True)
class Molecule:
    """What one example differs in from another.

    Parameters
    ----------
    name : str
        Of the model; the number of beads is appended.
    pdb : pathlib.Path
    mapping : callable
        Takes the topology and the number of beads, returns the `CGMapping`.
    protocol : ReferenceProtocol
        How the reference MD is made.
    runs : int
        Independent runs of it.
    seed : int
        Of the runs.
    preset : str
        Settings of model and training.
    quick_frames, quick_epochs, quick_steps : int
        Of each of 6 reference runs, of the training, and of the CG run with ``--quick``.
    quick_features : int
        Width of the model then.
    """

    name: str
    pdb: Path
    mapping: Callable
    protocol: ReferenceProtocol
    runs: int
    seed: int
    preset: str
    quick_frames: int
    quick_epochs: int
    quick_steps: int
    quick_features: int


def arguments(description, beads):
    """Parse the command line of an example; `beads` are the numbers of beads it knows, the default first."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for everything that is made; created if missing")
    parser.add_argument("--quick", action="store_true", help="little data, a small model, few epochs")
    parser.add_argument("--beads", type=int, choices=sorted(beads), default=beads[0], help=f"({beads[0]})")
    parser.add_argument("--reference", type=Path, nargs="+", help="use this MD instead of making some")
    parser.add_argument("--run-frames", type=int, help="frames a run, if a reference file holds several runs")
    parser.add_argument("--epochs", type=int, help="of training, the preset's if omitted")
    parser.add_argument("--start", metavar="NAME_OR_FILE", help="model to begin the training with")
    parser.add_argument("--model", metavar="NAME_OR_FILE", help="use this model instead of training one")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="of training, at most")
    return parser.parse_args()


def tell(molecule, options):
    """Go through all stages; each is skipped if its output is there, so an interrupted story goes on where it was."""
    options.folder.mkdir(exist_ok=True)
    name = f"{molecule.name}-{options.beads}"
    dataset = reference_dataset(molecule, options, name)
    model = resolve_model(options.model) if options.model else trained_model(molecule, options, dataset, name)
    held_out = test_frames(settings(molecule, options)[1], dataset)
    print(f"held-out MD of {len(held_out)} frames; CG run of {name}:")
    figures = demo_summary(cg_run(molecule, options, model, dataset.positions[held_out]))
    print_table(figures.rows, *figures.head)
    print_comparison(compared_force_fields(molecule, options, model, dataset, held_out))


def cg_run(molecule, options, model, held_out):
    """Figures of a run with the model's own potential."""
    folder = options.folder / f"run-{options.beads}"
    if (folder / "summary.json").exists():
        return json.loads((folder / "summary.json").read_text())
    steps = molecule.quick_steps if options.quick else 200_000
    return demonstrate(model, folder, held_out, steps, report_interval=steps // 1_000 or 1, overwrite=True)


def compared_force_fields(molecule, options, model, dataset, held_out):
    """Divergences from the held-out MD of runs with other force fields, made on the rest."""
    folder = existing_folder(options.folder / f"forcefields-{options.beads}")
    effort = QUICK if options.quick else FULL

    def forces():
        files = options.reference or make_reference(molecule, options)
        topology = load_topology(molecule.pdb).to_openmm()
        return reference_forces(files, topology, dataset.positions, molecule.protocol)

    potentials = force_fields(folder, dataset, settings(molecule, options)[1], forces, effort)
    return compare(folder, Backmapper.load(model), potentials, dataset, held_out, effort)


def reference_dataset(molecule, options, name):
    """Positions, runs and index arrays; MD is made unless some is given."""
    path = options.folder / f"{name}.npz"
    if path.exists():
        return Dataset.load(path)
    topology = load_topology(molecule.pdb)
    files = options.reference or make_reference(molecule, options)
    positions, runs = read_reference(files, topology, run_frames=options.run_frames)
    mapping = molecule.mapping(topology, options.beads)
    dataset = prepare_dataset(positions, runs, mapping, temperature=molecule.protocol.temperature)
    dataset.save(path)
    return dataset


def make_reference(molecule, options):
    protocol, runs = molecule.protocol, molecule.runs
    if options.quick:
        protocol, runs = replace(protocol, frames=molecule.quick_frames, **QUICK_PROTOCOL), 6
    return sample_reference(molecule.pdb, options.folder / "reference", runs, protocol, molecule.seed)


def settings(molecule, options):
    """The molecule's preset; shrunk for a quick look."""
    model_config, training_config = preset(molecule.preset)
    if options.quick:
        model_config = replace(model_config, features=molecule.quick_features, **QUICK_MODEL)
        training_config = replace(training_config, epochs=molecule.quick_epochs, **QUICK_TRAINING)
    if options.epochs is not None:
        training_config = replace(training_config, epochs=options.epochs)
    return model_config, training_config


def trained_model(molecule, options, dataset, name):
    """Path of the model file."""
    folder = options.folder / f"training-{options.beads}"
    start = ModelFile.load(resolve_model(options.start)).weights if options.start else None
    trainer = Trainer(dataset, folder, *settings(molecule, options), start=start)
    trainer.run(max_minutes=options.minutes)
    if (folder / "training.csv").exists():
        plot_training(folder / "training.csv", folder / "training.png")
    path, checkpoint = options.folder / f"{name}.pt", folder / "checkpoint.pt"
    if not path.exists() or path.stat().st_mtime < checkpoint.stat().st_mtime:
        export_model(checkpoint, dataset, path, name, overwrite=True)
    figures = Backmapper.load(path).metadata["held_out"]
    print(f"{path}: {100 * figures['valid_ratio_all']:.2f} % valid bond graphs of {figures['frames']} held-out frames")
    return path


def test_frames(config, dataset):
    parts = split_runs(dataset.runs, config.validation_fraction, config.test_fraction, config.seed)
    return np.sort(parts[2])
