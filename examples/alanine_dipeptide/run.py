"""Alanine dipeptide from nothing: reference MD, training, a CG run in OpenMM, and its all-atom frames.

    python examples/alanine_dipeptide/run.py work            (an hour or three on 2 cores; repeat it to go on)
    python examples/alanine_dipeptide/run.py work --quick    (a minute, to see it work; the model is poor)

The bundled models `alanine-dipeptide-3` and `alanine-dipeptide-5` were made by this script. Every stage is skipped
if its output is there, so an interrupted run goes on where it was.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from openmm_cgvae.app.reference import ReferenceProtocol, sample_reference
from openmm_cgvae.backmapper import Backmapper
from openmm_cgvae.cli.demo import print_summary
from openmm_cgvae.demo import demonstrate
from openmm_cgvae.exporting import export_model
from openmm_cgvae.mapping import custom_mapping, residue_mapping
from openmm_cgvae.models import preset
from openmm_cgvae.preparation import prepare_dataset, read_reference
from openmm_cgvae.report.plots import plot_training
from openmm_cgvae.training import Dataset, Trainer, split_runs
from openmm_cgvae.trajectory_files import load_topology

PDB = Path(__file__).parent / "alanine_dipeptide.pdb"
FIVE_BEADS = {
    "CH3": [0, 1, 2, 3],
    "CONH1": [4, 5, 6, 7],
    "CHCH3": [8, 9, 10, 11, 12, 13],
    "CONH2": [14, 15, 16, 17],
    "NCH3": [18, 19, 20, 21],
}


def main():
    options = arguments()
    options.folder.mkdir(exist_ok=True)
    dataset = reference_dataset(options)
    model = trained_model(options, dataset)
    held_out = dataset.positions[test_frames(options, dataset)]
    print(f"held-out MD of {len(held_out)} frames; CG run of {options.model_name}:")
    steps = 2_000 if options.quick else 200_000
    summary = demonstrate(model, options.folder / "run", held_out, steps, report_interval=steps // 1_000 or 1)
    print_summary(summary)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for everything that is made; created if missing")
    parser.add_argument("--quick", action="store_true", help="little data, a small model, few epochs")
    parser.add_argument("--beads", type=int, choices=[3, 5], default=3, help="3: one a residue; 5: by hand")
    parser.add_argument("--reference", type=Path, nargs="+", help="use this MD (of 300 K) instead of making some")
    parser.add_argument("--run-frames", type=int, help="frames a run, if a reference file holds several runs")
    parser.add_argument("--epochs", type=int, help="of training, the preset's if omitted")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="of training, at most")
    options = parser.parse_args()
    options.model_name = f"alanine-dipeptide-{options.beads}"
    return options


def reference_dataset(options):
    """Positions, runs and index arrays; MD is made unless some is given."""
    path = options.folder / f"{options.model_name}.npz"
    if path.exists():
        return Dataset.load(path)
    topology = load_topology(PDB)
    files = options.reference or make_reference(options)
    positions, runs = read_reference(files, topology, run_frames=options.run_frames)
    mapping = residue_mapping(topology) if options.beads == 3 else custom_mapping(topology, FIVE_BEADS)
    dataset = prepare_dataset(positions, runs, mapping, temperature=300.0)
    dataset.save(path)
    return dataset


def make_reference(options):
    protocol, runs = ReferenceProtocol(), 40
    if options.quick:
        protocol, runs = replace(protocol, burst_ps=(1.0, 2.0), equilibration_ps=1.0, interval_ps=0.1, frames=60), 6
    return sample_reference(PDB, options.folder / "reference", runs, protocol)


def settings(options):
    """The `small` preset; shrunk for a quick look."""
    model_config, training_config = preset("small")
    if options.quick:
        model_config = replace(model_config, features=32, decoder_layers=3, flow_width=32)
        training_config = replace(training_config, epochs=10, batch_size=16, ema_decay=0.9)
    if options.epochs is not None:
        training_config = replace(training_config, epochs=options.epochs)
    return model_config, training_config


def trained_model(options, dataset):
    """Path of the model file."""
    folder = options.folder / f"training-{options.beads}"
    trainer = Trainer(dataset, folder, *settings(options))
    trainer.run(max_minutes=options.minutes)
    plot_training(folder / "training.csv", folder / "training.png")
    path = options.folder / f"{options.model_name}.pt"
    export_model(folder / "checkpoint.pt", dataset, path, options.model_name, overwrite=True)
    figures = Backmapper.load(path).metadata["held_out"]
    print(f"{path}: {100 * figures['valid_ratio_all']:.2f} % valid bond graphs of {figures['frames']} held-out frames")
    return path


def test_frames(options, dataset):
    config = settings(options)[1]
    parts = split_runs(dataset.runs, config.validation_fraction, config.test_fraction, config.seed)
    return np.sort(parts[2])


if __name__ == "__main__":
    main()
