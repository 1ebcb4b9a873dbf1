"""Train CoarsenConf on conformer ensembles; run it again to go on after an interruption."""

from pathlib import Path

from openmm_cgvae.cli.common import setting_change
from openmm_cgvae.core.errors import SettingsError

__all__ = ["add_arguments", "run"]


def add_arguments(parser):
    parser.add_argument("ensembles", metavar="ENSEMBLES.npz", help="what 'openmm-cgvae sample-conformers' made")
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="checkpoint, log and model file")
    parser.add_argument("--minutes", type=float, help="stop after this")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change any setting of CoarsenConfTraining"
    )
    parser.add_argument("--validate-every", type=int, default=200, metavar="n", help="updates between log lines (200)")
    parser.add_argument("--name", help="what the model is called; the folder's name if omitted")


def run(options):
    from openmm_cgvae.conformers.coarseconfig import CoarsenConfTraining
    from openmm_cgvae.conformers.coarseexport import export_coarsenconf
    from openmm_cgvae.conformers.coarsetraining import CoarsenConfTrainer
    from openmm_cgvae.conformers.ensembles import PackedEnsembles
    from openmm_cgvae.models.config import config_from_dict

    config = config_from_dict(CoarsenConfTraining, dict(setting_change(text) for text in options.set))
    if options.validate_every < 1:
        raise SettingsError(f"--validate-every {options.validate_every} given: 1 or more is expected")
    folder = Path(options.output)
    trainer = CoarsenConfTrainer(PackedEnsembles.load(options.ensembles), folder, config)
    trainer.run(options.minutes, options.validate_every)
    path = folder / "model.pt"
    export_coarsenconf(folder, path, options.name or folder.name, overwrite=True)
    print(f"model file: {path}")
