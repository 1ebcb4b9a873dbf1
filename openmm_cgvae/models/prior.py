"""The priors p(z | X): the paper's diagonal Gaussian, and a conditional flow-matching prior."""

import math

import torch
from torch import nn

from openmm_cgvae.models.config import ModelConfig
from openmm_cgvae.models.layers import BeadConvolution, RadialBasis, mlp, signed_volumes
from openmm_cgvae.models.spec import MoleculeSpec

__all__ = ["FlowPrior", "GaussianPrior"]

# Momentum of the running mean and scale by which the flow standardises latents.
LATENT_MOMENTUM = 0.01
# Standard deviations beyond which the flow is not followed: it was trained to about 4, and explodes outside.
REACH = 6.0
# Half the distance in Angstrom over which the gain is a finite difference.
GAIN_STEP = 1e-3


class BeadVolumes(nn.Module):
    """One signed volume a bead, which distances between beads cannot give; zero for fewer than 4 beads."""

    def __init__(self, spec: MoleculeSpec):
        super().__init__()
        self.register_buffer("frames", torch.tensor(spec.bead_frames))

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Beads (B, N, 3) in Angstrom to (B, N)."""
        if self.frames.shape[0] == 0:
            return torch.zeros(X.shape[0], X.shape[1], dtype=X.dtype, device=X.device)
        f = self.frames
        return signed_volumes(X, X[:, f[:, 0]], X[:, f[:, 1]], X[:, f[:, 2]])


class GaussianPrior(nn.Module):
    """N(mu(X), sigma(X)) a bead, by message passing from the bead's composition (paper, section 4.2)."""

    def __init__(self, spec: MoleculeSpec, config: ModelConfig):
        super().__init__()
        n_types = int(spec.atom_types.max()) + 1
        composition = torch.zeros(spec.n_beads, n_types)
        index = (torch.as_tensor(spec.assignment), torch.as_tensor(spec.atom_types))
        composition.index_put_(index, torch.ones(spec.n_atoms), accumulate=True)
        self.register_buffer("composition", composition)
        self.fingerprint = nn.Linear(n_types + 1, config.features)
        self.volumes = BeadVolumes(spec)
        self.radial = RadialBasis(config.radial, config.bead_cutoff_angstrom)
        self.layers = nn.ModuleList(
            [BeadConvolution(config.features, config.radial, config.activation) for _ in range(config.prior_layers)]
        )
        latent = config.latent or config.features
        self.mean = mlp(config.features, config.features, latent, config.activation)
        self.log_variance = mlp(config.features, config.features, latent, config.activation)

    def parameters_of(self, X):
        # type: (Tensor) -> tuple[Tensor, Tensor]
        """Mean and log-variance, each (B, N, latent), from beads (B, N, 3) in Angstrom.

        Distances and volumes are taken in the precision of the beads, the rest is done in that of the weights.
        """
        rbf, _, neighbours = self.radial.graph(X, self.composition.dtype)
        composition = self.composition.expand(X.shape[0], -1, -1)
        volumes = self.volumes(X).to(composition.dtype).unsqueeze(-1)
        H = self.fingerprint(torch.cat([composition, volumes], dim=-1))
        for layer in self.layers:
            H = layer(H, rbf, neighbours)
        return self.mean(H), self.log_variance(H).clamp(-12.0, 6.0)

    def forward(self, X: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Turn unit Gaussian noise (B, N, latent) into a sample of the same shape."""
        mean, log_variance = self.parameters_of(X)
        return mean + torch.exp(0.5 * log_variance) * noise


class FlowPrior(nn.Module):
    """A flow from noise to the posterior's latents, given the invariants of the beads.

    Trained by conditional flow matching with straight paths: v((1-t) z0 + t z1, t, X) is fitted to z1 - z0 for
    noise z0 and (standardised) posterior samples z1 (Lipman et al., 2023; Tong et al., 2024). The condition is all
    bead distances and one signed volume a bead, hence invariant under rotation and translation, not reflection.
    """

    def __init__(self, spec: MoleculeSpec, config: ModelConfig):
        super().__init__()
        self.n_steps, self.reach = config.flow_steps, REACH
        n_latent = spec.n_beads * (config.latent or config.features)
        first, second = torch.triu_indices(spec.n_beads, spec.n_beads, 1)
        self.register_buffer("first", first)
        self.register_buffer("second", second)
        self.volumes = BeadVolumes(spec)
        n_condition = len(first) + spec.n_beads
        self.register_buffer("condition_mean", torch.zeros(n_condition))
        self.register_buffer("condition_scale", torch.ones(n_condition))
        self.register_buffer("latent_mean", torch.zeros(n_latent))
        self.register_buffer("latent_scale", torch.ones(n_latent))
        self.register_buffer("frequencies", math.pi * torch.arange(1, 5), persistent=False)
        width = config.flow_width
        self.embed = mlp(n_condition, width, width)
        self.enter = nn.Linear(n_latent + 8, width)
        self.blocks = nn.ModuleList([mlp(width, width, width) for _ in range(config.flow_layers)])
        self.leave = nn.Linear(width, n_latent)

    def raw_condition(self, X: torch.Tensor) -> torch.Tensor:
        """Beads (B, N, 3) in Angstrom to invariants (B, C), not standardised."""
        distance = torch.sqrt((X[:, self.first] - X[:, self.second]).square().sum(-1) + 1e-8)
        return torch.cat([distance, self.volumes(X)], dim=-1)

    def condition(self, X: torch.Tensor) -> torch.Tensor:
        """Beads (B, N, 3) in Angstrom to an embedding (B, width).

        The invariants are taken in the precision of the beads: what is left of a rotation's rounding would be
        amplified where the flow divides its paths.
        """
        raw = self.raw_condition(X).to(self.condition_mean.dtype)
        standardised = (raw - self.condition_mean) / self.condition_scale
        return self.embed(standardised.clamp(-self.reach, self.reach))

    def velocity(self, z: torch.Tensor, t: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Velocity (B, N * latent) at z (B, N * latent) and times t (B, 1)."""
        phase = t * self.frequencies.to(z.dtype)
        h = self.enter(torch.cat([z, torch.sin(phase), torch.cos(phase)], dim=-1)) + condition
        for block in self.blocks:
            h = h + block(h)
        return self.leave(torch.nn.functional.silu(h))

    @torch.jit.unused
    def calibrate(self, X: torch.Tensor) -> None:
        """Standardise the condition by the mean and spread over training beads (frames, N, 3) in Angstrom."""
        raw = self.raw_condition(X)
        self.condition_mean.copy_(raw.mean(0))
        self.condition_scale.copy_(raw.std(0).clamp_min(1e-3))

    @torch.jit.unused
    def matching_loss(self, X: torch.Tensor, z: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Conditional flow-matching loss at posterior samples z (B, N, latent), which get no gradient."""
        z = z.reshape(z.shape[0], -1)
        if self.training:
            self.latent_mean.lerp_(z.mean(0), LATENT_MOMENTUM)
            self.latent_scale.lerp_(z.std(0), LATENT_MOMENTUM)
        end = (z - self.latent_mean) / self.latent_scale
        start = torch.randn(z.shape, generator=generator).to(z)
        t = torch.rand(z.shape[0], 1, generator=generator).to(z)
        velocity = self.velocity((1 - t) * start + t * end, t, self.condition(X))
        return (velocity - (end - start)).square().mean()

    @torch.jit.unused
    def gain(self, X: torch.Tensor, noise: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        """How far samples move with the beads, in standardised latents (root mean square) per Angstrom.

        Parameters
        ----------
        X : Tensor, shape (B, N, 3)
            Beads in Angstrom.
        noise : Tensor, shape (B, N, latent)
        direction : Tensor, shape (B, N, 3)
            Along which the beads move.

        Returns
        -------
        Tensor, shape (B,)
        """
        move = GAIN_STEP * direction
        change = (self(X + move, noise) - self(X - move, noise)).flatten(1) / self.latent_scale
        # The small term gives a finite gradient where nothing moves.
        return torch.sqrt(change.square().mean(1) + 1e-12) / (2 * GAIN_STEP)

    def forward(self, X: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Carry unit Gaussian noise (B, N, latent) to a sample of the same shape, by Heun's method."""
        condition = self.condition(X)
        z = noise.reshape(noise.shape[0], -1)
        t = torch.zeros(z.shape[0], 1, dtype=z.dtype, device=z.device)
        dt = 1.0 / self.n_steps
        for _ in range(self.n_steps):
            start = self.velocity(z, t, condition)
            end = self.velocity(z + dt * start, t + dt, condition)
            z = (z + (0.5 * dt) * (start + end)).clamp(-self.reach, self.reach)
            t = t + dt
        return (z * self.latent_scale + self.latent_mean).reshape(noise.shape)
