"""Selection of the torch device."""

import torch

from openmm_cgvae.core.errors import SettingsError

__all__ = ["usable_device"]


def usable_device(device):
    """Return a ``torch.device`` that is there.

    Raises
    ------
    SettingsError
        If there is no such device on this machine.
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"device {device!r} cannot be used here: 'cpu', or 'cuda' with a GPU, is expected"
        ) from error
    return found
