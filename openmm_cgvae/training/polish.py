"""Training of the decoder on samples of the prior, to improve their local geometry."""

import math

import torch

from openmm_cgvae.training.fit import Fit
from openmm_cgvae.training.losses import geometry_loss
from openmm_cgvae.training.posterior import encode_frames, noise_like

__all__ = ["polish_decoder"]

BATCH = 32
LEARNING_RATE = 5e-4
# Updates over which the learning rate rises, before it falls to zero.
WARM_UP = 20
EMA_DECAY = 0.98


def polish_decoder(model, x, reconstruction, updates, weight, seed=0, on_update=None, seconds=math.inf):
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
    seconds : float
        End after this, with a learning rate that has fallen to zero by then.
    """
    generator = torch.Generator().manual_seed(seed)
    model.eval()
    posterior = encode_frames(model, x)
    parts = [part for part in (model.decoder, model.refinement) if part is not None]
    fit = Fit(parts, updates, LEARNING_RATE, EMA_DECAY, WARM_UP, seconds)
    while not fit.done:
        rows = posterior.draw_rows(BATCH, generator)
        X, z = posterior.sample(rows, generator)
        with torch.no_grad():
            sampled = model.prior(X, noise_like(z, generator))
        encoded, decoded = model.decode(torch.cat([X, X]), torch.cat([z, sampled])).split(BATCH)
        fit.update(reconstruction(encoded, x[rows]) + weight * geometry_loss(model.bounds, decoded))
        if on_update is not None:
            on_update()
    fit.parts.load_state_dict(fit.averaged.state_dict())
