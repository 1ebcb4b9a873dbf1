"""Force matching: learns a known force, keeps the best epoch, goes on from a checkpoint, refuses what does not fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from openmm_cgvae.cg.forcematching import ForceMatcher, ForceMatchingConfig, force_error
from openmm_cgvae.core.errors import DataError, SettingsError, TrainingError
from openmm_cgvae.models import ModelConfig

MODEL = ModelConfig(features=16, radial=6, prior_layers=1)
CONFIG = ForceMatchingConfig(epochs=3, batch_size=32, learning_rate=5e-3)


@pytest.fixture(scope="module")
def data(dataset):
    """Beads, forces of a spring between the outer ones, and runs."""
    beads = dataset.spec.projection @ dataset.positions.astype(float)
    vector = beads[:, 2] - beads[:, 0]
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    pull = 400 * (length - 0.6) * vector / length
    return beads, np.stack([pull, 0 * pull, -pull], axis=1), dataset.runs


def matcher(dataset, data, config=CONFIG, **options):
    return ForceMatcher(dataset.spec, *data, MODEL, config, **options)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_a_spring_is_learned(dataset, data):
    fit = matcher(dataset, data, replace(CONFIG, epochs=60))
    fit.run()
    first, best = fit.history[0], min(fit.history)
    assert first == pytest.approx(np.square(data[1][fit.validation_frames]).mean(), rel=1e-4)
    assert best < 0.1 * first
    assert fit.error(fit.validation_frames) == pytest.approx(best)
    assert fit.error(fit.test_frames) < 0.3 * np.square(data[1][fit.test_frames]).mean()


def test_forces_that_cannot_be_learned_change_nothing_for_the_worse(dataset, data):
    noise = np.random.default_rng(0).normal(0, 100, size=data[1].shape)
    fit = matcher(dataset, (data[0], noise, data[2]))
    fit.run()
    assert fit.error(fit.validation_frames) <= fit.history[0]


def test_an_interrupted_fit_ends_with_the_same_bits(dataset, data, tmp_path):
    whole = weights(matcher(dataset, data).run())
    part = matcher(dataset, data, checkpoint=tmp_path / "check.pt")

    def interrupt(done, error):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        part.run(interrupt)
    resumed = matcher(dataset, data, checkpoint=tmp_path / "check.pt")
    assert len(resumed.history) == 3
    assert torch.equal(weights(resumed.run()), whole)


def test_a_checkpoint_is_of_one_fit(dataset, data, tmp_path):
    matcher(dataset, data, checkpoint=tmp_path / "check.pt").run()
    with pytest.raises(SettingsError, match="other settings or data"):
        matcher(dataset, data, replace(CONFIG, seed=1), checkpoint=tmp_path / "check.pt")
    with pytest.raises(SettingsError, match="other settings or data"):
        matcher(dataset, (data[0], 2 * data[1], data[2]), checkpoint=tmp_path / "check.pt")
    (tmp_path / "check.pt").write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match="remove it"):
        matcher(dataset, data, checkpoint=tmp_path / "check.pt")


def test_what_does_not_fit_is_refused(dataset, data):
    beads, forces, runs = data
    with pytest.raises(DataError, match="as many of each"):
        matcher(dataset, (beads, forces[1:], runs))
    with pytest.raises(DataError, match="NaN"):
        matcher(dataset, (beads, np.where(beads > 0, np.nan, forces), runs))
    with pytest.raises(SettingsError, match="epochs=0"):
        replace(CONFIG, epochs=0)


def test_errors_by_hand():
    """Two runs of one frame each, one bead: gains of 4 - 1 = 3 and 16 - 9 = 7 a component."""
    reference = np.array([[[1.0, 1, 1]], [[2.0, 2, 2]]])
    off = np.array([[[1.0]], [[3.0]]])
    found = force_error(reference, reference + off + 1, reference + off, np.array([0, 1]))
    assert (found.reference, found.tabulated, found.learned, found.runs) == (2.5, 10, 5, 2)
    assert found.standard_error == pytest.approx(2)
