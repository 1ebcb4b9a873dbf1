"""The posterior of a trained encoder on many frames, to draw latents from without encoding again."""

from typing import NamedTuple

import torch

__all__ = ["Posterior", "encode_frames", "noise_like"]

# Frames encoded at once.
CHUNK = 1024


class Posterior(NamedTuple):
    """Beads (frames, N, 3) in Angstrom, and mean and standard deviation (frames, N, latent) of q(z | x, X)."""

    beads: torch.Tensor
    mean: torch.Tensor
    deviation: torch.Tensor

    def sample(self, rows, generator):
        """Beads of the frames `rows`, and latents drawn for them."""
        mean = self.mean[rows]
        return self.beads[rows], mean + self.deviation[rows] * noise_like(mean, generator)

    def draw_rows(self, size, generator):
        """Numbers of `size` frames, drawn with replacement."""
        return torch.randint(len(self.beads), (size,), generator=generator).to(self.beads.device)


@torch.no_grad()
def encode_frames(model, x):
    """`Posterior` of frames (frames, n, 3) in Angstrom, about any origin close to them."""
    X = model.project(x)
    encoded = [model.encode(*part) for part in zip(x.split(CHUNK), X.split(CHUNK), strict=True)]
    mean, log_variance = (torch.cat(parts) for parts in zip(*encoded, strict=True))
    return Posterior(X, mean, torch.exp(0.5 * log_variance))


def noise_like(values, generator):
    """Unit Gaussian noise of the shape of `values`, drawn on the CPU: the same on every device."""
    return torch.randn(values.shape, generator=generator).to(values)
