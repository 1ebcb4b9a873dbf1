"""A training that was stopped, in whatever way, goes on; what cannot go on is refused."""

import csv
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import TINY
from trainings import CONFIG, GAUSSIAN, LOCAL, assert_same_run, rows_of, train

from openmm_cgvae.core.errors import OutputError, SettingsError, TrainingError
from openmm_cgvae.molecule.mapping import residue_mapping
from openmm_cgvae.preparation.dataset import prepare_dataset
from openmm_cgvae.training import Trainer, load_trained


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


@pytest.mark.slow
def test_torch_and_numpy_are_enough_to_train(dataset, whole, tmp_path):
    done = in_a_process(dataset, tmp_path / "run", "no")
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.slow
def test_killed_process_goes_on_to_the_same_weights(dataset, whole, tmp_path):
    done = in_a_process(dataset, tmp_path / "run", "yes")
    assert done.returncode == -9, done.stderr
    assert len(rows_of(tmp_path / "run")) == 1
    train(dataset, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


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


def test_the_learning_rate_has_fallen_when_the_time_is_up(dataset, tmp_path):
    trainer = Trainer(dataset, tmp_path, TINY, replace(CONFIG, epochs=100_000, anneal=1.0, patience=1000))
    trainer.run(max_minutes=4 / 60, progress=False)
    rates = [float(row["learning_rate"]) for row in rows_of(tmp_path)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < rates[0]


def test_a_time_limit_holds_for_the_prior_and_the_polish_too(dataset, tmp_path):
    config = replace(CONFIG, epochs=1000, prior_updates=10**6, polish_updates=10**6, posterior_steps=0)
    trainer = Trainer(dataset, tmp_path, TINY, config)
    trainer.run(max_minutes=2 / 60, progress=False)
    assert trainer.stages_done == 2 and trainer.finished


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
