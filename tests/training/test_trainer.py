from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import TINY
from trainings import CONFIG, GAUSSIAN, LOCAL, rows_of, train

from openmm_cgvae.training import Trainer, load_trained


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    """Folder of three epochs in one go."""
    folder = tmp_path_factory.mktemp("whole")
    train(dataset, folder)
    return folder


@pytest.mark.parametrize("model", [TINY, GAUSSIAN], ids=["flow", "gaussian"])
def test_loss_falls_on_real_data(model, dataset, tmp_path):
    train(dataset, tmp_path, model, epochs=20, patience=6)
    losses = [float(row["val_loss"]) for row in rows_of(tmp_path)]
    assert losses[-1] < 0.5 * losses[0]
    flow = [float(row["val_flow"]) for row in rows_of(tmp_path)]
    assert all(value > 0 for value in flow) if model.prior == "flow" else not any(flow)


def test_a_last_batch_of_one_frame_does_no_harm(dataset, tmp_path, caplog):
    trainer = train(dataset, tmp_path, epochs=2, batch_size=62)
    assert len(trainer.train_frames) % 62 == 1
    assert "without a finite gradient" not in caplog.text
    assert all(value.isfinite().all() for value in trainer.model.state_dict().values())


def terms_of(dataset, folder, model=TINY, **settings):
    """A trainer and the losses of its random weights on 20 frames."""
    trainer = Trainer(dataset, folder, model, replace(CONFIG, **settings))
    return trainer, trainer.losses(trainer.model, trainer.positions[:20], torch.Generator().manual_seed(0))


def test_every_epoch_takes_its_frames_in_another_order(dataset, tmp_path, monkeypatch):
    trainer = Trainer(dataset, tmp_path, TINY, replace(CONFIG, epochs=2))
    taken, losses = [], trainer.losses
    monkeypatch.setattr(trainer, "losses", lambda m, x, g: taken.append(x) or losses(m, x, g))
    trainer.run(progress=False)
    # Two updates and one validation an epoch.
    first, second = torch.cat(taken[0:2]), torch.cat(taken[3:5])
    assert len(first) == len(trainer.train_frames)
    assert not torch.equal(first, second)
    assert torch.equal(first.sum((1, 2)).sort().values, second.sum((1, 2)).sort().values)
    assert torch.equal(taken[2], taken[5])


def test_hydrogens_are_relabelled_in_the_loss_where_asked(dataset, tmp_path):
    fixed, free = (
        terms_of(dataset, tmp_path / str(permute), permute_hydrogens=permute)[1] for permute in (False, True)
    )
    assert free["msd"] < fixed["msd"]
    assert free["kl"] == fixed["kl"]


def test_gaussian_prior_learns_from_the_divergence(dataset, tmp_path):
    trainer, terms = terms_of(dataset, tmp_path, GAUSSIAN)
    terms["kl"].backward()
    assert trainer.model.prior.mean[-1].bias.grad.abs().max() > 0
    assert trainer.model.encoder.mean[-1].bias.grad.abs().max() > 0


def test_flow_learns_from_the_latents_without_pulling_at_them(dataset, tmp_path):
    trainer, terms = terms_of(dataset, tmp_path)
    terms["flow"].backward()
    assert trainer.model.prior.leave.bias.grad.abs().max() > 0
    assert all(p.grad is None for p in trainer.model.encoder.parameters())


def test_loaded_model_is_the_averaged_one(dataset, whole):
    trainer = Trainer(dataset, whole, TINY, CONFIG)
    model, spec, summary = load_trained(whole / "checkpoint.pt")
    assert not model.training
    averaged = trainer.average.module.state_dict()
    for name, value in model.state_dict().items():
        assert name == "projection" or torch.equal(value, averaged[name]), name
    np.testing.assert_array_equal(spec.assignment, dataset.spec.assignment)
    assert summary["epoch"] == 3
    assert summary["data_sha256"] == dataset.sha256


def test_average_follows_the_weights_slowly(dataset, whole):
    state = torch.load(whole / "checkpoint.pt", weights_only=True)
    name = "decoder.bead_embedding"
    assert not torch.equal(state["average"][f"module.{name}"], state["model"][name])


def test_without_averaging_the_weights_themselves_are_kept(dataset, tmp_path):
    trainer = train(dataset, tmp_path, epochs=2, ema_decay=0.0)
    model, _, _ = load_trained(tmp_path / "checkpoint.pt")
    for name, value in trainer.model.state_dict().items():
        assert name == "projection" or torch.equal(model.state_dict()[name], value), name


def test_trained_models_know_the_projection_to_double_precision(whole, dataset, mapping):
    for model in (load_trained(whole / "checkpoint.pt")[0], Trainer(dataset, whole, TINY, CONFIG).trained_model()):
        np.testing.assert_array_equal(model.projection, mapping.matrix)


def test_training_leaves_the_dataset_as_it_was(dataset, tmp_path, mapping):
    before = dataset.sha256
    train(dataset, tmp_path, epochs=1)
    assert dataset.sha256 == before
    np.testing.assert_array_equal(dataset.spec.projection, mapping.matrix)


def test_learning_rate_falls_on_a_plateau_but_not_below_its_minimum(dataset, tmp_path):
    train(dataset, tmp_path, epochs=6, gamma=0.0, beta=0.0, learning_rate=1e-6, min_learning_rate=4e-7, factor=0.5)
    rates = [float(row["learning_rate"]) for row in rows_of(tmp_path)]
    assert sorted(set(rates), reverse=True) == [1e-6, 5e-7, 4e-7]


def test_learning_rate_falls_over_the_last_epochs_and_more_of_them_go_on_with_that_of_before(dataset, tmp_path):
    settings = {"learning_rate": 1e-3, "patience": 100, "anneal": 0.5}
    train(dataset, tmp_path, epochs=4, **settings)
    rates = [float(row["learning_rate"]) for row in rows_of(tmp_path)]
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 2e-3 / 3, 1e-3 / 3], rtol=1e-5)
    train(dataset, tmp_path, epochs=8, **settings)
    rates = [float(row["learning_rate"]) for row in rows_of(tmp_path)]
    np.testing.assert_allclose(rates[4:], [0.8e-3, 0.6e-3, 0.4e-3, 0.2e-3], rtol=1e-5)


def test_validation_loss_leaves_the_loss_of_the_flow_out(dataset, whole):
    row = {name: float(value) for name, value in rows_of(whole)[-1].items()}
    expected = row["val_msd"] + CONFIG.gamma * row["val_graph"] + CONFIG.beta * row["val_kl"]
    assert row["val_loss"] == pytest.approx(expected, rel=1e-4)
    assert row["val_flow"] > 0


# ------------------------------------------------------------------------------------------------- prior and geometry


def test_starting_from_a_model_with_another_prior_keeps_all_else(dataset, tmp_path, caplog):
    weights = train(dataset, tmp_path / "flow", epochs=1).trained_model().state_dict()
    trainer = Trainer(dataset, tmp_path / "local", LOCAL, replace(CONFIG, epochs=0), start=weights)
    assert "another prior: this one starts anew" in caplog.text
    model = trainer.run(progress=False).state_dict()
    kept = [name for name in model if not name.startswith("prior.")]
    assert kept
    assert all(torch.equal(model[name], weights[name]) for name in kept)


def test_a_model_whose_encoder_saw_no_places_encodes_as_before(dataset, tmp_path):
    model, none = train(dataset, tmp_path / "earlier", epochs=1).trained_model(), replace(CONFIG, epochs=0)
    start = {k: v for k, v in model.state_dict().items() if not k.startswith("encoder.place_")}
    seeing = Trainer(dataset, tmp_path / "now", TINY, none, start=start).run(progress=False)
    with torch.no_grad():
        model.encoder.place_filter.zero_()
        x = torch.as_tensor(dataset.positions[:8]) * 10
        frames = x, model.project(x.double()).float()
        torch.testing.assert_close(seeing.encode(*frames), model.encode(*frames), rtol=0, atol=1e-6)


@pytest.mark.parametrize("layers_before", [0, 1], ids=["refinement", "contacts"])
def test_what_is_added_to_an_earlier_model_changes_nothing_yet(dataset, tmp_path, layers_before):
    before = replace(TINY, refinement_layers=layers_before, refinement_width=8)
    weights = train(dataset, tmp_path / "without", before, epochs=1).trained_model()
    more, none = replace(before, refinement_layers=1, refinement_contacts=1), replace(CONFIG, epochs=0)
    start = weights.state_dict()
    model = Trainer(dataset, tmp_path / "with", more, none, start=start).run(progress=False)
    X, noise = 2 * torch.randn(4, 3, 3), torch.randn(4, 3, TINY.latent)
    torch.testing.assert_close(model.sample(X, noise), weights.sample(X, noise), rtol=0, atol=1e-5)
