"""Real processes that train together over gloo, against one that trains alone."""

import csv
import logging
import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from conftest import TINY

from openmm_cgvae.cli.main import main
from openmm_cgvae.models import TrainingConfig
from openmm_cgvae.training import Dataset, Trainer
from openmm_cgvae.training.distributed import Share, process_group

# Of the 125 training frames the last batch holds one: nothing is left of it for the first of two processes.
CONFIG = TrainingConfig(epochs=3, batch_size=62, learning_rate=3e-3, anneal=0.0, ema_decay=0.5, prior_updates=2)
SETTINGS = [
    word
    for name in ("features", "radial", "encoder_layers", "prior_layers", "decoder_layers", "flow_width", "flow_layers",
                 "flow_steps", "batch_size", "learning_rate", "anneal", "ema_decay", "prior_updates")
    for word in ("--set", f"{name}={getattr(TINY, name, None) or getattr(CONFIG, name)}")
]  # fmt: skip


def forked(number, port, folder, work):
    """What `torchrun` starts, without its imports: a process of two, which prints to files."""
    for stream, name in enumerate(("stdout", "stderr"), 1):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        setattr(sys, name, os.fdopen(stream, "w", buffering=1, closefd=False))
    logging.basicConfig(force=True)
    os.environ |= {
        "RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test", "TORCHELASTIC_USE_AGENT_STORE": "True",
    }  # fmt: skip
    sys.exit(work(number))


def together(work, folder):
    """Exit codes of ``work(0)`` and ``work(1)`` in two processes, and what both printed to stdout and stderr."""
    # torchrun holds the store, which outlives what fails.
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=forked, args=(number, store.port, folder, work)) for number in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        process.kill()
        process.join()
    return [process.exitcode for process in processes], *((folder / name).read_text() for name in ("stdout", "stderr"))


def state_of(folder, parts=("model", "average", "finished")):
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    return {f"{part}.{name}": value for part in parts for name, value in state[part].items()}


def losses_of(folder):
    with open(folder / "training.csv", newline="") as file:
        return [[float(v) for k, v in row.items() if k != "seconds"] for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def data(dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "data.npz"
    dataset.save(path)
    return path


@pytest.fixture(scope="module")
def alone(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    Trainer(dataset, folder, TINY, CONFIG).run(progress=False)
    return folder


@pytest.mark.parametrize(("n", "expected"), [(62, [31, 31]), (7, [3, 4]), (1, [0, 1])])
def test_shares_are_a_whole_batch(n, expected, monkeypatch):
    module = "openmm_cgvae.training.distributed"
    monkeypatch.setattr(f"{module}.size", lambda: 2)
    shares = []
    for number in (0, 1):
        monkeypatch.setattr(f"{module}.rank", lambda number=number: number)
        shares.append(Share(n))
    assert [round(share.part * n) for share in shares] == expected
    values = torch.arange(float(n))
    assert sum(share.part * share.of(values).mean() for share in shares) == pytest.approx(values.mean())


@pytest.mark.slow
def test_two_processes_go_on_as_one_would_have(dataset, data, alone, tmp_path):
    """The command, on a run that one process stopped after its first epoch."""
    folder = tmp_path / "run"
    Trainer(dataset, folder, TINY, replace(CONFIG, epochs=1)).run(progress=False)
    command = ["train", str(data), "-o", str(folder), *SETTINGS, "--epochs", "3"]
    codes, output, errors = together(lambda _: main(command), tmp_path)
    assert codes == [0, 0], errors
    assert output.count("model file ") == 1
    assert len(losses_of(folder)) == 3
    own, expected = state_of(folder), state_of(alone)
    assert own.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(own[name], expected[name], rtol=1e-4, atol=1e-5, msg=name)
    torch.testing.assert_close(torch.tensor(losses_of(folder)), torch.tensor(losses_of(alone)), rtol=1e-4, atol=1e-5)
    assert sorted(path.suffix for path in folder.iterdir()) == [".csv", ".html", ".png", ".pt", ".pt"]


JOINED = """
from openmm_cgvae.training.distributed import from_first, process_group, rank, size
with process_group("cpu"):
    print("rank", rank(), "of", size(), "first", from_first(rank()))
"""


@pytest.mark.slow
def test_what_torchrun_starts_joins(tmp_path):
    (tmp_path / "joined.py").write_text(JOINED)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*torchrun, tmp_path / "joined.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["rank 0 of 2 first 0", "rank 1 of 2 first 0"]


def train_with_a_bad_update(number, data, folder):
    """The second update of the second process has no finite loss; none but the first process may write."""
    model, save = replace(TINY, prior="local-flow", flow_dropout=0.3), torch.save
    with process_group("cpu") as device:
        trainer = Trainer(Dataset.load(data), folder / "run", model, CONFIG, device)
        reconstruction, calls = trainer.reconstruction, []

        def broken(*args):
            calls.append(1)
            factor = float("nan") if number == 1 and len(calls) == 2 else 1.0
            return {name: factor * value for name, value in reconstruction(*args).items()}

        trainer.reconstruction = broken
        if number == 1:
            torch.save = lambda *_: 1 / 0
        trainer.run(progress=False)
        save(trainer.model.state_dict(), folder / f"weights{number}")


@pytest.mark.slow
def test_processes_keep_the_same_weights_and_skip_a_bad_update_alike(data, tmp_path):
    codes, _, errors = together(lambda number: train_with_a_bad_update(number, data, tmp_path), tmp_path)
    assert codes == [0, 0], errors
    first, second = (torch.load(tmp_path / f"weights{number}", weights_only=True) for number in (0, 1))
    for name in first:
        assert torch.equal(first[name], second[name]), name
        assert first[name].isfinite().all(), name
    saved = state_of(tmp_path / "run", ["model"])
    assert all(torch.equal(saved[f"model.{name}"], first[name]) for name in first)
    assert "skipped 1 updates of epoch 1" in errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("of_second", "settings", "message"),
    [("missing.npz", (), "missing.npz does not exist"), (None, ("--set", "batch_size=0"), "batch_size=0 given")],
    ids=["of-one", "of-all"],
)
def test_an_error_ends_all_processes_and_is_told_once(data, tmp_path, of_second, settings, message):
    def command(number):
        path = (number and of_second) or str(data)
        return main(["train", path, "-o", str(tmp_path / "run"), *SETTINGS, *settings])

    codes, _, errors = together(command, tmp_path)
    assert codes == [2, 2], errors
    assert [message in line for line in errors.splitlines() if "cgvae: error" in line] == [True]
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
