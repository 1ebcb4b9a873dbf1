import csv
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import TINY

from openmm_cgvae.errors import OutputError, SettingsError, TrainingError
from openmm_cgvae.mapping import residue_mapping
from openmm_cgvae.models import TrainingConfig
from openmm_cgvae.preparation import prepare_dataset
from openmm_cgvae.training import Trainer, load_trained

# Two updates an epoch on the 125 training frames.
CONFIG = TrainingConfig(epochs=3, batch_size=64, learning_rate=3e-3, ema_decay=0.5, patience=0)
GAUSSIAN = replace(TINY, prior="gaussian")


def train(dataset, folder, model=TINY, **settings):
    trainer = Trainer(dataset, folder, model, replace(CONFIG, **settings))
    trainer.run(progress=False)
    return trainer


def rows_of(folder):
    with open(folder / "training.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def assert_same_run(folder, other):
    """Same weights, averages and state of the optimizer to the bit, and the same log but for the seconds."""
    one, two = (torch.load(f / "checkpoint.pt", weights_only=True) for f in (folder, other))
    for part in ("model", "average"):
        assert one[part].keys() == two[part].keys()
        for name in one[part]:
            assert torch.equal(one[part][name], two[part][name]), name
    assert str(one["optimizer"]) == str(two["optimizer"])
    assert one["scheduler"] == two["scheduler"]
    assert rows_of(folder) == rows_of(other)


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    """Folder of three epochs in one go."""
    folder = tmp_path_factory.mktemp("whole")
    train(dataset, folder)
    return folder


# ------------------------------------------------------------------------------------------------- going on


def test_one_epoch_and_two_more_are_three_epochs(dataset, whole, tmp_path):
    train(dataset, tmp_path, epochs=1)
    assert len(rows_of(tmp_path)) == 1
    train(dataset, tmp_path)
    assert_same_run(tmp_path, whole)


def test_random_state_of_the_process_does_not_matter(dataset, whole, tmp_path):
    torch.manual_seed(99)
    np.random.seed(99)
    trainer = Trainer(dataset, tmp_path, TINY, CONFIG)
    torch.manual_seed(100)
    trainer.run(progress=False)
    assert_same_run(tmp_path, whole)


@pytest.mark.parametrize("where", ["losses", "validate", "_log", "_save"])
def test_interrupted_epoch_is_done_again(where, dataset, whole, tmp_path, monkeypatch):
    train(dataset, tmp_path, epochs=1)
    trainer = Trainer(dataset, tmp_path, TINY, CONFIG)
    original, calls = getattr(trainer, where), []

    def interrupted(*args):
        calls.append(args)
        # The second update of the epoch, or the first time for what is done once.
        if len(calls) == (2 if where == "losses" else 1):
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(trainer, where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(progress=False)
    train(dataset, tmp_path)
    assert_same_run(tmp_path, whole)


def test_log_is_whole_where_writing_it_fails(dataset, whole, tmp_path, monkeypatch):
    train(dataset, tmp_path, epochs=2)

    def full_disk(*args):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(csv.DictWriter, "writerows", full_disk)
        train(dataset, tmp_path)
    assert rows_of(tmp_path) == rows_of(whole)[:2]


# Blocks all but torch and numpy, and ends itself in the middle of an epoch where asked to.
PROCESS = """
import sys
for name in ("openmm", "mdtraj", "rdkit", "scipy", "matplotlib", "tqdm", "parmed"):
    sys.modules[name] = None
import os, signal, torch
torch.set_num_threads(1)
from openmm_cgvae.models import ModelConfig, TrainingConfig
from openmm_cgvae.training import Dataset, Trainer

data, folder, killed = sys.argv[1:]
trainer = Trainer(Dataset.load(data), folder, {model!r}, {config!r})
losses, calls = trainer.losses, []

def counted(*args):
    calls.append(1)
    # An epoch has two updates and one validation: the fifth call is the second update of the second epoch.
    if killed == "yes" and len(calls) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return losses(*args)

trainer.losses = counted
trainer.run()
"""


def in_a_process(dataset, folder, killed):
    data = folder.parent / "data.npz"
    dataset.save(data)
    code = PROCESS.format(model=TINY, config=CONFIG)
    return subprocess.run([sys.executable, "-c", code, data, folder, killed], capture_output=True, text=True)


def test_torch_and_numpy_are_enough_to_train(dataset, whole, tmp_path):
    done = in_a_process(dataset, tmp_path / "run", "no")
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "run", whole)


def test_killed_process_goes_on_to_the_same_weights(dataset, whole, tmp_path):
    done = in_a_process(dataset, tmp_path / "run", "yes")
    assert done.returncode == -9, done.stderr
    assert len(rows_of(tmp_path / "run")) == 1
    train(dataset, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


# ------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("model", "settings"),
    [(TINY, {"gamma": 1.0}), (TINY, {"seed": 1}), (replace(TINY, latent=3), {}), (GAUSSIAN, {})],
    ids=["gamma", "seed", "latent", "prior"],
)
def test_other_settings_in_the_folder_of_a_run_are_refused(model, settings, dataset, whole):
    before = (whole / "checkpoint.pt").read_bytes()
    with pytest.raises(SettingsError, match="other settings or data: give another folder"):
        Trainer(dataset, whole, model, replace(CONFIG, **settings))
    assert (whole / "checkpoint.pt").read_bytes() == before


def test_other_data_in_the_folder_of_a_run_are_refused(dataset, whole):
    with pytest.raises(SettingsError, match="other settings or data"):
        Trainer(replace(dataset, positions=dataset.positions[::-1].copy()), whole, TINY, CONFIG)


def test_another_mapping_of_the_same_data_is_refused(reference, topology, whole):
    by_mass = prepare_dataset(*reference, residue_mapping(topology, "mass"))
    with pytest.raises(SettingsError, match="other settings or data"):
        Trainer(by_mass, whole, TINY, CONFIG)


def test_finished_run_is_left_as_it_is(dataset, whole):
    before = (whole / "checkpoint.pt").read_bytes(), rows_of(whole)
    assert train(dataset, whole).epoch == 3
    assert ((whole / "checkpoint.pt").read_bytes(), rows_of(whole)) == before


def test_time_limit_ends_the_run_after_an_epoch(dataset, tmp_path):
    trainer = Trainer(dataset, tmp_path, TINY, replace(CONFIG, epochs=1000))
    trainer.run(max_minutes=0.1 / 60, progress=False)
    assert 1 <= trainer.epoch < 1000
    assert len(rows_of(tmp_path)) == trainer.epoch


def test_folder_that_cannot_be_is_refused(dataset, tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        Trainer(dataset, tmp_path / "missing" / "run", TINY, CONFIG)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        Trainer(dataset, tmp_path / "file", TINY, CONFIG)


def test_gradients_that_are_never_finite_end_the_run(dataset, tmp_path):
    with pytest.raises(TrainingError, match="no finite gradient: lower learning_rate"):
        train(dataset, tmp_path, learning_rate=1e30)


def unpicklable(path):
    torch.save({"spec": subprocess.run}, path)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("weights"),
        lambda path: path.write_bytes(b""),
        lambda path: torch.save({"model": torch.zeros(3)}, path),
        lambda path: torch.save([1, 2], path),
        unpicklable,
    ],
    ids=["text", "empty", "other-keys", "list", "function"],
)
def test_garbage_instead_of_a_checkpoint_is_refused(write, dataset, tmp_path):
    write(tmp_path / "checkpoint.pt")
    with pytest.raises(TrainingError, match="is not a checkpoint of this package") as caught:
        load_trained(tmp_path / "checkpoint.pt")
    assert "\n" not in str(caught.value)
    with pytest.raises(TrainingError, match="cannot be read"):
        Trainer(dataset, tmp_path, TINY, CONFIG)


def test_missing_checkpoint_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="does not exist: train first"):
        load_trained(tmp_path / "checkpoint.pt")


# ------------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("model", [TINY, GAUSSIAN], ids=["flow", "gaussian"])
def test_loss_falls_on_real_data(model, dataset, tmp_path):
    train(dataset, tmp_path, model, epochs=12)
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


def test_validation_loss_leaves_the_loss_of_the_flow_out(dataset, whole):
    row = {name: float(value) for name, value in rows_of(whole)[-1].items()}
    expected = row["val_msd"] + CONFIG.gamma * row["val_graph"] + CONFIG.beta * row["val_kl"]
    assert row["val_loss"] == pytest.approx(expected, rel=1e-4)
    assert row["val_flow"] > 0


# ------------------------------------------------------------------------------------------------- prior and geometry


def test_the_fitted_prior_is_the_one_to_use_and_more_training_starts_from_the_other(dataset, tmp_path):
    trainer = train(dataset, tmp_path, epochs=1, prior_updates=2)
    plain = trainer.average.module.state_dict()["prior.leave.weight"]
    fitted = trainer.trained_model().prior.leave.weight
    assert not torch.equal(fitted, plain)
    assert torch.equal(load_trained(tmp_path / "checkpoint.pt")[0].prior.leave.weight, fitted)
    again = train(dataset, tmp_path, epochs=1, prior_updates=2)
    assert torch.equal(again.trained_model().prior.leave.weight, fitted)
    train(dataset, tmp_path, epochs=2, prior_updates=2)
    folder = tmp_path / "whole"
    train(dataset, folder, epochs=2, prior_updates=2)
    assert_same_run(tmp_path, folder)


LOCAL = replace(TINY, prior="local-flow", flow_dropout=0.3)


def test_a_run_with_dropout_goes_on_as_one_never_stopped(dataset, tmp_path):
    folders = [tmp_path / name for name in ("whole", "stopped")]
    train(dataset, folders[0], LOCAL, epochs=2)
    train(dataset, folders[1], LOCAL, epochs=1)
    train(dataset, folders[1], LOCAL, epochs=2)
    assert_same_run(*folders)


def test_a_run_stopped_between_its_last_stages_ends_as_one_never_stopped(dataset, tmp_path, monkeypatch):
    stages = {"epochs": 1, "prior_updates": 2, "polish_updates": 2}
    expected = train(dataset, tmp_path / "whole", LOCAL, **stages).trained_model().state_dict()
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_polish_decoder", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(dataset, tmp_path / "stopped", LOCAL, **stages)
    fitted = load_trained(tmp_path / "stopped" / "checkpoint.pt")[0].state_dict()
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_fit_prior", lambda *_: 1 / 0)
        found = train(dataset, tmp_path / "stopped", LOCAL, **stages).trained_model().state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    changed = {name.split(".")[0] for name in expected if not torch.equal(found[name], fitted[name])}
    assert changed == {"decoder"}


def test_starting_from_a_model_with_another_prior_keeps_all_else(dataset, tmp_path, caplog):
    weights = train(dataset, tmp_path / "flow", epochs=1).trained_model().state_dict()
    trainer = Trainer(dataset, tmp_path / "local", LOCAL, replace(CONFIG, epochs=0), start=weights)
    assert "another prior: this one starts anew" in caplog.text
    model = trainer.run(progress=False).state_dict()
    kept = [name for name in model if not name.startswith("prior.")]
    assert kept
    assert all(torch.equal(model[name], weights[name]) for name in kept)


def test_contacts_may_be_added_to_an_earlier_model_and_change_nothing_yet(dataset, tmp_path):
    refined = replace(TINY, refinement_layers=1, refinement_width=8)
    weights = train(dataset, tmp_path / "without", refined, epochs=1).trained_model()
    more, none = replace(refined, refinement_contacts=1), replace(CONFIG, epochs=0)
    start = weights.state_dict()
    model = Trainer(dataset, tmp_path / "with", more, none, start=start).run(progress=False)
    X, noise = 2 * torch.randn(4, 3, 3), torch.randn(4, 3, TINY.latent)
    torch.testing.assert_close(model.sample(X, noise), weights.sample(X, noise), rtol=0, atol=1e-5)
