"""Short trainings, and what is the same in two of them."""

import csv
from dataclasses import replace

from conftest import TINY

from openmm_cgvae.models import TrainingConfig
from openmm_cgvae.training import Trainer

# Two updates an epoch on the 125 training frames.
CONFIG = TrainingConfig(epochs=3, batch_size=64, learning_rate=3e-3, anneal=0.0, ema_decay=0.5, patience=0)
LOCAL = replace(TINY, prior="local-flow", flow_dropout=0.3)
GAUSSIAN = replace(TINY, prior="gaussian")


def train(dataset, folder, model=TINY, **settings):
    trainer = Trainer(dataset, folder, model, replace(CONFIG, **settings))
    trainer.run(progress=False)
    return trainer


def rows_of(folder):
    with open(folder / "training.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def assert_same_run(folder, other):
    """The same checkpoint to the byte, and the same log but for the seconds."""
    assert (folder / "checkpoint.pt").read_bytes() == (other / "checkpoint.pt").read_bytes()
    assert rows_of(folder) == rows_of(other)
