"""Train a model of any protein: what ``train`` does with protein chains."""

from dataclasses import fields
from pathlib import Path

from openmm_cgvae.cli.origin import check_origin, note_origin
from openmm_cgvae.cli.pages import report_protein_training
from openmm_cgvae.cli.proteins import load_chains, mapping_of
from openmm_cgvae.core.errors import CGVAEError, SettingsError

__all__ = ["protein_settings", "train_protein"]

# Chains that are not given packed, in the folder of the training.
KEPT = "chains.npz"
# What is changed of the settings where a trained model is given to start from.
OF_START = {"learning_rate": 3e-4, "residues": 2_000_000}


def train_protein(options, changes):
    """Train, or go on, and export; `changes` are settings that were given by name."""
    _check(options)
    from openmm_cgvae.training.proteincheckpoint import write_data
    from openmm_cgvae.training.proteinexport import export_protein
    from openmm_cgvae.training.proteins import ProteinTrainer

    start = _start(options.start)
    config = protein_settings(changes, mapping_of(options), start)
    folder = Path(options.output)
    chains = _chains(options, folder)
    trainer = ProteinTrainer(chains, folder, config, None if start is None else start.state)
    if not _is_packed(options) and not (folder / KEPT).exists():
        # So that the command, repeated, need not read the files again.
        chains.save(folder / KEPT)
        note_origin(folder / KEPT, options)
    more = {} if start is None else {"start": {"model": options.start, **start.metadata.get("data", {})}}
    write_data(folder, chains, **more)
    trainer.run(options.minutes)
    path = folder / "model.pt"
    export_protein(folder, path, options.name or folder.name, overwrite=True)
    print(f"model file: {path}")
    if not options.no_report:
        try:
            report_protein_training(folder, chains, options)
        except (CGVAEError, ImportError) as error:
            print(f"no report: {error}")


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
    from openmm_cgvae.proteins.chains import PackedChains

    kept = folder / KEPT
    if _is_packed(options) or not kept.exists():
        return load_chains(options)
    check_origin(kept, options, "was made of other files")
    return PackedChains.load(kept)


def _is_packed(options):
    return options.trajectories[0].endswith(".npz")


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
    from openmm_cgvae.io.bundled import resolve_model
    from openmm_cgvae.io.modelfile import ModelFile

    file = ModelFile.load(resolve_model(name_or_path))
    if file.kind != "protein":
        raise SettingsError(f"--start {name_or_path} given, a model of one molecule: one of any protein is expected")
    return file
