"""Numbers out of range are refused in one wording, numbers in range come back in OpenMM's units."""

import math
import re
from dataclasses import fields
from importlib import import_module

import numpy as np
import pytest
from openmm import unit

from openmm_cgvae.core.checks import checked_count, checked_frames, checked_number, checked_seed
from openmm_cgvae.core.errors import SettingsError


def test_numbers_come_with_and_without_units():
    assert checked_number("timeStep", 2 * unit.femtoseconds) == pytest.approx(0.002)
    assert checked_number("timeStep", np.float32(0.5)) == 0.5
    assert checked_number("equilibration", 0, zero=True) == 0.0


@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf, "warm", None, [1, 2]])
def test_what_is_no_number_above_0_is_refused(value):
    with pytest.raises(SettingsError, match=r"temperature=.* given: a number above 0 in K is expected"):
        checked_number("temperature", value, "K")


def test_counts_are_whole():
    assert checked_count("copies", np.int64(3)) == 3
    for value in (0, 1.5, -2):
        with pytest.raises(SettingsError, match=f"copies={value} given"):
            checked_count("copies", value)


def test_seeds_are_drawn_or_64_bits():
    assert checked_seed(2**64 - 1) == 2**64 - 1
    assert checked_seed(None) != checked_seed(None)
    for seed in (-1, 2**64):
        with pytest.raises(SettingsError, match="from 0 to"):
            checked_seed(seed)


def test_frames_are_numbered_or_checked():
    np.testing.assert_array_equal(checked_frames(None, 3), [0, 1, 2])
    np.testing.assert_array_equal(checked_frames([7, 2**31], 2, bits=32), [7, 2**31])
    for frames in ([0, 1], [-1, 0, 1], [0, 1, 2**32]):
        with pytest.raises(SettingsError, match="for each of 3 frames"):
            checked_frames(frames, 3, bits=32)


CONFIGS = {
    "models.config": ("ModelConfig", "TrainingConfig"), "training.proteinconfig": ("ProteinConfig",),
    "cg.forcematching": ("ForceMatchingConfig",), "training.baselines": ("BaselineConfig",),
    "preparation.reference": ("ReferenceProtocol",), "ensembles.torsionconfig": ("TorsionConfig",),
    "ensembles.coarseconfig": ("CoarsenConfTraining",),
}  # fmt: skip


@pytest.mark.parametrize(("module", "name"), [(m, name) for m, names in CONFIGS.items() for name in names])
def test_every_setting_of_every_configuration_is_held_against_its_type(module, name):
    config = getattr(import_module(f"openmm_cgvae.{module}"), name)
    usual = config()
    for field in fields(config):
        value = getattr(usual, field.name)
        if isinstance(value, tuple):
            continue
        kind = float if value is None else type(value)
        wrong = {bool: (1, "yes"), int: (1.5, math.nan, "1", True), float: ("1", math.inf, math.nan, True), str: (1.5,)}
        for given in wrong[kind]:
            with pytest.raises(SettingsError, match=f"{field.name}={re.escape(repr(given))} given"):
                config(**{field.name: given})
        if kind is int and value > 0:
            taken = getattr(config(**{field.name: float(value)}), field.name)
            assert (type(taken), taken) == (int, value)
    if hasattr(usual, "seed"):
        with pytest.raises(SettingsError, match="seed=-1 given"):
            config(seed=-1)
