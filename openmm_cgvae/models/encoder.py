"""The posterior q(z | x, X) (paper, section 4.2 and appendix E.1)."""

import torch
from torch import nn

from openmm_cgvae.geometry.neighbours import DENSE_ATOMS
from openmm_cgvae.geometry.types import as_types, moments_by_type, n_types
from openmm_cgvae.geometry.vectors import signed_volumes
from openmm_cgvae.models.config import ModelConfig
from openmm_cgvae.models.layers import BeadConvolution, RadialBasis, mlp
from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["Encoder"]

# Signed volumes of an atom, along its bonds and against its bead's axes.
N_VOLUMES = 2
# Coordinates of an atom, distances from the three atoms of its frame, and its volumes.
N_PLACES = 6 + N_VOLUMES
# Clamp of the deviations, in standard deviations of the training frames.
REACH = 5.0
# In Angstrom. Features with a spread below this are constrained bonds and are ignored (an XTC file rounds to 0.004).
FIXED = 0.01
# Scale of ignored features, which makes their deviations vanish.
UNHEARD = 1e6
CALIBRATED_AT_ONCE = 1024
# Atom pairs processed at once, so that intermediates stay in the CPU caches.
PAIRS_AT_ONCE = 250_000


class EncoderLayer(nn.Module):
    """Message passing among atoms, pooling to beads, message passing among beads: Eq. (2), (3), (4)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.atoms = BeadConvolution(config.features, config.radial, config.activation)
        self.beads = BeadConvolution(config.features, config.radial, config.activation)
        self.pool_filter = nn.Linear(config.radial + 1 + N_VOLUMES, config.features)
        self.pool_message = mlp(config.features, config.features, config.features, config.activation)

    def forward(self, h, H, atom_rbf, atom_neighbours, pool_features, bead_rbf, bead_neighbours, membership):
        # type: (Tensor, Tensor, Tensor, Tensor | None, Tensor, Tensor, Tensor | None, Tensor) -> tuple[Tensor, Tensor]
        h = self.atoms(h, atom_rbf, atom_neighbours)
        pooled = H + torch.matmul(membership, self.pool_filter(pool_features) * self.pool_message(h))
        return h, self.beads(pooled, bead_rbf, bead_neighbours)


def in_frame(vectors: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Coordinates (B, m, 3) of vectors along `first`, across it on the side of `second`, and out of their plane."""
    normal = torch.linalg.cross(first, second)
    axes = torch.stack([first, torch.linalg.cross(normal, first), normal], dim=-2)
    # The small term keeps the axes of collinear beads finite.
    axes = axes / torch.sqrt(axes.square().sum(-1, keepdim=True) + 1e-4)
    return torch.matmul(axes, vectors.unsqueeze(-1)).squeeze(-1)


class Encoder(nn.Module):
    """Atoms and beads to the mean and log-variance of each bead's latent.

    Distances alone cannot distinguish a frame from its mirror image, so the pooling also uses signed volumes: on which
    side of its bead's neighbours and of its own bonds every atom lies.

    Radial functions do not resolve vibrations. A bead's features therefore start from its atoms' coordinates, each with
    its own weights: these volumes, coordinates in a frame of three beads and distances along the bonds, as
    deviations from the training mean in units of the training spread. Constrained bonds are ignored.
    """

    def __init__(self, spec: MoleculeSpec, config: ModelConfig):
        super().__init__()
        self.embedding = nn.Embedding(int(spec.atom_types.max()) + 1, config.features)
        self.atom_radial = RadialBasis(config.radial, config.atom_cutoff_angstrom, DENSE_ATOMS)
        self.bead_radial = RadialBasis(config.radial, config.bead_cutoff_angstrom)
        self.layers = nn.ModuleList([EncoderLayer(config) for _ in range(config.encoder_layers)])
        latent = config.latent or config.features
        self.mean = mlp(config.features, config.features, latent, config.activation)
        self.log_variance = mlp(config.features, config.features, latent, config.activation)
        # TorchScript sees attributes, not the module's constants.
        self.n_volumes, self.reach = N_VOLUMES, REACH
        places = n_types(spec.place_types, spec.n_atoms)
        self.place_filter = nn.Parameter(torch.zeros(places, N_PLACES, config.features))
        self.register_buffer("place_mean", torch.zeros(places, N_PLACES))
        self.register_buffer("place_scale", torch.ones(places, N_PLACES))
        self.bind(spec)

    def bind(self, spec: MoleculeSpec) -> None:
        """Take another molecule, whose types the tables have."""
        self.frames_at_once = max(1, PAIRS_AT_ONCE // spec.n_atoms**2)
        membership = torch.zeros(spec.n_beads, spec.n_atoms)
        membership[torch.as_tensor(spec.assignment), torch.arange(spec.n_atoms)] = 1.0
        self.register_buffer("membership", membership)
        for name in ("atom_types", "assignment", "atom_frames", "bead_axes"):
            self.register_buffer(name, torch.tensor(getattr(spec, name)))
        self.register_buffer("place_types", as_types(spec.place_types, spec.n_atoms), persistent=False)

    @torch.jit.unused
    def calibrate(self, x: torch.Tensor, X: torch.Tensor) -> None:
        """Take the mean and spread of the atoms' places from training frames (frames, n, 3) and their beads."""
        chunks = zip(x.split(CALIBRATED_AT_ONCE), X.split(CALIBRATED_AT_ONCE), strict=True)
        places = torch.cat([self.places(*chunk) for chunk in chunks])
        mean, variance = moments_by_type(places, self.place_types, len(self.place_mean))
        self.place_mean.copy_(mean)
        spread = variance.sqrt()
        self.place_scale.copy_(torch.where(spread < FIXED, UNHEARD, spread))

    def places(self, x: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
        """Coordinates of every atom against its bead's axes, distances along its bonds, and volumes, (B, n, 8)."""
        axes, frame = self.bead_axes[self.assignment], x[:, self.atom_frames]
        origin, first, second = X[:, self.assignment], X[:, axes[:, 0]], X[:, axes[:, 1]]
        coordinates = in_frame(x - origin, first - origin, second - origin)
        distances = torch.sqrt((x.unsqueeze(2) - frame).square().sum(-1) + 1e-4)
        along_bonds = signed_volumes(frame[:, :, 0], x, frame[:, :, 1], frame[:, :, 2])
        to_beads = signed_volumes(origin, x, first, second)
        return torch.cat([coordinates, distances, torch.stack([along_bonds, to_beads], dim=-1)], dim=-1)

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
        mean, scale = (
            self.place_mean.index_select(0, self.place_types),
            self.place_scale.index_select(0, self.place_types),
        )
        deviations = ((places - mean) / scale).clamp(-self.reach, self.reach)
        distance = torch.sqrt((x - X[:, self.assignment]).square().sum(-1) + 1e-4)
        pool_features = torch.cat([self.atom_radial(distance), places[..., -self.n_volumes :]], dim=-1)
        h = self.embedding(self.atom_types).expand(x.shape[0], -1, -1)
        filters = self.place_filter.index_select(0, self.place_types)
        weighted = torch.bmm(deviations.transpose(0, 1), filters).transpose(0, 1)
        H = torch.matmul(self.membership, weighted)
        for layer in self.layers:
            h, H = layer(h, H, atom_rbf, atom_neighbours, pool_features, bead_rbf, bead_neighbours, self.membership)
        return self.mean(H), self.log_variance(H).clamp(-12.0, 6.0)
