"""The posterior q(z | x, X) (paper, section 4.2 and appendix E.1)."""

import torch
from torch import nn

from openmm_cgvae.models.config import ModelConfig
from openmm_cgvae.models.layers import BeadConvolution, RadialBasis, mlp, signed_volumes
from openmm_cgvae.models.neighbours import DENSE_ATOMS
from openmm_cgvae.models.spec import MoleculeSpec

__all__ = ["Encoder"]

# Of an atom, from its bead and from two other beads; and signed volumes, along its bonds and against these beads.
N_DISTANCES, N_VOLUMES = 3, 2
N_PLACES = N_DISTANCES + N_VOLUMES
# In units of their spread over the training frames; further out they say no more.
REACH = 5.0
CALIBRATED_AT_ONCE = 1024
# What is made of so many pairs of atoms stays in the caches of a CPU.
PAIRS_AT_ONCE = 250_000


class EncoderLayer(nn.Module):
    """Message passing among atoms, pooling to beads, message passing among beads: Eq. (2), (3), (4)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.atoms = BeadConvolution(config.features, config.radial, config.activation)
        self.beads = BeadConvolution(config.features, config.radial, config.activation)
        self.pool_filter = nn.Linear(config.radial + 1 + N_VOLUMES + N_PLACES, config.features)
        self.pool_message = mlp(config.features, config.features, config.features, config.activation)

    def forward(self, h, H, atom_rbf, atom_neighbours, pool_features, bead_rbf, bead_neighbours, membership):
        # type: (Tensor, Tensor, Tensor, Tensor | None, Tensor, Tensor, Tensor | None, Tensor) -> tuple[Tensor, Tensor]
        h = self.atoms(h, atom_rbf, atom_neighbours)
        pooled = H + torch.matmul(membership, self.pool_filter(pool_features) * self.pool_message(h))
        return h, self.beads(pooled, bead_rbf, bead_neighbours)


class Encoder(nn.Module):
    """Atoms and beads to the mean and log-variance of each bead's latent.

    Distances alone cannot tell a frame from its mirror image, so the pooling also sees, for every atom, on which
    side of its bead's neighbours and of its own bonds it lies. Of these volumes, and of distances from three beads,
    which together are the atom's place, it also sees the deviations from the training frames' mean, in units of their
    spread: vibrations are small beside what radial functions resolve.
    """

    def __init__(self, spec: MoleculeSpec, config: ModelConfig):
        super().__init__()
        self.frames_at_once = max(1, PAIRS_AT_ONCE // spec.n_atoms**2)
        self.embedding = nn.Embedding(int(spec.atom_types.max()) + 1, config.features)
        self.atom_radial = RadialBasis(config.radial, config.atom_cutoff_angstrom, DENSE_ATOMS)
        self.bead_radial = RadialBasis(config.radial, config.bead_cutoff_angstrom)
        self.layers = nn.ModuleList([EncoderLayer(config) for _ in range(config.encoder_layers)])
        latent = config.latent or config.features
        self.mean = mlp(config.features, config.features, latent, config.activation)
        self.log_variance = mlp(config.features, config.features, latent, config.activation)
        membership = torch.zeros(spec.n_beads, spec.n_atoms)
        membership[torch.as_tensor(spec.assignment), torch.arange(spec.n_atoms)] = 1.0
        self.register_buffer("membership", membership)
        for name in ("atom_types", "assignment", "atom_frames", "bead_axes"):
            self.register_buffer(name, torch.tensor(getattr(spec, name)))
        # TorchScript sees attributes, not the module's constants.
        self.n_distances, self.reach = N_DISTANCES, REACH
        self.register_buffer("place_mean", torch.zeros(spec.n_atoms, N_PLACES))
        self.register_buffer("place_scale", torch.ones(spec.n_atoms, N_PLACES))

    @torch.jit.unused
    def calibrate(self, x: torch.Tensor, X: torch.Tensor) -> None:
        """Take the mean and spread of the atoms' places from training frames (frames, n, 3) and their beads."""
        chunks = zip(x.split(CALIBRATED_AT_ONCE), X.split(CALIBRATED_AT_ONCE), strict=True)
        places = torch.cat([self.places(*chunk) for chunk in chunks])
        self.place_mean.copy_(places.mean(0))
        self.place_scale.copy_(places.std(0).clamp_min(1e-3))

    def places(self, x: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
        """Distances of every atom from its bead and that bead's axes, and its volumes, in Angstrom, (B, n, 5)."""
        own, axes, f = self.assignment, self.bead_axes[self.assignment], self.atom_frames
        beads = X[:, torch.cat([own.unsqueeze(1), axes], dim=1)]
        distances = torch.sqrt((x.unsqueeze(2) - beads).square().sum(-1) + 1e-4)
        along_bonds = signed_volumes(x[:, f[:, 0]], x, x[:, f[:, 1]], x[:, f[:, 2]])
        to_beads = signed_volumes(beads[:, :, 0], x, beads[:, :, 1], beads[:, :, 2])
        return torch.cat([distances, torch.stack([along_bonds, to_beads], dim=-1)], dim=-1)

    def forward(self, x, X):
        # type: (Tensor, Tensor) -> tuple[Tensor, Tensor]
        """Encode.

        Parameters
        ----------
        x : Tensor, shape (B, n, 3)
            Atoms in Angstrom.
        X : Tensor, shape (B, N, 3)
            Beads in Angstrom.

        Returns
        -------
        mean, log_variance : Tensor, shape (B, N, latent)
        """
        frames = x.shape[0] if x.is_cuda else self.frames_at_once
        means, log_variances = [], []
        for atoms, beads in zip(x.split(frames), X.split(frames)):  # noqa: B905 (TorchScript has no strict)
            mean, log_variance = self.encode(atoms, beads)
            means.append(mean)
            log_variances.append(log_variance)
        return torch.cat(means), torch.cat(log_variances)

    def encode(self, x, X):
        # type: (Tensor, Tensor) -> tuple[Tensor, Tensor]
        """As `forward`, all frames at once."""
        atom_rbf, _, atom_neighbours = self.atom_radial.graph(x, x.dtype)
        bead_rbf, _, bead_neighbours = self.bead_radial.graph(X, X.dtype)
        places = self.places(x, X)
        deviations = ((places - self.place_mean) / self.place_scale).clamp(-self.reach, self.reach)
        volumes = places[..., self.n_distances :]
        pool_features = torch.cat([self.atom_radial(places[..., 0]), volumes, deviations], dim=-1)
        h = self.embedding(self.atom_types).expand(x.shape[0], -1, -1)
        H = torch.zeros(x.shape[0], X.shape[1], h.shape[2], dtype=h.dtype, device=h.device)
        for layer in self.layers:
            h, H = layer(h, H, atom_rbf, atom_neighbours, pool_features, bead_rbf, bead_neighbours, self.membership)
        return self.mean(H), self.log_variance(H).clamp(-12.0, 6.0)
