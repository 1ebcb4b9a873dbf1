"""The posterior of a trained encoder on many frames, and of its decoder: latents to draw without encoding again."""

from typing import NamedTuple

import torch

__all__ = ["Posterior", "encode_frames", "noise_like", "sharpened"]

# Frames encoded at once.
CHUNK = 1024
# Frames that descend at once, and the first step of Adam in standard deviations of the latents.
DESCENT_CHUNK, DESCENT_STEP = 256, 0.03


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


def sharpened(posterior, model, x, reconstruction, steps, on_frames=None):
    """Move a posterior's means to where the decoder gives back the frames better.

    What an encoder can do for all frames at once is less than can be done for each: it leaves errors that fluctuate
    less than the atoms, and a prior fitted to its means inherits that. Here every mean goes down its own frame's error
    for a few steps (semi-amortised inference; Kim et al., ICML 2018). It stays near, and follows its frame smoothly.

    Parameters
    ----------
    posterior : Posterior
    model : CGVAE
        Encoder, decoder and refinement are not changed.
    x : Tensor, shape (frames, n, 3)
        The posterior's frames in Angstrom.
    reconstruction : callable
        Mean error of decoded frames against their frames, each (B, n, 3).
    steps : int
        Of Adam, from `DESCENT_STEP` falling to nothing; 0 leaves the posterior as it is.
    on_frames : callable, optional
        Called with the number of frames that have arrived, to show progress.

    Returns
    -------
    Posterior
    """
    if steps == 0:
        return posterior
    unit = posterior.mean.std(0).clamp_min(1e-6)
    arrived = []
    for beads, mean, frames in zip(*(part.split(DESCENT_CHUNK) for part in (*posterior[:2], x)), strict=True):
        z = (mean / unit).requires_grad_()
        optimizer = torch.optim.Adam([z], lr=DESCENT_STEP, betas=(0.8, 0.95))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            # Summed over frames, so that the step of a frame does not depend on the batch size.
            error = len(z) * reconstruction(model.decode(beads, z * unit), frames)
            (z.grad,) = torch.autograd.grad(error, z)
            optimizer.step()
            schedule.step()
        arrived.append(z.detach() * unit)
        if on_frames is not None:
            on_frames(len(z))
    return posterior._replace(mean=torch.cat(arrived))


def noise_like(values, generator):
    """Unit Gaussian noise of the shape of `values`, drawn on the CPU: the same on every device."""
    return torch.randn(values.shape, generator=generator).to(values)
