"""Flow-matching priors p(z | X): one network over all beads at once, or message passing between near ones."""

import math
from typing import NamedTuple

import torch
from torch import nn

from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.geometry.types import as_types, moments_by_type, n_types
from openmm_cgvae.models.config import ModelConfig
from openmm_cgvae.models.layers import RadialBasis, mlp, neighbour_sum, pair_filters
from openmm_cgvae.models.prior import BeadVolumes
from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["Flow", "FlowPrior", "LocalFlowPrior"]

# Momentum of the running mean and scale by which the flow standardises latents.
LATENT_MOMENTUM = 0.01
# Clamp, in standard deviations, for bead invariants and latents.
REACH = 6.0
# Half the distance in Angstrom over which the gain is a finite difference.
GAIN_STEP = 1e-3
# Number of frequencies that encode the time: sines and cosines of multiples of pi t.
FREQUENCIES = 4
# Widths are multiples of the CPU vector length. The remainder of a vectorised loop is rounded differently, so that
# other widths would make a sample depend on the batch.
VECTOR = 32


class Flow(nn.Module):
    """A flow from noise to the posterior's latents, given the invariants of the beads.

    Trained by conditional flow matching with straight paths: v((1-t) z0 + t z1, t, X) is fitted to z1 - z0 for
    noise z0 and (standardised) posterior samples z1 (Lipman et al., 2023; Tong et al., 2024). The condition is
    invariant under rotation and translation but not under reflection, because it holds signed volumes.

    A subclass gives `raw_condition`, `condition` and `velocity`.

    Parameters
    ----------
    spec : MoleculeSpec
    config : ModelConfig
    n_condition : int
        Invariants that are standardised by their spread in training.
    """

    def __init__(self, spec: MoleculeSpec, config: ModelConfig, n_condition: int):
        super().__init__()
        self.n_steps, self.reach = config.flow_steps, REACH
        # Heun's method in every step, as earlier models were sampled.
        self.heun = False
        self.volumes = BeadVolumes(spec)
        self.latent, n_rows = config.latent or config.features, n_types(spec.bead_types, spec.n_beads)
        self.register_buffer("condition_mean", torch.zeros(n_condition))
        self.register_buffer("condition_scale", torch.ones(n_condition))
        # Rows of bead types, one after the other.
        self.register_buffer("latent_mean", torch.zeros(n_rows * self.latent))
        self.register_buffer("latent_scale", torch.ones(n_rows * self.latent))
        self.register_buffer("latent_reach", torch.full((n_rows, 1), REACH))
        Flow.bind(self, spec)
        self.register_buffer("frequencies", math.pi * torch.arange(1, FREQUENCIES + 1), persistent=False)

    def bind(self, spec: MoleculeSpec) -> None:
        """Take another molecule, whose bead types the tables have."""
        self.volumes.bind(spec)
        self.register_buffer("bead_types", as_types(spec.bead_types, spec.n_beads), persistent=False)

    def of_beads(self, table: torch.Tensor) -> torch.Tensor:
        """Rows of a table of bead types, flat, for every bead: (N * columns,)."""
        return table.view(self.latent_reach.shape[0], -1).index_select(0, self.bead_types).flatten()

    def standardised(self, raw: torch.Tensor) -> torch.Tensor:
        """Invariants (B, C), taken in the precision of the beads, in units of their spread in training.

        In lower precision, the rounding of a rotation would be amplified where paths of the flow diverge.
        """
        mean, scale = self.condition_moments()
        return ((raw.to(mean.dtype) - mean) / scale).clamp(-self.reach, self.reach)

    def condition_moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and scale (C,) of the invariants of the beads."""
        return self.condition_mean, self.condition_scale

    def phases(self, t: torch.Tensor) -> torch.Tensor:
        """Times (B, 1) to (B, 2 FREQUENCIES)."""
        phase = t * self.frequencies.to(t.dtype)
        return torch.cat([torch.sin(phase), torch.cos(phase)], dim=-1)

    @torch.jit.unused
    def calibrate(self, X: torch.Tensor) -> None:
        """Standardise the condition by the mean and spread over training beads (frames, N, 3) in Angstrom."""
        raw, n = self.raw_condition(X), len(self.condition_mean)
        mean, variance = moments_by_type(raw, self.condition_types(), n)
        self.condition_mean.copy_(mean)
        self.condition_scale.copy_(variance.sqrt().clamp_min(1e-3))

    @torch.jit.unused
    def condition_types(self) -> torch.Tensor:
        """Row of each invariant in the tables of their moments, (C,)."""
        return torch.arange(len(self.condition_mean), device=self.condition_mean.device)

    @torch.jit.unused
    def observe(self, z: torch.Tensor) -> None:
        """Let the running moments of the latents follow posterior samples z (B, N, latent)."""
        if z.shape[0] < 2:
            # The last batch of an epoch may have one frame, which has no spread.
            return
        mean, variance = moments_by_type(z.detach(), self.bead_types, len(self.latent_reach))
        self.latent_mean.lerp_(mean.flatten(), LATENT_MOMENTUM)
        self.latent_scale.lerp_(variance.sqrt().flatten(), LATENT_MOMENTUM)

    @torch.jit.unused
    def standardise(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """Take the moments and the range of the latents from a whole posterior, each (frames, N, latent)."""
        types, n = self.bead_types, len(self.latent_reach)
        centre, variance = moments_by_type(mean, types, n)
        noise, _ = moments_by_type(deviation.square(), types, n)
        self.latent_mean.copy_(centre.flatten())
        self.latent_scale.copy_((variance + noise).sqrt().flatten())
        size = (mean - centre[types]).square() + deviation.square()
        size = (size / (variance + noise)[types]).mean(2).amax(0)
        self.latent_reach.copy_(
            torch.zeros_like(self.latent_reach[:, 0]).scatter_reduce(0, types, size, "amax").sqrt()[:, None]
        )

    @torch.jit.unused
    def matching_loss(self, X: torch.Tensor, z: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Conditional flow-matching loss at posterior samples z (B, N, latent), which get no gradient."""
        return self.path_loss(X, z, *self.draw_paths(z.shape[0], generator))

    @torch.jit.unused
    def draw_paths(self, n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw noise (n, N * latent) from which paths start, and times (n, 1) at which their velocity is fitted."""
        return torch.randn(n, len(self.bead_types) * self.latent, generator=generator), torch.rand(
            n, 1, generator=generator
        )

    @torch.jit.unused
    def path_loss(self, X: torch.Tensor, z: torch.Tensor, start: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """`matching_loss` for the paths and times from `draw_paths`."""
        end = (z.detach().flatten(1) - self.of_beads(self.latent_mean)) / self.of_beads(self.latent_scale)
        start, t = start.to(end), t.to(end)
        velocity = self.velocity((1 - t) * start + t * end, t, self.condition(X))
        return (velocity - (end - start)).square().mean()

    @torch.jit.unused
    def gain(self, X: torch.Tensor, noise: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        """Sensitivity of samples to the beads: root mean square change of standardised latents per Angstrom.

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
        change = (self(X + move, noise) - self(X - move, noise)).flatten(1) / self.of_beads(self.latent_scale)
        # The small term gives a finite gradient where nothing moves.
        return torch.sqrt(change.square().mean(1) + 1e-12) / (2 * GAIN_STEP)

    def shrinkage(self, z: torch.Tensor) -> torch.Tensor:
        """Return the factors (B, N * latent) that scale the latents back into the training range, 1 within it."""
        per_bead = z.unflatten(1, (self.bead_types.shape[0], -1))
        size = torch.sqrt(per_bead.square().mean(2, keepdim=True) + 1e-12)
        reach = self.latent_reach.index_select(0, self.bead_types)
        return (reach / size).clamp(max=1.0).expand_as(per_bead).flatten(1)

    def turned_back(self, velocity: torch.Tensor, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Limit the velocity so that its end point stays within the training latents.

        For straight paths the velocity points at the mean of the possible end points, so in training it never leaves
        their range. For beads unlike those of training the network is unconstrained, and the decoder makes no sound
        structure of latents outside the range.
        """
        left = 1.0 - t
        kept = self.shrinkage(z + left * velocity)
        # With a single step the end is at t = 1.
        return kept * velocity - (1.0 - kept) * z / left.clamp_min(1.0 / self.n_steps)

    def forward(self, X: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Carry unit Gaussian noise (B, N, latent) to a sample of the same shape.

        Uses the two-step Adams-Bashforth method, with one velocity per step. For as many velocities, the error of
        Heun's method is more than twice as large (docs/appendix/fidelity-diary.md).
        """
        condition = self.condition(X)
        z, before = noise.flatten(1), noise.flatten(1)
        # One time for all frames.
        t = torch.zeros(1, 1, dtype=z.dtype, device=z.device)
        dt = 1.0 / self.n_steps
        for number in range(self.n_steps):
            slope = self.turned_back(self.velocity(z, t, condition), z, t)
            after = 2.0 * slope - before
            if number == 0 or self.heun:
                # There is no step before the first: Heun's.
                end = z + dt * slope
                after = self.turned_back(self.velocity(end, t + dt, condition), end, t + dt)
            z = z + (0.5 * dt) * (slope + after)
            z, t, before = z * self.shrinkage(z), t + dt, slope
        return (z * self.of_beads(self.latent_scale) + self.of_beads(self.latent_mean)).reshape(noise.shape)


class GatedBlock(nn.Module):
    """h + L(f(a) o b): a and b are linear maps of h shifted by the beads; the time sets their gains and a shift of a.

    Bond lengths depend on squared differences of latents, so a velocity that keeps them contains products of latents.
    This block computes products directly; linear maps and activations would need many units for each (alanine
    dipeptide, docs/appendix/fidelity-diary.md).
    """

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.enter = nn.Linear(width, 2 * width, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.leave = nn.Linear(width, width)

    def forward(self, h: torch.Tensor, moved: torch.Tensor, gates: torch.Tensor) -> torch.Tensor:
        """Features (B, W), what the beads add to a and b (B, 2 W), gains and shift (B or 1, 3 W) to (B, W)."""
        a, b = (self.enter(h) + moved).chunk(2, dim=-1)
        gain_a, gain_b, shift = gates.chunk(3, dim=-1)
        product = nn.functional.silu(a * (1.0 + gain_a) + shift) * (b * (1.0 + gain_b))
        return h + self.leave(self.dropout(product))


class FlowPrior(Flow):
    """Velocity network over all latents at once, given all bead distances and one signed volume a bead; for few beads.

    It serves one molecule only, since its weights depend on all beads together.
    """

    def __init__(self, spec: MoleculeSpec, config: ModelConfig):
        first, second = torch.triu_indices(spec.n_beads, spec.n_beads, 1)
        super().__init__(spec, config, len(first) + spec.n_beads)
        self.register_buffer("first", first)
        self.register_buffer("second", second)
        width, n_latent, depth = config.flow_width, spec.n_beads * self.latent, config.flow_layers
        self.depth = depth
        # Few hidden features, since the wide outputs would dominate the size of the file.
        self.embed = mlp(len(self.condition_mean), max(VECTOR, width // 2), depth * 2 * width)
        self.time = mlp(2 * FREQUENCIES, max(VECTOR, width // 4), depth * 3 * width)
        self.enter = nn.Linear(n_latent, width)
        self.blocks = nn.ModuleList([GatedBlock(width, config.flow_dropout) for _ in range(depth)])
        self.leave = nn.Linear(width, n_latent)

    def bind(self, spec: MoleculeSpec) -> None:
        """Refuse another molecule (`SettingsError`)."""
        if spec.n_beads != len(self.bead_types):
            raise SettingsError(
                f"a molecule of {spec.n_beads} beads given to a prior of all {len(self.bead_types)} beads of another: "
                "prior='local-flow' or 'gaussian' serves several molecules"
            )
        super().bind(spec)

    def raw_condition(self, X: torch.Tensor) -> torch.Tensor:
        """Beads (B, N, 3) in Angstrom to invariants (B, C), not standardised."""
        distance = torch.sqrt((X[:, self.first] - X[:, self.second]).square().sum(-1) + 1e-8)
        return torch.cat([distance, self.volumes(X)], dim=-1)

    def condition(self, X: torch.Tensor) -> torch.Tensor:
        """Beads (B, N, 3) in Angstrom to the shifts that every block adds, (B, blocks, 2 width)."""
        return self.embed(self.standardised(self.raw_condition(X))).unflatten(1, (self.depth, -1))

    def velocity(self, z: torch.Tensor, t: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Velocity (B, N * latent) at z (B, N * latent) and times t, (B, 1) or (1, 1)."""
        gates = self.time(self.phases(t)).unflatten(1, (self.depth, -1))
        h = self.enter(z)
        for number, block in enumerate(self.blocks):
            h = block(h, condition[:, number], gates[:, number])
        return self.leave(h)


class BeadNeighbourhood(NamedTuple):
    """Condition of `LocalFlowPrior`: bead features (B, N, W), `RadialBasis.graph`, and the filters of its blocks."""

    features: torch.Tensor
    rbf: torch.Tensor
    neighbours: torch.Tensor | None
    filters: list[torch.Tensor | None]


class FlowBlock(nn.Module):
    """h + MLP(norm h, sum_j W(d_ij) o L(norm h_j)): an update by own and neighbours' features."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        W = config.flow_width
        self.norm = nn.LayerNorm(W)
        self.source = nn.Linear(W, W)
        # Scaled for sums over about as many beads as there are radial functions.
        self.filter = nn.Parameter(torch.randn(config.radial + 1, 1, W) / (config.radial + 1))
        self.update = nn.Sequential(nn.Linear(2 * W, W), nn.SiLU(), nn.Dropout(config.flow_dropout), nn.Linear(W, W))

    def forward(self, h, rbf, neighbours, filters):
        # type: (Tensor, Tensor, Tensor | None, Tensor | None) -> Tensor
        """Features (B, N, W), radial functions of `RadialBasis.graph`, and `pair_filters` to (B, N, W)."""
        normed = self.norm(h)
        source = self.source(normed)[:, :, None, None]
        gathered = neighbour_sum(rbf, self.filter, source, neighbours, filters)[:, :, 0, 0]
        return h + self.update(torch.cat([normed, gathered], dim=-1))


class LocalFlowPrior(Flow):
    """Velocity network by message passing between near beads, with weights shared by all beads; for many beads.

    It learns from every bead of a frame, so it needs fewer runs than a network over all beads: for chignolin on 10
    beads with 24 runs, the lowest validation loss is 1.38 against 1.66. Cost and memory are linear in N.
    """

    def __init__(self, spec: MoleculeSpec, config: ModelConfig):
        n_rows = n_types(spec.bead_types, spec.n_beads)
        super().__init__(spec, config, n_rows)
        W, latent = config.flow_width, self.latent
        self.radial = RadialBasis(config.radial, config.flow_cutoff_angstrom)
        self.bead_embedding = nn.Parameter(0.5 * torch.randn(n_rows, W))
        self.volume = nn.Linear(1, W)
        self.time = mlp(2 * FREQUENCIES, W, W)
        self.enter = nn.Linear(latent, W)
        self.before = FlowBlock(config)
        self.blocks = nn.ModuleList([FlowBlock(config) for _ in range(config.flow_layers)])
        self.leave = nn.Linear(W, latent)

    def raw_condition(self, X: torch.Tensor) -> torch.Tensor:
        """Beads (B, N, 3) in Angstrom to their signed volumes (B, N)."""
        return self.volumes(X)

    def condition_moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and scale (N,) of the beads' volumes."""
        return self.of_beads(self.condition_mean), self.of_beads(self.condition_scale)

    @torch.jit.unused
    def condition_types(self) -> torch.Tensor:
        """Row of each volume in the tables of their moments, (N,)."""
        return self.bead_types

    def condition(self, X: torch.Tensor) -> BeadNeighbourhood:
        """Beads (B, N, 3) in Angstrom to the condition that all times and latents share."""
        rbf, _, neighbours = self.radial.graph(X, self.bead_embedding.dtype)
        features = self.volume(self.standardised(self.raw_condition(X)).unsqueeze(-1))
        features = self.bead_embedding.index_select(0, self.bead_types) + features
        features = self.before(features, rbf, neighbours, None)
        # The filters do not depend on the time; computing them once saves most of the work.
        filters: list[torch.Tensor | None] = []
        for block in self.blocks:
            filters.append(pair_filters(rbf, block.filter, neighbours))
        return BeadNeighbourhood(features, rbf, neighbours, filters)

    def velocity(self, z: torch.Tensor, t: torch.Tensor, condition: BeadNeighbourhood) -> torch.Tensor:
        """Velocity (B, N * latent) at z (B, N * latent) and times t, (B, 1) or (1, 1)."""
        features, rbf, neighbours, filters = condition
        h = self.enter(z.view(features.shape[0], features.shape[1], -1)) + self.time(self.phases(t)).unsqueeze(1)
        h = h + features
        for number, block in enumerate(self.blocks):
            h = block(h, rbf, neighbours, filters[number])
        return self.leave(torch.nn.functional.silu(h)).flatten(1)
