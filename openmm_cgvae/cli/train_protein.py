"""Train a model of any protein: what ``train`` does with protein chains."""

import json
from dataclasses import fields
from pathlib import Path

from openmm_cgvae.cli.proteins import load_chains, mapping_of
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.output import write_json

__all__ = ["protein_settings", "train_protein"]

# Chains that are not given packed, in the folder of the training.
KEPT = "chains.npz"
# What is changed of the settings where a trained model is given to start from.
OF_START = {"learning_rate": 3e-4, "residues": 2_000_000}


def train_protein(options, changes):
    """Train, or go on, and export; `changes` are settings that were given by name."""
    _check(options)
    from openmm_cgvae.evaluation.proteinexport import export_protein
    from openmm_cgvae.training.proteincheckpoint import write_data
    from openmm_cgvae.training.proteins import ProteinTrainer

    start = _start(options.start)
    config = protein_settings(changes, mapping_of(options), start)
    folder = Path(options.output)
    chains = _chains(options, folder)
    trainer = ProteinTrainer(chains, folder, config, None if start is None else start.state)
    if not _is_packed(options) and not (folder / KEPT).exists():
        # So that the command, repeated, need not read the files again.
        chains.save(folder / KEPT)
        write_json((folder / KEPT).with_suffix(".json"), _origin(options))
    more = {} if start is None else {"start": {"model": options.start, **start.metadata.get("data", {})}}
    write_data(folder, chains, **more)
    trainer.run(options.minutes)
    path = folder / "model.pt"
    export_protein(folder, path, options.name or folder.name, overwrite=True)
    print(f"model file: {path}")


def protein_settings(changes, mapping=None, start=None):
    """The `ProteinConfig` of settings given by name.

    Parameters
    ----------
    changes : dict
    mapping : str, optional
    start : ModelFile, optional
        Its size is taken, and its mapping unless one is given.

    Raises
    ------
    SettingsError
        If a name is unknown, or a value out of range.
    """
    from openmm_cgvae.models.config import config_from_dict
    from openmm_cgvae.training.proteinconfig import ProteinConfig

    settings = {}
    if start is not None:
        known = {field.name for field in fields(ProteinConfig)}
        size = {k: v for k, v in start.metadata["model"].items() if k in known}
        settings = OF_START | size | {"mapping": mapping or start.metadata["mapping"]}
    elif mapping is not None:
        settings = {"mapping": mapping}
    return config_from_dict(ProteinConfig, settings | changes)


def _chains(options, folder):
    """The chains given, or those of the same files that the folder keeps."""
    from openmm_cgvae.training.chains import PackedChains

    kept = folder / KEPT
    if _is_packed(options) or not kept.exists():
        return load_chains(options)
    noted = kept.with_suffix(".json")
    if not noted.exists() or json.loads(noted.read_text()) != _origin(options):
        raise SettingsError(f"{kept} was made of other files (see {noted}): give another folder")
    return PackedChains.load(kept)


def _is_packed(options):
    return options.trajectories[0].endswith(".npz")


def _origin(options):
    """What the chains depend on: the files as they are."""
    paths = [Path(path) for path in (*options.trajectories, *([options.top] if options.top else []))]
    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    sizes = [[str(file), file.stat().st_size if file.exists() else None] for file in files]
    return {"files": sizes, "stride": options.stride, "run_frames": options.run_frames}


def _check(options):
    """Refuse what only models of one molecule have."""
    given = [name for name in ("epochs", "baseline", "compile") if getattr(options, name)]
    given += ["preset"] if options.preset != "small" else []
    given += ["device"] if options.device != "cpu" else []
    if given:
        raise SettingsError(f"--{given[0]} given, which models of any protein do not have: leave it out (or use --set)")


def _start(name_or_path):
    if name_or_path is None:
        return None
    from openmm_cgvae.io.modelfile import ModelFile
    from openmm_cgvae.pretrained.index import resolve_model

    file = ModelFile.load(resolve_model(name_or_path), scripted=False)
    if file.kind != "protein":
        raise SettingsError(f"--start {name_or_path} given, a model of one molecule: one of any protein is expected")
    return file
