"""The module of a model file: how many structures it decodes at once."""

from dataclasses import replace

import pytest
import torch
from conftest import TINY, untrained_model

from openmm_cgvae.models.export import ExportedModel


def exported(dataset, **settings):
    config = replace(TINY, features=64, **settings)
    return ExportedModel(untrained_model(dataset, config))


@pytest.mark.parametrize(
    ("settings", "numbers"),
    [({}, 6 * 64 * 3), ({"refinement_layers": 1, "refinement_width": 32}, 3 * 32 * 22)],
    ids=["decoder", "refinement"],
)
def test_the_largest_array_says_how_many_are_decoded_at_once(dataset, settings, numbers):
    module = exported(dataset, **settings)
    x = torch.zeros(2**18 // numbers + 1, 22, 3)
    assert [len(part) for part in module.parts(x)] == [2**18 // numbers, 1]


def test_parts_are_put_together_in_order(dataset):
    module = torch.jit.script(exported(dataset))
    beads = torch.as_tensor(dataset.spec.projection @ dataset.positions[:10]).float()
    noise = torch.randn(10, 3, module.latent, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole, decoded = module(beads, noise), module.reconstruct(torch.as_tensor(dataset.positions[:10]))
        module.cpu_numbers = 3 * module.numbers
        torch.testing.assert_close(module(beads, noise), whole, rtol=0, atol=1e-6)
        torch.testing.assert_close(
            module.reconstruct(torch.as_tensor(dataset.positions[:10])), decoded, rtol=0, atol=1e-6
        )
