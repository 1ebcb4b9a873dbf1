"""What ``train`` does with protein chains and with conformer ensembles: models of any molecule."""

from pathlib import Path

from openmm_cgvae.cli.origin import kept_data, start_file
from openmm_cgvae.cli.trainingdata import load_chains, mapping_of
from openmm_cgvae.core.errors import SettingsError

__all__ = ["ligand_training", "protein_training"]


def protein_training(options, changes):
    """The trainer of settings given by name, and the chains."""
    from openmm_cgvae.proteins.chains import PackedChains
    from openmm_cgvae.training.proteincheckpoint import write_data
    from openmm_cgvae.training.proteinconfig import protein_settings
    from openmm_cgvae.training.proteins import ProteinTrainer

    start = _start(options.start)
    config = protein_settings(changes, mapping_of(options), None if start is None else start.metadata)
    folder = Path(options.output)
    chains, keep = kept_data(options, folder / "chains.npz", load_chains, PackedChains.load)
    trainer = ProteinTrainer(chains, folder, config, None if start is None else start.state)
    keep()
    more = {} if start is None else {"start": {"model": options.start, **start.metadata.get("data", {})}}
    write_data(folder, chains, **more)
    return trainer, chains


def _start(name_or_path):
    file = start_file(name_or_path)
    if file is not None and file.kind != "protein":
        raise SettingsError(f"--start {name_or_path} given, a model of one molecule: one of any protein is expected")
    return file


def ligand_training(options, changes):
    """The trainer of settings given by name, and of which ``network``."""
    from openmm_cgvae.ensembles.coarseconfig import CoarsenConfTraining
    from openmm_cgvae.ensembles.coarsetraining import CoarsenConfTrainer
    from openmm_cgvae.ensembles.packed import PackedEnsembles
    from openmm_cgvae.ensembles.torsionconfig import TorsionConfig
    from openmm_cgvae.ensembles.torsiontrainer import TorsionTrainer
    from openmm_cgvae.models.config import config_from_dict

    known = {"torsions": (TorsionConfig, TorsionTrainer), "coarsenconf": (CoarsenConfTraining, CoarsenConfTrainer)}
    name = changes.pop("network", "torsions")
    if name not in known:
        raise SettingsError(f"network={name!r} given: one of {', '.join(known)} is expected")
    config = config_from_dict(known[name][0], changes)
    return known[name][1](PackedEnsembles.load(options.trajectories[0]), Path(options.output), config)
