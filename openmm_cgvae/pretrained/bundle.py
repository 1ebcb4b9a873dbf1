"""Bundled models of one molecule: the MD that each is measured on, and a command that adds one.

``python -m openmm_cgvae.pretrained.bundle FILE NAME REFERENCE DESCRIPTION [data.npz]``; with NAME alone, of a bundled
model, its weights are written anew with the TorchScript of today's classes.
"""

import hashlib
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.core.archive import Archive, ArchiveWriter
from openmm_cgvae.core.output import complete_output, write_json
from openmm_cgvae.io.bundled import PRETRAINED, bundled_file, read_index
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.io.trajectory_files import TrajectoryWriter, read_frames
from openmm_cgvae.molecule.mapping import CGMapping
from openmm_cgvae.training import Dataset, split_runs

__all__ = ["add_to_index", "bundle", "bundle_anew", "reference_frames"]


def bundle(path, name, reference, description, data=None):
    """Copy a model file here, and note its name and what belongs to it in the index.

    Parameters
    ----------
    path : path
    name : str
    reference : str
        Trajectory beside it with held-out MD of its molecule; empty for a model of any molecule.
    description : str
    data : path, optional
        Dataset that the model was trained on: the trajectory is written anew, from its test runs.
    """
    model = ModelFile.load(path)
    if data is not None:
        _write_reference(model, Dataset.load(data), PRETRAINED / reference)
    add_to_index(path, name, description, **({"reference": reference} if reference else {}))


def bundle_anew(name):
    """Write a bundled model with the same weights and the TorchScript of today's classes; all else stays."""
    file = Model.load(name, rebuild=True).file
    file.state = file.module.state_dict()
    entry = read_index()[name]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        file.save(path)
        add_to_index(path, **{"name": name} | {key: entry[key] for key in entry if key not in ("file", "sha256")})


def add_to_index(path, name, description, **beside):
    """Copy a model file here, and note its name, its hash and the files beside it in the index."""
    target = PRETRAINED / f"{name}.pt"
    # By another name first: the file may be the bundled one.
    with complete_output(target) as temporary:
        _compress(path, temporary)
    entry = {"file": target.name, "sha256": hashlib.sha256(target.read_bytes()).hexdigest(), **beside}
    entry["description"] = description
    index = read_index() | {name: entry}
    write_json(PRETRAINED / "index.json", dict(sorted(index.items())))


def reference_frames(name):
    """Read the bundled MD of a bundled model's molecule, of runs it has not seen: (frames, n, 3) in nm.

    Raises
    ------
    SettingsError
        If it is no bundled model.
    """
    path, model = bundled_file(name, "reference"), ModelFile.load(bundled_file(name))
    return read_frames(path, CGMapping.from_dict(model.mapping).topology)


def _write_reference(model, dataset, path):
    training = model.metadata["training"]
    fractions = training["validation_fraction"], training["test_fraction"], training["seed"]
    frames = np.sort(split_runs(dataset.runs, *fractions)[2])
    with TrajectoryWriter(path, CGMapping.from_dict(model.mapping).topology) as writer:
        writer.write(dataset.positions[frames], np.arange(len(frames)))


def _compress(path, target):
    """Write the same members, deflated and sealed."""
    with Archive(path) as given, ArchiveWriter(target, folder="model") as made:
        for name in given.names:
            made.write(name, given.read(name))


if __name__ == "__main__":
    if len(sys.argv) == 2:
        bundle_anew(sys.argv[1])
    else:
        bundle(*sys.argv[1:6])
