"""Teach a trained decoder sound local geometry where the prior leads and the posterior never did."""

import math

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from openmm_cgvae.training.losses import geometry_loss
from openmm_cgvae.training.posterior import encode_frames, noise_like

__all__ = ["polish_decoder"]

BATCH = 32
LEARNING_RATE = 5e-4
# Updates over which the learning rate rises, before it falls to zero.
WARM_UP = 20
EMA_DECAY = 0.98


def polish_decoder(model, x, reconstruction, updates, weight, seed=0, on_update=None):
    """Train decoder and refinement further, alone, on latents of the posterior and samples of the prior.

    A sample of the prior has no structure to compare with, but its bonds, angles, chiral centres and contacts have
    ranges, which `geometry_loss` holds it to. Encoder and prior stay as they are, hence also the latents.

    Parameters
    ----------
    model : CGVAE
        Changed in place.
    x : Tensor, shape (frames, n, 3)
        Training frames in Angstrom, about any origin close to them.
    reconstruction : callable
        Loss of decoded posterior samples against their frames, each (B, n, 3).
    updates : int
    weight : float
        Of the geometry loss of decoded prior samples.
    seed : int
        Of batches and noise.
    on_update : callable, optional
        Called without arguments after every update, to show progress.
    """
    generator = torch.Generator().manual_seed(seed)
    model.eval()
    posterior = encode_frames(model, x)
    parts = [part for part in (model.decoder, model.refinement) if part is not None]
    averages = [AveragedModel(part, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY)) for part in parts]
    parameters = [parameter for part in parts for parameter in part.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda k: min(1.0, (k + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * k / updates))
    )
    for _ in range(updates):
        rows = posterior.draw_rows(BATCH, generator)
        X, z = posterior.sample(rows, generator)
        with torch.no_grad():
            sampled = model.prior(X, noise_like(z, generator))
        encoded, decoded = model.decode(torch.cat([X, X]), torch.cat([z, sampled])).split(BATCH)
        loss = reconstruction(encoded, x[rows]) + weight * geometry_loss(model.bounds, decoded)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        scheduler.step()
        for average, part in zip(averages, parts, strict=True):
            average.update_parameters(part)
        if on_update is not None:
            on_update()
    for average, part in zip(averages, parts, strict=True):
        part.load_state_dict(average.module.state_dict())
