"""The losses of the paper (Eq. 1 and section 4.4), lengths in Angstrom."""

import torch

__all__ = ["geometry_loss", "graph_loss", "kl_divergence", "match_hydrogens", "msd_loss"]


def msd_loss(predicted, reference):
    """Mean squared displacement: 1/n sum_i |x~_i - x_i|^2, averaged over the batch; tensors (B, n, 3)."""
    return (predicted - reference).square().sum(-1).mean()


def graph_loss(predicted, reference, pairs):
    """Mean squared error of the distances of `pairs` (p, 2), averaged over the batch; tensors (B, n, 3)."""

    def lengths(x):
        return torch.sqrt((x[:, pairs[:, 0]] - x[:, pairs[:, 1]]).square().sum(-1) + 1e-8)

    return (lengths(predicted) - lengths(reference)).square().mean()


def geometry_loss(bounds, x):
    """Violation of the training frames' local geometry in Angstrom, summed over bounds, by the number of atoms.

    It needs no reference, and so serves for decodes of prior samples.

    Parameters
    ----------
    bounds : BoundsProjection
        Calibrated.
    x : Tensor, shape (B, n, 3)
    """
    shape, gradient = bounds.measure_shapes(x)
    # Convert a shape violation to an atom displacement; the gradient of the slope is not followed.
    slope = gradient.square().sum((1, 3)).add(1e-2).sqrt().detach()
    local = bounds.length_errors(bounds.lengths(x)).abs().sum() + (bounds.shape_errors(shape).abs() / slope).sum()
    with torch.no_grad():
        contacts, closest = bounds.contact_list(x)
    overlap = (closest - bounds.separations(x, contacts)).clamp_min(0.0).sum()
    return (local + overlap) / (x.shape[0] * x.shape[1])


def kl_divergence(mean, log_variance, prior_mean=None, prior_log_variance=None):
    """KL(q || p) of diagonal Gaussians in nats, summed over channels, averaged over beads and batch.

    1/2 sum [log s_p^2 - log s_q^2 + (s_q^2 + (m_q - m_p)^2) / s_p^2 - 1], p a unit Gaussian where none is given.

    Parameters
    ----------
    mean, log_variance, prior_mean, prior_log_variance : Tensor, shape (B, N, latent)
    """
    if prior_mean is None:
        prior_mean, prior_log_variance = torch.zeros_like(mean), torch.zeros_like(mean)
    ratio = (log_variance.exp() + (mean - prior_mean).square()) / prior_log_variance.exp()
    return 0.5 * (prior_log_variance - log_variance + ratio - 1.0).sum(-1).mean()


def match_hydrogens(predicted, reference, groups):
    """Relabel equivalent hydrogens of the reference to be closest to the prediction.

    Only the cyclic relabellings of each XH3 group are tried, since these keep handedness.

    Parameters
    ----------
    predicted, reference : Tensor, shape (B, n, 3)
    groups : Tensor, shape (g, 3)
        Atom indices of the hydrogens of each group.

    Returns
    -------
    Tensor, shape (B, n, 3)
    """
    if groups.shape[0] == 0:
        return reference
    own = predicted.detach()[:, groups]
    given = reference[:, groups]
    shifted = torch.stack([given.roll(k, dims=2) for k in range(3)], dim=2)
    cost = (shifted - own.unsqueeze(2)).square().sum((-1, -2))
    best = cost.argmin(2)[:, :, None, None, None].expand(-1, -1, 1, 3, 3)
    chosen = shifted.gather(2, best).squeeze(2)
    matched = reference.clone()
    matched[:, groups.reshape(-1)] = chosen.reshape(chosen.shape[0], -1, 3)
    return matched
