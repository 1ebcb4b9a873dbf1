"""The moving average of weights, by hand."""

import pytest
import torch
from torch import nn

from openmm_cgvae.training.average import moving_average


def average_of_numbers(count, decay):
    """The average of a weight of 0, 1, 2, ... after so many updates."""
    number = nn.Linear(1, 1, bias=False).double()
    average = moving_average(number, decay)
    for k in range(count):
        nn.init.constant_(number.weight, k)
        average.update_parameters(number)
    return average.module.weight.item()


def test_the_beginning_is_forgotten():
    """With 0.999 from the start the average of 100 numbers would be below 5."""
    expected = 0.0
    for k in range(1, 100):
        decay = min(0.999, (1 + k) / (10 + k))
        expected = decay * expected + (1 - decay) * k
    assert average_of_numbers(100, 0.999) == pytest.approx(expected)
    assert expected > 85


def test_in_the_end_the_decay_is_the_one_asked_for():
    # Half of each new number is as far behind as one update.
    assert average_of_numbers(60, 0.5) == pytest.approx(58)
    with torch.no_grad():
        assert average_of_numbers(20_000, 0.999) == pytest.approx(19_999 - 999, rel=1e-3)
