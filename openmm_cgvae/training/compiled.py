"""Compilation of the training step with torch.compile."""

import logging

import torch

from openmm_cgvae.core.errors import SettingsError

__all__ = ["check_compiler", "compile_for_training"]

logger = logging.getLogger(__name__)


def check_compiler():
    """Raise an error early where torch.compile does not work.

    Raises
    ------
    SettingsError
        If there is no C++ compiler that torch can use.
    """
    try:
        torch.compile(torch.neg)(torch.ones(2))
    except Exception as error:
        raise SettingsError(
            f"compile was asked for, but torch cannot compile here ({type(error).__name__}): install a C++ compiler "
            "such as g++, or leave it out"
        ) from error


def compile_for_training(model):
    """Compile encoding and decoding of a `CGVAE`, in place, with their gradients.

    A step is made of many small operations, which then become few: with 22 atoms on 3 beads it takes two thirds, with
    175 on 6 half of the time (see benchmarks/training.py). The first takes two to four minutes, less where torch finds
    its compiled code of before. Results differ from those without by rounding. A copy of the model would still compute
    with this one's weights.
    """
    logger.info("compiling encoder and decoder in the first steps, some minutes")
    model.encode, model.decode = torch.compile(model.encode), torch.compile(model.decode)
