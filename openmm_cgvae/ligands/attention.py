"""Aggregated Attention: channel selection for beads of any size."""

import math

import torch
from torch import nn

__all__ = ["AggregatedAttention"]


class AggregatedAttention(nn.Module):
    """Every atom takes a mean of its bead's latent vectors, weighted by a softmax of their products with its place.

    One head with an embedding dimension of three: the query of atom i is its place r_i from the centre of its bead in
    the approximate conformer, keys and values are the latent channels z_f of that bead,

        u_i = sum_f softmax_f(r_i . z_f / sqrt(3)) z_f.

    It has no weights, and products of vectors do not change under rotation, so that u_i turns with r and z.
    """

    def __init__(self):
        super().__init__()
        self.scale = 1.0 / math.sqrt(3.0)

    def forward(self, queries: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """Select.

        Parameters
        ----------
        queries : Tensor, shape (n, 3)
            Angstrom.
        latents : Tensor, shape (n, 3, F)
            Of each atom's bead.

        Returns
        -------
        Tensor, shape (n, 3)
        """
        scores = torch.bmm(queries.unsqueeze(1), latents) * self.scale
        return torch.bmm(latents, torch.softmax(scores, dim=2).transpose(1, 2)).squeeze(2)
