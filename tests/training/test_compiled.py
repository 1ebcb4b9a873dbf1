import shutil
from dataclasses import replace

import pytest
import torch
from conftest import TINY

from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.models.config import TrainingConfig
from openmm_cgvae.training import Trainer

# All 125 training frames in one batch, and few layers: torch compiles every size and layer for half a minute.
SMALL = replace(TINY, handed=False, decoder_layers=1)
CONFIG = TrainingConfig(epochs=3, batch_size=125, learning_rate=3e-3, prior_updates=2, posterior_steps=2)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch compiles with a C++ compiler")
def test_a_compiled_training_goes_as_one_that_is_not(dataset, tmp_path):
    models, losses = [], []
    for compiled in (False, True):
        trainer = Trainer(dataset, tmp_path / str(compiled), SMALL, CONFIG, compiled=compiled)
        models.append(trainer.run(progress=False).state_dict())
        losses.append([trainer.validate()[name] for name in ("val_msd", "val_graph", "val_kl", "val_flow")])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    for name, value in models[0].items():
        torch.testing.assert_close(models[1][name], value, rtol=1e-2, atol=1e-3)


def test_without_a_compiler_the_error_says_what_to_do_and_leaves_nothing(dataset, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(SettingsError, match=r"RuntimeError\): install a C\+\+ compiler such as g\+\+, or leave it out"):
        Trainer(dataset, tmp_path / "run", TINY, CONFIG, compiled=True)
    assert not (tmp_path / "run").exists()
