"""The Coarse-Graining Variational Auto-Encoder (Wang et al., ICML 2022)."""

import torch

from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.geometry.bounds import BoundsProjection
from openmm_cgvae.geometry.labels import AlikePairs
from openmm_cgvae.models.config import ModelConfig
from openmm_cgvae.models.decoder import Decoder
from openmm_cgvae.models.encoder import Encoder
from openmm_cgvae.models.flow import FlowPrior, LocalFlowPrior
from openmm_cgvae.models.prior import GaussianPrior
from openmm_cgvae.models.projection import BeadProjection
from openmm_cgvae.models.refinement import Refinement
from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["CGVAE"]

PRIORS = {"gaussian": GaussianPrior, "flow": FlowPrior, "local-flow": LocalFlowPrior}


class CGVAE(BeadProjection):
    """p(x | X): ``model.sample(X, noise)`` decodes latents drawn from the prior; lengths are in Angstrom.

    Parameters
    ----------
    spec : MoleculeSpec
        The molecule and its beads.
    config : ModelConfig

    Raises
    ------
    SettingsError
        If the model is narrower than the largest bead, so that channel selection cannot serve all its atoms, or
        there are fewer than 3 beads, which span no plane: no equivariant decoder can place atoms off their line.
    """

    def __init__(self, spec: MoleculeSpec, config: ModelConfig):
        if spec.n_beads < 3:
            raise SettingsError(
                f"a mapping of {spec.n_beads} beads given: at least 3 are needed, since one or two have no orientation"
            )
        largest = int(spec.channels.max()) + 1
        if config.features < largest:
            raise SettingsError(
                f"features={config.features} given, but a bead has {largest} atoms: at least {largest} are needed"
            )
        super().__init__(spec, config.latent or config.features)
        self.bounded, self.numbers = True, largest_array(spec, config)
        self.encoder = Encoder(spec, config)
        self.prior = PRIORS[config.prior](spec, config)
        self.decoder = Decoder(spec, config)
        self.refinement = Refinement(spec, config) if config.refinement_layers else None
        # Without handedness, mirrored beads give mirrored atoms.
        self.alike_pairs = AlikePairs(spec) if config.handed else None
        self.bounds = BoundsProjection(spec, config.projection_sweeps)

    def bind(self, spec: MoleculeSpec) -> None:
        """Take another molecule, whose types the learned tables have; the weights stay as they are.

        Raises
        ------
        SettingsError
            If the model has parts that are of one molecule, or of molecules with fewer near atoms.
        """
        known, persistent = dict(self.named_buffers()), set(self.state_dict())
        self._bind_projection(spec)
        for part in (self.encoder, self.prior, self.decoder, self.refinement, self.alike_pairs, self.bounds):
            if part is not None:
                part.bind(spec)
        for path, buffer in list(self.named_buffers()):
            module, _, name = path.rpartition(".")
            # On the same device and in the same precision.
            self.get_submodule(module).register_buffer(name, buffer.to(known[path]), path in persistent)

    def encode(self, x, X):
        # type: (Tensor, Tensor) -> tuple[Tensor, Tensor]
        """Mean and log-variance of q(z | x, X), each (B, N, latent)."""
        return self.encoder(x, X)

    def displace(self, X: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Displacement of every atom (B, n, 3) from its bead, recentred with M's own weights: M dx = 0."""
        V = self.decoder.vectors(X, z)
        dx = self.recentred(self.decoder.select(V))
        if self.refinement is not None:
            dx = self.refinement(dx, X, z, V)
        if self.alike_pairs is not None:
            dx = self.alike_pairs(dx, X.to(dx.dtype)[:, self.assignment] + dx)
        return dx

    def displaced(self, X: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Sample displacements (B, n, 3), distances in the precision of X and the rest in that of the weights."""
        return self.displace(X, self.prior(X, noise.to(self.decoder.bead_embedding.dtype)))

    def rebuilt(self, x: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
        """Displacements (B, n, 3) of the posterior mean of atoms x (B, n, 3) on their beads X (B, N, 3)."""
        dtype = self.decoder.bead_embedding.dtype
        mean, _ = self.encode(x.to(dtype), X.to(dtype))
        return self.displace(X.to(dtype), mean)

    def bound(self, X: torch.Tensor, dx: torch.Tensor) -> torch.Tensor:
        """Project the local geometry of displacements (B, n, 3) into the training range, with M dx = 0 kept."""
        x = X.to(dx.dtype)[:, self.assignment] + dx
        return dx + (self.bounds(x) - x)

    def decode(self, X: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Beads (B, N, 3) and latents (B, N, latent) to atoms (B, n, 3) with M x = X."""
        return X[:, self.assignment] + self.displace(X, z)

    def sample(self, X: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Beads (B, N, 3) and unit Gaussian noise (B, N, latent) to atoms (B, n, 3), before the bounds."""
        return self.decode(X, self.prior(X, noise))

    def forward(self, X: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """As `sample`."""
        return self.sample(X, noise)


def largest_array(spec: MoleculeSpec, config: ModelConfig) -> int:
    """Elements per structure in the largest array of a `CGVAE`.

    A decoder of F features holds 6 F per bead (two vector channels), a refinement of width W about 3 W per atom (W / 4
    channels on each of about 11 edges).
    """
    width = config.refinement_width if config.refinement_layers else 0
    return max(6 * config.features * spec.n_beads, 3 * width * spec.n_atoms)
