"""Fitting the baselines: what is found, and that it is found again."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from openmm_cgvae.core.errors import SettingsError, TrainingError
from openmm_cgvae.models.export import ExportedModel
from openmm_cgvae.training.baselines import (
    BASELINES,
    BaselineConfig,
    fit_baseline,
    fit_linear,
    geometric_reference,
    train_mlp,
)
from openmm_cgvae.training.losses import graph_loss, msd_loss

FRAMES = np.arange(150)
LEAST_SQUARES = BaselineConfig(gamma=0.0)


def frames_and_prediction(model, dataset, frames):
    """Both in Angstrom."""
    x = torch.as_tensor(dataset.positions[frames], dtype=torch.float64)
    noise = torch.zeros(len(x), dataset.spec.n_beads, model.latent)
    with torch.no_grad():
        return 10 * x, 10 * ExportedModel(model)(model.project(x), noise)


def test_least_squares_find_the_linear_map_that_made_the_data(five_bead_dataset):
    model = fit_linear(five_bead_dataset, FRAMES, LEAST_SQUARES)
    with torch.no_grad():
        model.coefficients.copy_(torch.randn(model.coefficients.shape, generator=torch.Generator().manual_seed(0)))
    _, made = frames_and_prediction(model, five_bead_dataset, np.arange(200))
    data = replace(five_bead_dataset, positions=(made / 10).numpy().astype(np.float32))
    found = fit_linear(data, FRAMES, LEAST_SQUARES)
    target, predicted = frames_and_prediction(found, data, np.arange(150, 200))
    assert (target - predicted).abs().max() < 1e-3


def test_least_squares_maps_project_back_without_recentring(five_bead_dataset):
    model = fit_linear(five_bead_dataset, FRAMES, LEAST_SQUARES)
    assert model.project(model.coefficients[None].double()).abs().max() < 1e-4


def test_the_graph_loss_buys_distances_for_displacement(dataset):
    plain = fit_linear(dataset, FRAMES, LEAST_SQUARES)
    model = fit_linear(dataset, FRAMES, BaselineConfig(epochs=30, learning_rate=5e-3))
    pairs = torch.as_tensor(dataset.spec.graph_pairs)
    losses = {}
    for name, each in (("plain", plain), ("graph", model)):
        x, predicted = frames_and_prediction(each, dataset, FRAMES)
        losses[name] = float(msd_loss(predicted, x)), float(graph_loss(predicted, x, pairs))
    assert losses["graph"][1] < 0.7 * losses["plain"][1]
    assert losses["graph"][0] > losses["plain"][0]


def test_mlp_learns_its_training_frames(dataset):
    errors = []
    for epochs in (1, 40):
        model = train_mlp(dataset, FRAMES, BaselineConfig(epochs=epochs, learning_rate=3e-3))
        x, predicted = frames_and_prediction(model, dataset, FRAMES)
        errors.append(float(msd_loss(predicted, x)))
    assert errors[1] < 0.5 * errors[0]
    assert model.epochs_done == 40


@pytest.mark.parametrize("kind", BASELINES)
def test_the_same_seed_fits_the_same_model(kind, dataset):
    def weights():
        return fit_baseline(kind, dataset, FRAMES, BaselineConfig(epochs=2, seed=4)).state_dict()

    before = torch.random.get_rng_state()
    first, second = weights(), weights()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(before, torch.random.get_rng_state())


def test_another_seed_trains_another_mlp(dataset):
    one, two = (train_mlp(dataset, FRAMES, BaselineConfig(epochs=1, seed=seed)) for seed in (0, 1))
    assert not torch.equal(one.layers[0].weight, two.layers[0].weight)


def test_time_ends_a_training(dataset):
    assert train_mlp(dataset, FRAMES, BaselineConfig(epochs=10_000), max_minutes=1e-4).epochs_done < 1000


@pytest.mark.parametrize("fit", BASELINES.values(), ids=BASELINES)
def test_only_the_frames_given_count(fit, dataset):
    spoilt = dataset.positions.copy()
    spoilt[150:] *= 2
    one, two = (fit(data, FRAMES, BaselineConfig(epochs=1)) for data in (dataset, replace(dataset, positions=spoilt)))
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())


def test_geometric_spread_is_the_distance_of_the_atoms_from_their_beads(dataset):
    model = geometric_reference(dataset, FRAMES)
    x = dataset.positions[FRAMES].astype(float)
    beads = np.einsum("Ii,fix->fIx", dataset.spec.projection, x)
    expected = 10 * np.sqrt(((x - beads[:, dataset.spec.assignment]) ** 2).mean((0, 2)))
    np.testing.assert_allclose(model.spread[:, 0], expected, rtol=1e-3)


def test_a_training_that_diverges_says_so(dataset):
    with pytest.raises(TrainingError, match="lower learning_rate"):
        train_mlp(dataset, FRAMES, BaselineConfig(epochs=20, learning_rate=1e30))


@pytest.mark.parametrize(
    "settings", [{"epochs": 0}, {"batch_size": -1}, {"gamma": -1.0}, {"learning_rate": "fast"}, {"ridge": 0.0}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingsError, match=f"{next(iter(settings))}=.* is expected"):
        BaselineConfig(**settings)


def test_an_unknown_baseline_is_refused(dataset):
    with pytest.raises(SettingsError, match="one of linear, mlp, geometric"):
        fit_baseline("cubic", dataset, FRAMES)
