"""From a training on many proteins to a model file."""

from dataclasses import asdict
from pathlib import Path

import torch

from openmm_cgvae.core.errors import TrainingError
from openmm_cgvae.core.output import check_output
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.proteins.chains import PackedChains
from openmm_cgvae.proteins.crystalgeometry import ProteinGeometry
from openmm_cgvae.proteins.model import ProteinModel
from openmm_cgvae.proteins.rebuild import SETTINGS
from openmm_cgvae.training.folder import last_figures, read_data
from openmm_cgvae.training.proteincheckpoint import load_trained_network, write_data

__all__ = ["BEADS", "export_protein"]

# What the beads of a mapping are, for messages.
BEADS = {
    "ca": "C-alpha positions",
    "com": "centres of mass of residues",
    "martini": "Martini beads",
}


def export_protein(folder, path, name=None, chains=None, overwrite=False):
    """Export the averaged network of a training with its local geometry.

    Parameters
    ----------
    folder : path
        Of a `ProteinTrainer`.
    path : path
        Model file to write.
    name : str, optional
        What the model is called in its metadata.
    chains : PackedChains or path, optional
        The data it was trained on, where the folder does not hold what is taken from it (``geometry.pt``,
        ``data.json``); it does from then on.
    overwrite : bool

    Returns
    -------
    ModelFile

    Raises
    ------
    TrainingError
        If there is no checkpoint, or it was trained on other data.
    """
    path, folder = check_output(path, overwrite), Path(folder)
    tables, data = folder / "geometry.pt", read_data(folder)
    if data is None or not tables.exists():
        data = _take_from_data(folder, chains, tables)
    network, config, progress = load_trained_network(folder, ProteinGeometry.load(tables))
    if progress["data_sha256"] not in (None, data.get("sha256")):
        raise TrainingError(f"{folder} was trained on other data than given: give its own")
    settings = asdict(config)
    known = {
        "kind": "protein",
        "name": name or path.stem,
        "mapping": config.mapping,
        "beads": BEADS[config.mapping],
        "consistency": "sound",
        "model": {setting: settings.pop(setting) for setting in SETTINGS},
        "training": {**settings, "updates": progress["update"], "residues_seen": progress["seen"]},
        "data": data,
        "validation": last_figures(folder, ("backbone", "chi1", "chi2", "chi1_packed")),
    }
    module = ProteinModel(network, ProteinGeometry.load(tables).bounds).eval()
    file = ModelFile(torch.jit.script(module), {}, None, known)
    file.save(path, overwrite=overwrite)
    return file


def _take_from_data(folder, chains, tables):
    """Write what of the data a model file needs to the folder; returns what is noted of it."""
    if chains is None:
        raise TrainingError(
            f"{folder} does not hold {tables.name} and data.json: give the data it was trained on (--data)"
        )
    if not isinstance(chains, PackedChains):
        chains = PackedChains.load(chains)
    if not tables.exists():
        ProteinGeometry.measured(chains).save(tables)
    return write_data(folder, chains)
