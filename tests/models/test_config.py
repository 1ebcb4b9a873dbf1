from dataclasses import asdict, replace

import pytest
from conftest import TINY

from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.models import CGVAE, ModelConfig, TrainingConfig, preset
from openmm_cgvae.models.config import PRESETS, config_from_dict, config_to_dict

# Table 4 of the paper: alanine dipeptide, chignolin.
TABLE_4 = {
    "radial": (8, 10),
    "gamma": (25.0, 50.0),
    "encoder_layers": (4, 2),
    "prior_layers": (4, 2),
    "decoder_layers": (5, 9),
    "atom_cutoff_angstrom": (8.5, 12.0),
    "bead_cutoff_angstrom": (9.5, 25.0),
    "features": (600, 600),
    "batch_size": (32, 2),
    "learning_rate": (8e-5, 1e-4),
    "epochs": (500, 100),
    "beta": (0.05, 0.05),
    # Appendix F.2.
    "patience": (15, 15),
    "factor": (0.3, 0.3),
}


@pytest.mark.parametrize(("column", "name"), [(0, "paper-alanine-dipeptide"), (1, "paper-chignolin")])
def test_presets_of_the_paper_are_table_4(column, name):
    model, training = preset(name)
    settings = asdict(model) | asdict(training)
    assert {key: settings[key] for key in TABLE_4} == {key: row[column] for key, row in TABLE_4.items()}
    assert model.prior == "gaussian"
    assert model.latent is None
    assert training.ema_decay == 0
    assert not training.permute_hydrogens


def test_typo_in_a_preset_gets_the_nearest_name():
    with pytest.raises(SettingsError, match="did you mean 'paper-chignolin'"):
        preset("paper-chignoline")
    with pytest.raises(SettingsError, match=f"one of {', '.join(PRESETS)} is expected$"):
        preset("xyz")


@pytest.mark.parametrize(
    ("cls", "name", "nearest"),
    [(ModelConfig, "feature", "features"), (TrainingConfig, "learning_rat", "learning_rate")],
)
def test_typo_in_a_setting_gets_the_nearest_name(cls, name, nearest):
    with pytest.raises(SettingsError, match=f"unknown setting '{name}', did you mean '{nearest}'"):
        config_from_dict(cls, {name: 1})


def test_setting_like_no_other_gets_all_names():
    with pytest.raises(SettingsError, match="unknown setting 'xyzzy': one of epochs, batch_size"):
        config_from_dict(TrainingConfig, {"xyzzy": 1})


@pytest.mark.parametrize("name", PRESETS)
def test_plain_values_give_the_configuration_back(name):
    for config in preset(name):
        assert config_from_dict(type(config), config_to_dict(config)) == config


NAN = float("nan")


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [
        (ModelConfig, "features", 0),
        (ModelConfig, "radial", -1),
        (ModelConfig, "decoder_layers", 0),
        (ModelConfig, "bead_cutoff_angstrom", 0.0),
        (ModelConfig, "atom_cutoff_angstrom", NAN),
        (ModelConfig, "latent", 0),
        (ModelConfig, "prior", "normal"),
        (ModelConfig, "flow_steps", 0),
        (TrainingConfig, "epochs", -1),
        (TrainingConfig, "batch_size", -1),
        (TrainingConfig, "learning_rate", 0.0),
        (TrainingConfig, "learning_rate", NAN),
        (TrainingConfig, "gamma", -1.0),
        (TrainingConfig, "gamma", NAN),
        (TrainingConfig, "beta", -0.1),
        (TrainingConfig, "ema_decay", 1.0),
        (TrainingConfig, "ema_decay", -0.1),
        (TrainingConfig, "validation_fraction", 0.0),
        (TrainingConfig, "validation_fraction", 1.0),
        (TrainingConfig, "test_fraction", -0.1),
        (TrainingConfig, "test_fraction", 1.0),
    ],
)
def test_settings_out_of_range_are_refused_by_name(cls, name, value):
    with pytest.raises(SettingsError, match=name):
        cls(**{name: value})


def test_model_narrower_than_its_largest_bead_is_refused(dataset):
    # The bead of alanine has 10 atoms.
    with pytest.raises(SettingsError, match="features=9 given, but a bead has 10 atoms: at least 10"):
        CGVAE(dataset.spec, replace(TINY, features=9))
    CGVAE(dataset.spec, replace(TINY, features=10))


def test_every_activation_named_is_there():
    from openmm_cgvae.models.config import ACTIVATIONS
    from openmm_cgvae.models.layers import ACTIVATION_LAYERS

    assert tuple(ACTIVATION_LAYERS) == ACTIVATIONS
    with pytest.raises(SettingsError, match="swish, relu"):
        ModelConfig(activation="softplus")
