"""Updates of parts of a model: the schedule, the clipping and the average, by hand."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from openmm_cgvae.training.fit import Fit


class Number(nn.Module):
    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(1, dtype=torch.float64))


def fitted(updates, slope=1.0, **settings):
    """Values after each of so many updates down a slope, and the `Fit`."""
    number = Number()
    fit, values = Fit([number], updates, learning_rate=0.1, **{"ema_decay": 0.5, **settings}), [0.0]
    for _ in range(updates):
        fit.update(slope * number.value.sum())
        values.append(number.value.item())
    return values, fit


def test_steps_fall_as_a_cosine_to_zero():
    """Adam moves by the learning rate where the gradient is always the same."""
    values, _ = fitted(4)
    rates = [0.1 * 0.5 * (1 + math.cos(math.pi * k / 4)) for k in range(4)]
    steps = [before - after for before, after in pairwise(values)]
    assert steps == pytest.approx(rates, rel=1e-5)


def test_steps_rise_first_where_asked():
    values, _ = fitted(100, warm_up=2)
    assert values[0] - values[1] == pytest.approx(0.05, rel=1e-5)
    assert values[1] - values[2] == pytest.approx(0.1, rel=1e-3)


def test_gradients_beyond_the_clip_are_shortened():
    _, fit = fitted(1, slope=100.0)
    assert fit.parts[0].value.grad.item() == pytest.approx(1.0, rel=1e-5)


def test_the_average_is_kept_beside_the_weights():
    values, fit = fitted(3, ema_decay=0.5)
    average = values[1]  # The first update is taken over as it is.
    for value in values[2:]:
        average = 0.5 * average + 0.5 * value
    assert fit.averaged[0].value.item() == pytest.approx(average)
    assert fit.parts[0].value.item() == values[-1]


def test_time_that_is_over_ends_it_with_small_steps():
    number = Number()
    fit, moved = Fit([number], 10**9, learning_rate=0.1, ema_decay=0.5, seconds=0.3), []
    while not fit.done:
        before = number.value.item()
        fit.update(number.value.sum())
        moved.append(before - number.value.item())
    assert moved[0] == pytest.approx(0.1, rel=0.05)
    assert moved[-1] < 0.02
