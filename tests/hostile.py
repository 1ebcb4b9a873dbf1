"""A model file whose TorchScript does something when it is loaded."""

import torch
from torch import nn

from openmm_cgvae.io.modelfile import ModelFile


class OverwritesWhenLoaded(nn.Module):
    """Writes to a file that it maps to memory, as soon as torch loads it."""

    def __init__(self, path):
        super().__init__()
        self.path: str = str(path)
        self.latent, self.bounded, self.mapped = 8, False, torch.zeros(1)

    def forward(self, beads: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return beads

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]):
        self.path, self.training = state
        self.latent, self.bounded = 8, False
        # Kept: torch leaves out what has no use.
        self.mapped = torch.from_file(self.path, True, 8, dtype=torch.uint8).fill_(65)


def with_module(model_path, target, module):
    """A model file that is right in every respect but its TorchScript."""
    file = ModelFile.load(model_path)
    file.module = torch.jit.script(module)
    file.save(target)
    return target
