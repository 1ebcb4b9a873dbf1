"""The module that a model file for any small molecule holds; no need of this package."""

import torch
from torch import Tensor, nn

from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.geometry.beadfit import BeadFit, rotation_of, squared_misses
from openmm_cgvae.geometry.turning import turned_by_all
from openmm_cgvae.ligands.sampler import LigandSampler
from openmm_cgvae.ligands.torsionnet import LigandNetwork

__all__ = ["LigandModel", "rebuild_ligand"]

# Conformers for every structure, of each of which each torsion is drawn anew, of so many angles, by energy and how well
# beads fit; and those of them that are fitted to the beads.
CANDIDATES, ANGLES, KEPT = 128, 24, 32
# Angstrom.
REACH, TOLERANCE = 0.25, 0.05
# Steps to a minimum of energy and misfit, and the radian that a torsion moves in one at most.
DESCENTS, LARGEST = 6, 0.15


class LigandModel(nn.Module):
    """p(x | molecule, approximate conformers, beads where they are known) of any small molecule; `take` says of which.

    Parameters
    ----------
    network : LigandNetwork
    """

    def __init__(self, network: LigandNetwork):
        super().__init__()
        self.sampler, self.fit = LigandSampler(network), BeadFit()
        self.angstrom_per_nm = float(ANGSTROM_PER_NM)
        # Of `forward`: numbers of noise a bead, conformers that are searched and fitted for each structure, and the
        # distances in Angstrom by which beads of a conformer may miss those given, while torsions are searched and at
        # the end.
        self.latent, self.candidates, self.kept, self.reach, self.tolerance = 1, CANDIDATES, KEPT, REACH, TOLERANCE
        self.descents, self.largest = DESCENTS, LARGEST
        circle = torch.arange(ANGLES) * (2.0 * torch.pi / ANGLES)
        self.register_buffer("circle", circle, persistent=False)
        self.n_atoms, self.n_beads = 0, 0
        # May be set on a loaded module.
        self.temperature = 1.0
        self.register_buffer("assignment", torch.zeros(0, dtype=torch.int64), persistent=False)

    @torch.jit.export
    def take(self, molecule: dict[str, Tensor]) -> None:
        """Take another molecule, given as `openmm_cgvae.ensembles.binding.ligand_tensors` gives it."""
        self.sampler.take(molecule)
        self.fit.take(molecule)
        self.assignment = molecule["assignment"]
        self.n_beads, self.n_atoms = self.fit.matrix.shape[0], self.fit.matrix.shape[1]
        # The numbers of a conformer, an orientation, an approximate conformer and which candidate to take.
        self.latent = (self.sampler.n_noise() + 6 + self.n_beads - 1) // self.n_beads

    @torch.jit.export
    def n_noise(self) -> int:
        """Random numbers of a conformer."""
        return self.sampler.n_noise()

    @torch.jit.export
    def n_bases(self) -> int:
        """Approximate conformers of the molecule."""
        return self.sampler.n_bases

    @torch.jit.export
    def conformers(self, noise: Tensor, base: Tensor) -> tuple[Tensor, Tensor]:
        """Sample conformers, beads unknown.

        Parameters
        ----------
        noise : Tensor, shape (S, n_noise)
            Unit Gaussian.
        base : int Tensor, shape (S,)
            Number of the approximate conformer of each sample.

        Returns
        -------
        x : Tensor, shape (S, N, 3)
            nm.
        energy : Tensor, shape (S,)
            kJ/mol, up to a constant of the molecule.
        """
        _, x, energy = self.sampler(noise, base, self.temperature)
        return x / self.angstrom_per_nm, energy

    def forward(self, beads: Tensor, noise: Tensor) -> Tensor:
        """Sample structures at beads: of several conformers that are fitted to them, one by energy and fit.

        Parameters
        ----------
        beads : Tensor, shape (B, n_beads, 3)
            nm.
        noise : Tensor, shape (B, n_beads, latent)
            Unit Gaussian.

        Returns
        -------
        Tensor, shape (B, N, 3)
            nm, in the precision of `beads`, with M x = X.
        """
        found: list[Tensor] = []
        centre = beads.mean(1, keepdim=True)
        for part, its_noise in zip(beads - centre, noise):  # noqa: B905 (TorchScript has no strict)
            X = (part * self.angstrom_per_nm).to(self.sampler.bases.dtype)
            found.append(self.fitted(X, its_noise.flatten().to(X.dtype)))
        x = torch.stack(found) if len(found) > 0 else torch.zeros(0, self.n_atoms, 3)
        # In the precision of the beads, so that they are met in it.
        dx = x.to(beads.dtype) / self.angstrom_per_nm + centre - beads.index_select(1, self.assignment)
        matrix = self.fit.matrix.to(beads.dtype)
        dx = dx - torch.matmul(matrix, dx).index_select(1, self.assignment)
        return beads.index_select(1, self.assignment) + dx

    def fitted(self, X: Tensor, noise: Tensor) -> Tensor:
        """One structure (N, 3) in Angstrom at beads (n_beads, 3), with noise (n,)."""
        count, n = self.candidates, self.sampler.n_noise()
        even = 0.5 * (1.0 + torch.erf(noise[: n + 6] * 0.7071067811865476))
        # A sequence that fills all dimensions evenly from where the noise begins it, and moves on with the noise.
        steps = torch.arange(n + 6, dtype=X.dtype, device=X.device).add(2.0).sqrt()
        numbers = torch.arange(count, dtype=X.dtype, device=X.device).unsqueeze(1)
        spread = torch.remainder(even + numbers * steps, 1.0).clamp(1e-6, 1.0 - 1e-6)
        base = (spread[:, n + 4] * self.sampler.n_bases).to(torch.int64).clamp_max(self.sampler.n_bases - 1)
        normal = torch.erfinv(2.0 * spread[:, : n + 4] - 1.0) * 1.4142135623730951
        drawn = self.sampler(normal[:, :n], base, self.temperature)
        torsions, x = drawn[0], drawn[1] - drawn[1].mean(1, keepdim=True)
        x = torch.matmul(x, rotation_of(normal[:, n : n + 4]).transpose(1, 2))
        targets = X.unsqueeze(0).expand(count, -1, -1)
        bonds, moved = self.sampler.token_bonds, self.sampler.moved
        thermal = self.sampler.gas * self.sampler.kelvin
        for k in range(bonds.shape[0]):
            own = torsions[k].unsqueeze(1)
            by = self.circle.expand(count, -1)
            cost = self.fit.turning_misses(x, targets, bonds[k], moved[k], by) * (0.5 * thermal / self.reach**2)
            cost = cost + self.sampler.turning_energy(k, x, by, own + by, base)
            chosen = self.sampler.picked(cost, spread[:, k], self.temperature)
            angle = by.gather(1, chosen.unsqueeze(1)).transpose(0, 1)
            x = turned_by_all(x, bonds[k : k + 1], moved[k : k + 1], angle)
            torsions = torsions.index_add(0, torch.full([1], k, device=X.device), angle)
        missed = squared_misses(torch.matmul(self.fit.matrix, x), targets)
        score = self.sampler.energy(x, torsions, base) + missed * (0.5 * thermal / self.reach**2)
        best = score.argsort()[: self.kept]
        x, torsions, base, targets = x[best], torsions[:, best], base[best], targets[best]
        x, torsions = self.fit(x, torsions, targets, bonds, moved)
        stiff = thermal / self.tolerance**2
        for _ in range(self.descents):
            slope, stiffness = self.sampler.slopes(x, torsions, base)
            x, torsions = self.fit.step(
                x, torsions, targets, bonds, moved, slope / stiff, stiffness / stiff, self.largest
            )
        missed = (targets - torch.matmul(self.fit.matrix, x)).square().sum((1, 2))
        score = self.sampler.energy(x, torsions, base) + missed * (0.5 * stiff)
        chosen = self.sampler.picked(score.unsqueeze(0), even[n + 5].unsqueeze(0), self.temperature)
        return x.index_select(0, chosen).squeeze(0)


def rebuild_ligand(settings: dict, state: dict[str, Tensor]) -> LigandModel:
    """Build a `LigandModel` of these settings with these weights, without a molecule, in evaluation mode."""
    model = LigandModel(LigandNetwork(**settings))
    own = model.state_dict()
    model.load_state_dict({name: value for name, value in state.items() if name in own})
    return model.eval()
