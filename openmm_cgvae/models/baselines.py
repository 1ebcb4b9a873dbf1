"""Baselines: the linear map and the MLP of the paper (appendix F.1), and a geometric relaxation.

Each is a `BeadProjection`, as `CGVAE` is, so that `ExportedModel` makes of it what a model file holds.
"""

import torch
from torch import nn

from openmm_cgvae.geometry.bounds import BoundsProjection
from openmm_cgvae.models.projection import BeadProjection
from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["BASELINE_MODELS", "Baseline", "GeometricRelaxation", "LinearMap", "Perceptron"]


class Baseline(BeadProjection):
    """Displaces the atoms from their beads by `displace`, and keeps M x = X by recentring, as `CGVAE` does.

    The paper's baselines are not recentred. For centres of geometry recentring is the orthogonal projection on the
    structures with M x = X, of which the true one is one: it can only lower the RMSD, in the baseline's favour. The
    least-squares `LinearMap` has M x = X by itself.

    Parameters
    ----------
    spec : MoleculeSpec
    latent : int
        Noise numbers a bead that `displace` takes.
    """

    def __init__(self, spec: MoleculeSpec, latent: int):
        super().__init__(spec, latent)
        self.epochs_done = 0
        # Baselines have no posterior: `rebuilt` samples with this noise and ignores the given atoms.
        self.register_buffer(
            "fixed_noise", torch.randn(spec.n_beads, latent, generator=torch.Generator().manual_seed(0))
        )

    def displace(self, X: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Beads about their centre (B, N, 3) in Angstrom and noise (B, N, latent) to displacements (B, n, 3)."""
        raise NotImplementedError

    def displaced(self, X: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """As `displace`, in the precision of the weights, with M dx = 0."""
        dtype = self.fixed_noise.dtype
        return self.recentred(self.displace(X.to(dtype), noise.to(dtype)))

    def rebuilt(self, x: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
        """Displacements (B, n, 3) on beads X (B, N, 3) about their centre; the atoms x are ignored."""
        return self.displaced(X, self.fixed_noise.expand(len(X), -1, -1))

    def forward(self, X: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Beads about their centre (B, N, 3) and noise (B, N, latent) to atoms (B, n, 3) with M x = X."""
        return X[:, self.assignment] + self.displaced(X, noise)


class LinearMap(Baseline):
    """The equivariant linear model: x_i = sum_I A_iI X_I (Wang & Gomez-Bombarelli 2019; paper, appendix F.1).

    The paper recentres both structures to make up for translations. Here A is the lift plus a displacement that
    is linear in the beads about their centre, so that its rows sum to 1, which is the same in the laboratory frame.
    It is equivariant under all of E(3): a mirrored frame gives a mirrored molecule, and planar beads a flat one.

    Parameters
    ----------
    spec : MoleculeSpec
    """

    def __init__(self, spec: MoleculeSpec):
        super().__init__(spec, latent=1)
        self.coefficients = nn.Parameter(torch.zeros(spec.n_atoms, spec.n_beads))

    def displace(self, X: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return torch.matmul(self.coefficients, X)


class Perceptron(Baseline):
    """The MLP from flattened beads to flattened atoms, R^3N to R^3n (An & Deshmukh 2020; paper, appendix F.1).

    Two hidden layers of 3 n ReLU units. As in the paper it is not equivariant: it must learn every orientation from
    the data. Unlike there, beads are taken about their centre, since nothing ties reference MD to an origin.

    Parameters
    ----------
    spec : MoleculeSpec
    """

    def __init__(self, spec: MoleculeSpec):
        super().__init__(spec, latent=1)
        width = 3 * spec.n_atoms
        self.layers = nn.Sequential(
            nn.Linear(3 * spec.n_beads, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
        )

    def displace(self, X: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        # The layers predict positions; recentring leaves those relative to the bead of each atom.
        return self.layers(X.flatten(1)).unflatten(1, (self.assignment.shape[0], 3))


class GeometricRelaxation(Baseline):
    """Places atoms at random around their beads and relaxes them into the bounds of the reference.

    In the manner of the backward tools (Wassenaar et al. 2014), but in place of a force field, `BoundsProjection`
    restores bonds, angles, volumes and contacts. Equivariant in distribution only, because the noise is drawn in the
    laboratory frame.

    Parameters
    ----------
    spec : MoleculeSpec
    sweeps : int
        At most, for frames that are not done before.
    """

    def __init__(self, spec: MoleculeSpec, sweeps: int = 200):
        self.largest = int(spec.channels.max()) + 1
        super().__init__(spec, latent=3 * self.largest)
        self.bounds = BoundsProjection(spec, sweeps)
        self.register_buffer("slot", torch.tensor(spec.assignment * self.largest + spec.channels))
        self.register_buffer("spread", torch.zeros(spec.n_atoms, 1))

    @torch.jit.unused
    def calibrate(self, x: torch.Tensor) -> None:
        """Take bounds and the spread of atoms about their beads from training frames (frames, n, 3) in Angstrom."""
        self.bounds.calibrate(x)
        offset = x - self.project(x)[:, self.assignment]
        self.spread.copy_(offset.square().mean((0, 2)).sqrt()[:, None])

    def displace(self, X: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        lifted = X[:, self.assignment]
        dx = noise.unflatten(2, (-1, 3)).flatten(1, 2)[:, self.slot] * self.spread
        return self.bounds(lifted + self.recentred(dx)) - lifted


BASELINE_MODELS = {"linear": LinearMap, "mlp": Perceptron, "geometric": GeometricRelaxation}
