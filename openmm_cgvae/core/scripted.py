"""Modules in pickles: TorchScript, which has no pickle of its own, as the bytes of its file."""

import io

__all__ = ["pickled_module", "unpickled_module"]


def pickled_module(module):
    """Return what to pickle in place of a module: bytes of TorchScript, anything else as it is."""
    import torch

    if not isinstance(module, torch.jit.ScriptModule):
        return module
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    return buffer.getvalue()


def unpickled_module(pickled, device="cpu"):
    """Return the module that `pickled_module` took."""
    if not isinstance(pickled, bytes):
        return pickled
    import torch

    from openmm_cgvae.core.device import usable_device

    return torch.jit.load(io.BytesIO(pickled), usable_device(device)).eval()
