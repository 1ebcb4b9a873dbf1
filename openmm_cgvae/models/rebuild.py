"""A model rebuilt by the package's own classes from its settings, molecule and weights, without TorchScript."""

from openmm_cgvae.core.errors import ModelFileError, SettingsError, one_line
from openmm_cgvae.models.baselines import BASELINE_MODELS
from openmm_cgvae.models.cgvae import CGVAE
from openmm_cgvae.models.config import ModelConfig, config_from_dict
from openmm_cgvae.models.export import ExportedModel
from openmm_cgvae.models.version1 import complete_weights, spec_of_version_1
from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["rebuild_model"]


def rebuild_model(metadata, molecule, weights, bonds=()):
    """Build the module of a `CGVAE` or a baseline, which samples what its TorchScript does.

    Parameters
    ----------
    metadata : dict
        Of the model file.
    molecule : dict of str to numpy.ndarray or None
        ``MoleculeSpec.to_arrays``; taken from the weights of a file of version 1, which has none.
    weights : dict of str to Tensor
        ``ModelFile.weights``.
    bonds : sequence of (int, int)
        Of the molecule, for a file of version 1.

    Returns
    -------
    ExportedModel
        On the CPU, in evaluation mode.

    Raises
    ------
    ModelFileError
        If settings or weights are missing.
    """
    spec = spec_of_version_1(weights, bonds) if molecule is None else MoleculeSpec.from_arrays(molecule)
    try:
        if metadata["kind"] == "baseline":
            model = BASELINE_MODELS[metadata["baseline"]["kind"]](spec)
        else:
            config = config_from_dict(ModelConfig, metadata["model"])
            _check_sizes(config, weights)
            model = CGVAE(spec, config)
        model.load_state_dict(complete_weights(model, weights))
    except (KeyError, RuntimeError) as error:
        raise ModelFileError(
            f"the model cannot be rebuilt: {one_line(error)} is missing or unfit; export it again"
        ) from error
    return ExportedModel(model.eval()).eval()


def _check_sizes(config, weights):
    """Refuse a network much larger than the weights there, before memory is taken for it (`SettingsError`)."""
    there = sum(value.numel() for value in weights.values())
    sizes = [
        (config.features, layers) for layers in (config.encoder_layers, config.prior_layers, config.decoder_layers)
    ]
    if config.prior != "gaussian":
        sizes.append((config.flow_width, config.flow_layers))
    if config.refinement_layers:
        sizes.append((config.refinement_width, config.refinement_layers))
    for width, layers in sizes:
        if width**2 * layers > there:
            raise SettingsError(
                f"a network of {layers} layers of width {width}, for which {there} weights are too few,"
            )
