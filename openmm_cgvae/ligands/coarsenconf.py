"""CoarsenConf (Reidenbach and Krishnapriyan, 2023): a hierarchical SE(3)-equivariant VAE of any small molecule."""

from dataclasses import dataclass

import torch
from torch import nn

from openmm_cgvae.core.checks import check_ranges, check_types
from openmm_cgvae.geometry.superposition import fitted
from openmm_cgvae.ligands.autoregression import AutoregressiveDecoder
from openmm_cgvae.ligands.coarsegraph import N_AXES, CoarseGraph, bead_axes, placed_beads  # noqa: F401 (in type comments)
from openmm_cgvae.ligands.hierarchy import HierarchicalEncoder
from openmm_cgvae.models.layers import mlp

__all__ = ["CoarsenConf", "CoarsenConfConfig"]

# Of log-variances.
LOWEST, HIGHEST = -10.0, 2.0


@dataclass(frozen=True)
class CoarsenConfConfig:
    """Size of a `CoarsenConf`.

    Parameters
    ----------
    features, channels : int
        Scalars and vectors of every atom and bead.
    latent : int
        F: vectors of a bead's latent, Z (N, F, 3).
    encoder_layers, decoder_layers : int
    radial : int
        Radial functions.
    atom_cutoff, bead_cutoff : float
        Angstrom.
    """

    features: int = 40
    channels: int = 8
    latent: int = 8
    encoder_layers: int = 2
    decoder_layers: int = 3
    radial: int = 8
    atom_cutoff: float = 4.0
    bead_cutoff: float = 10.0

    def __post_init__(self):
        check_types(self)
        sizes = ("features", "channels", "latent", "encoder_layers", "decoder_layers", "radial")
        check_ranges(self, positive=(*sizes, "atom_cutoff", "bead_cutoff"))


def superposed(graph, x, approximate):
    # type: (CoarseGraph, Tensor, Tensor) -> Tensor
    """Molecules (n, 3) laid onto the approximate conformers (n, 3)."""
    return fitted(x, approximate, graph.owner.index_select(0, graph.bead), int(graph.owner.max()) + 1)


class LatentHead(nn.Module):
    """Mean (N, 3, F) and log-variance (N, F) of latents: of a vector the same variance along every axis."""

    def __init__(self, features: int, channels: int, latent: int):
        super().__init__()
        self.mix = nn.Linear(channels, latent, bias=False)
        self.norm = nn.LayerNorm(features)
        self.node = mlp(features, features, 2 * latent)
        self.lowest, self.highest = LOWEST, HIGHEST

    def forward(self, H, V):
        # type: (Tensor, Tensor) -> tuple[Tensor, Tensor]
        gate, log_variance = self.node(self.norm(H)).chunk(2, dim=1)
        return self.mix(V) * (1.0 + gate).unsqueeze(1), log_variance.clamp(self.lowest, self.highest)


class CoarsenConf(nn.Module):
    """p(x | R): ``model.sample(graph, approximate, noise)``; lengths in Angstrom.

    Latents are given in the frame of the approximate conformer R, bead by bead: what the posterior says of a bead
    is turned back by the rotation that lays R onto what is built before that bead. So the pose of the truth does
    not matter, and posterior and prior, which sees R alone, can be compared.

    Parameters
    ----------
    config : CoarsenConfConfig
    n_fields : int
        Rows of the table of atom features (`openmm_cgvae.ligands.coarsening.N_ROWS`).
    """

    def __init__(self, config: CoarsenConfConfig, n_fields: int):
        super().__init__()
        F, C, d = config.features, config.channels, config.latent
        sizes = (F, C, config.encoder_layers, config.radial, config.atom_cutoff, config.bead_cutoff)
        self.embedding = nn.EmbeddingBag(n_fields, F, mode="sum")
        self.axes = nn.Linear(N_AXES, C, bias=False)
        self.condition = HierarchicalEncoder(*sizes)
        self.prior_head = LatentHead(F, C, d)
        self.posterior = HierarchicalEncoder(*sizes)
        self.known = nn.Linear(F, F)
        self.carried = nn.Linear(C + N_AXES + 1, C, bias=False)
        self.posterior_head = LatentHead(F, C, d)
        self.decoder = AutoregressiveDecoder(F, C, d, config.decoder_layers, config.radial, config.atom_cutoff)
        self.latent = d

    def conditioned(self, graph, approximate):
        # type: (CoarseGraph, Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]
        """Scalars and vectors of atoms, (n, F) and (n, 3, C), and beads, from the approximate conformer alone."""
        h = self.embedding(graph.fields)
        return self.condition(h, self.axes(bead_axes(graph, approximate, approximate)), approximate, graph)

    @torch.jit.export
    def prior(self, graph, approximate):
        # type: (CoarseGraph, Tensor) -> tuple[Tensor, Tensor]
        """Mean (N, 3, F) and log-variance (N, F) of p(z | R)."""
        _, _, H, V = self.conditioned(graph, approximate)
        return self.prior_head(H, V)

    def encoded(self, graph, h, v, x, rotations, placed):
        # type: (CoarseGraph, Tensor, Tensor, Tensor, Tensor, Tensor) -> tuple[Tensor, Tensor]
        """Posterior of atoms x (n, 3), with what `conditioned` and `placed_beads` give."""
        turned = torch.bmm(rotations.transpose(1, 2).index_select(0, graph.bead), v)
        told = torch.cat([turned, bead_axes(graph, placed, x), (x - placed).unsqueeze(2)], dim=2)
        _, _, H, V = self.posterior(self.known(h), self.carried(told), x, graph)
        mean, log_variance = self.posterior_head(H, V)
        return torch.bmm(rotations, mean), log_variance

    @torch.jit.export
    def encode(self, graph, approximate, x):
        # type: (CoarseGraph, Tensor, Tensor) -> tuple[Tensor, Tensor]
        """Mean (N, 3, F) and log-variance (N, F) of q(z | x, R), of atoms x (n, 3) in any pose."""
        h, v, _, _ = self.conditioned(graph, approximate)
        x = superposed(graph, x, approximate)
        rotations, placed = placed_beads(graph, approximate, x, True)
        return self.encoded(graph, h, v, x, rotations, placed)

    def forced(self, graph, approximate, x, noise, moved):
        # type: (CoarseGraph, Tensor, Tensor, Tensor, Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
        """Rebuild all beads at once, each on the true ones before it (teacher forcing).

        Parameters
        ----------
        graph : CoarseGraph
        approximate, x : Tensor, shape (n, 3)
        noise : Tensor, shape (N, 3, F)
            By which the posterior is sampled.
        moved : Tensor, shape (n, 3)
            By how much what beads see of those before is away from x.

        Returns
        -------
        built : Tensor, shape (n, 3)
            In the frame of the approximate conformer.
        mean, log_variance, prior_mean, prior_log_variance : Tensor
        """
        h, v, H, V = self.conditioned(graph, approximate)
        prior_mean, prior_log_variance = self.prior_head(H, V)
        x = superposed(graph, x, approximate)
        seen = x + moved
        mean, log_variance = self.encoded(graph, h, v, x, *placed_beads(graph, approximate, x, True))
        z = mean + torch.exp(0.5 * log_variance).unsqueeze(1) * noise
        rotations, placed = placed_beads(graph, approximate, seen, True)
        rows = torch.arange(x.shape[0], device=x.device)
        built = self.decoder(graph, h, v, H, z, rotations, placed, seen, rows, rows)
        return built, mean, log_variance, prior_mean, prior_log_variance

    @torch.jit.export
    def decode(self, graph, approximate, z):
        # type: (CoarseGraph, Tensor, Tensor) -> Tensor
        """Latents (N, 3, F) to atoms (n, 3), bead after bead, in the frame of the approximate conformer."""
        h, v, H, _ = self.conditioned(graph, approximate)
        return self.built(graph, approximate, h, v, H, z)

    def built(self, graph, approximate, h, v, H, z):
        # type: (CoarseGraph, Tensor, Tensor, Tensor, Tensor, Tensor) -> Tensor
        """As `decode`, with what `conditioned` gives."""
        x = torch.zeros_like(approximate)
        step = graph.step.index_select(0, graph.bead)
        for number in range(int(step.max()) + 1):
            atoms, before = torch.nonzero(step == number)[:, 0], torch.nonzero(step < number)[:, 0]
            rotations, placed = placed_beads(graph, approximate, x, False)
            found = self.decoder(graph, h, v, H, z, rotations, placed, x, atoms, before)
            x = x.index_copy(0, atoms, found)
        return x

    @torch.jit.export
    def sample(self, graph, approximate, noise):
        # type: (CoarseGraph, Tensor, Tensor) -> Tensor
        """Sample the prior.

        Parameters
        ----------
        graph : CoarseGraph
        approximate : Tensor, shape (n, 3)
            Angstrom.
        noise : Tensor, shape (N, 3, F)
            Unit Gaussian.

        Returns
        -------
        Tensor, shape (n, 3)
            Angstrom, in the frame of the approximate conformer.
        """
        h, v, H, V = self.conditioned(graph, approximate)
        mean, log_variance = self.prior_head(H, V)
        return self.built(graph, approximate, h, v, H, mean + torch.exp(0.5 * log_variance).unsqueeze(1) * noise)

    def forward(self, graph, approximate, noise):
        # type: (CoarseGraph, Tensor, Tensor) -> Tensor
        """As `sample`."""
        return self.sample(graph, approximate, noise)
