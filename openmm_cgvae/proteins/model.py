"""The module that a model file for any protein holds: nm in, nm out, and no need of this package."""

from typing import Optional

import torch
from torch import Tensor, nn

from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.geometry.vectors import Recentring
from openmm_cgvae.models.placement import PlacementTensors, draw_rotors, place
from openmm_cgvae.proteins.builder import N_TORSIONS
from openmm_cgvae.proteins.relaxation import RESISTANCE, HeavyBounds
from openmm_cgvae.proteins.sampler import TorsionSampler
from openmm_cgvae.proteins.torsionnet import TorsionNetwork

__all__ = ["LATENT", "ROTORS", "ProteinModel"]

# Rotors per residue with their own noise; each uses two numbers.
ROTORS = 4
LATENT = N_TORSIONS + 2 * ROTORS
# Violations above this, in Angstrom, allow beads to move.
ROOM = 0.05
# Passes of recentring in every sweep of the bounds, where beads share atoms.
SWEEP_PASSES = 5
# Residues that are sampled at once.
RESIDUES = 2048


class ProteinModel(nn.Module):
    """p(x | X) of any protein on its beads; `take` sets the protein.

    Parameters
    ----------
    network : TorsionNetwork
    tables : dict of str to Tensor
        Of `HeavyBounds`.
    sweeps : int
        Of the bounds, at most.
    """

    # TorchScript cannot tell the type of an empty list.
    sizes: list[int]

    def __init__(self, network: TorsionNetwork, tables: dict[str, Tensor], sweeps: int = 100):
        super().__init__()
        self.sampler = TorsionSampler(network)
        self.bounds = HeavyBounds(sweeps, tables)
        self.recentred = Recentring()
        self.latent, self.rotors, self.n_torsions = LATENT, ROTORS, N_TORSIONS
        self.angstrom_per_nm = float(ANGSTROM_PER_NM)
        self.residues = RESIDUES
        self.resistance, self.room, self.sweep_passes = RESISTANCE, ROOM, SWEEP_PASSES
        # These may be set on a loaded module.
        self.bounded = True
        self.exact = True
        self.temperature = 1.0
        # Older files take no box.
        self.periodic = True
        self.n_atoms, self.n_beads, self.passes = 0, 0, 1
        self.sizes = []
        empty, none = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
        for name in ("types", "heavy", "residue", "slot", "placed", "references", "rotor", "rotor_residue",
                     "rotor_column", "main", "kept", "kept_beads"):  # fmt: skip
            self.register_buffer(name, empty.clone(), persistent=False)
        for name in ("symmetric", "local", "wells"):
            self.register_buffer(name, none.clone(), persistent=False)
        self.register_buffer("connected", torch.zeros(0, dtype=torch.bool), persistent=False)
        self.register_buffer("extra", torch.zeros(0, 0, dtype=torch.int64), persistent=False)
        self.register_buffer("extra_there", torch.zeros(0, 0, dtype=torch.bool), persistent=False)
        self.recentred.bind_weights(empty, empty, none, empty, 0)

    @torch.jit.export
    def take(self, molecule: dict[str, Tensor]) -> None:
        """Take another protein, given as `openmm_cgvae.backmapping.protein.molecule_tensors` gives it."""
        self.types, self.connected = molecule["types"], molecule["connected"].to(torch.bool)
        self.heavy, self.residue, self.slot = molecule["heavy"], molecule["residue"], molecule["slot"]
        self.placed, self.references, self.symmetric = molecule["placed"], molecule["references"], molecule["symmetric"]
        self.local, self.rotor, self.wells = molecule["local"], molecule["rotor"], molecule["wells"]
        self.rotor_residue, self.rotor_column = molecule["rotor_residue"], molecule["rotor_column"]
        self.extra, self.extra_there = molecule["extra"], molecule["extra_there"].to(torch.bool)
        self.main, self.kept, self.kept_beads = molecule["main"], molecule["kept"], molecule["kept_beads"]
        sizes: list[int] = molecule["sizes"].tolist()
        self.sizes = sizes
        self.passes = int(molecule["passes"])
        self.bounds.passes = min(self.passes, self.sweep_passes)
        self.n_atoms, self.n_beads = int(molecule["n_atoms"]), int(molecule["n_beads"])
        self.recentred.take(molecule, "")
        self.bounds.take(molecule)

    def forward(self, beads: Tensor, noise: Tensor, box: Optional[Tensor] = None) -> Tensor:  # noqa: UP045 (TorchScript)
        """Sample all-atom structures.

        Parameters
        ----------
        beads : Tensor, shape (B, N, 3)
            nm.
        noise : Tensor, shape (B, N, latent)
            Unit Gaussian.
        box : Tensor, shape (B, 3, 3), optional
            Periodic box vectors in nm: atoms see, and keep clear of, all images. Chains are whole.

        Returns
        -------
        Tensor, shape (B, n, 3)
            nm, in the precision of `beads`, with M x = X where the model is exact.
        """
        X = (beads - beads.mean(1, keepdim=True)) * self.angstrom_per_nm
        X, noise = X.to(self.local.dtype), noise.to(self.local.dtype)
        size = max(1, self.residues // max(1, self.types.shape[0]))
        found: list[Tensor] = []
        for number, (part, its_noise) in enumerate(zip(X.split(size), noise.split(size))):  # noqa: B905 (TorchScript)
            its_box: Optional[Tensor] = None  # noqa: UP045
            if box is not None:
                its_box = (box[number * size : (number + 1) * size] * self.angstrom_per_nm).to(X.dtype)
            found.append(self.sampled(part, its_noise, its_box))
        return self.at_beads(beads, X, torch.cat(found))

    def sampled(self, X: Tensor, noise: Tensor, box: Optional[Tensor]) -> Tensor:  # noqa: UP045
        """Atoms (B, n, 3) in Angstrom of beads (B, N, 3)."""
        points, own = X.index_select(1, self.main), noise.index_select(1, self.main)
        if self.temperature <= 0.0:
            # The representative structure does not depend on the noise.
            own = torch.zeros_like(own)
        extra = torch.where(self.extra_there.unsqueeze(-1), X[:, self.extra], torch.nan)
        torsions = own[:, :, : self.n_torsions]
        _, atoms = self.sampler(points, extra, self.types, self.connected, torsions, self.temperature, box)
        heavy = atoms.unflatten(0, (X.shape[0], -1))[:, self.residue, self.slot]
        if self.sampler.network.places_ca:
            heavy = self.on_beads(heavy, X)
        if self.bounded:
            heavy = self.bound(heavy, box)
        return self.completed(heavy, X, own[:, self.rotor_residue, self.n_torsions + 2 * self.rotor_column],
                              own[:, self.rotor_residue, self.n_torsions + 2 * self.rotor_column + 1])  # fmt: skip

    def on_beads(self, heavy: Tensor, X: Tensor) -> Tensor:
        """Move heavy atoms (B, h, 3) with their beads to the given beads (B, N, 3)."""
        recentred = self.bounds.recentred
        for _ in range(self.passes):
            found = recentred.projected(heavy.transpose(0, 1))
            missed = X[:, : found.shape[0]].transpose(0, 1) - found
            heavy = heavy + missed.index_select(0, recentred.assignment).transpose(0, 1)
        return heavy

    def bound(self, heavy: Tensor, box: Optional[Tensor]) -> Tensor:  # noqa: UP045
        """Project heavy atoms (B, h, 3) into the bounds; beads move where they leave bonds no room."""
        bounded = self.bounds(heavy, 1.0, box)
        if not self.exact:
            stretched = self.bounds.length_errors(self.bounds.lengths(bounded)).abs().amax(1) > self.room
            if bool(stretched.any()):
                its_box = None if box is None else box[stretched]
                bounded[stretched] = self.bounds(heavy[stretched], self.resistance, its_box)
        return bounded

    def completed(self, heavy: Tensor, X: Tensor, well: Tensor, deviate: Tensor) -> Tensor:
        """All atoms (B, n, 3) from the heavy ones (B, h, 3), with rotors by unit Gaussian noise (B, r)."""
        x = torch.zeros(heavy.shape[0], self.n_atoms, 3, dtype=heavy.dtype, device=heavy.device)
        x = x.index_copy(1, self.heavy, heavy).index_copy(1, self.kept, X.index_select(1, self.kept_beads))
        even = 0.5 * (1.0 + torch.erf(well * 0.7071067811865476))
        angles = draw_rotors(self.wells, even.clamp(0.0, 0.999999), deviate)
        placements = PlacementTensors(
            self.placed, self.references, self.symmetric, self.local, self.rotor, self.sizes, self.wells
        )
        return place(x, placements, angles)

    def at_beads(self, beads: Tensor, X: Tensor, x: Tensor) -> Tensor:
        """Atoms about the beads' centre, Angstrom to nm; exact models recentre in the beads' precision."""
        dx = (x - X[:, self.recentred.assignment]).to(beads.dtype) / self.angstrom_per_nm
        lifted = beads[:, self.recentred.assignment]
        if self.exact:
            dx = self.recentred(dx.transpose(0, 1)).transpose(0, 1)
            # Where beads share atoms, one recentring does not satisfy M x = X exactly.
            for _ in range(self.passes - 1):
                missed = beads.transpose(0, 1) - self.recentred.projected((lifted + dx).transpose(0, 1))
                dx = dx + missed.index_select(0, self.recentred.assignment).transpose(0, 1)
        return lifted + dx

    @torch.jit.export
    def reconstruct(self, atoms: Tensor) -> Tensor:
        """Encode all-atom structures (B, n, 3) in nm as torsions and decode them, (B, n, 3) in nm."""
        first = atoms[:, :1]
        relative = atoms - first
        beads = self.recentred.projected(relative.transpose(0, 1)).transpose(0, 1)
        X = ((beads - beads.mean(1, keepdim=True)) * self.angstrom_per_nm).to(self.local.dtype)
        centred = ((relative - beads.mean(1, keepdim=True)) * self.angstrom_per_nm).to(self.local.dtype)
        slots = torch.zeros(atoms.shape[0], self.types.shape[0], 14, 3, dtype=X.dtype, device=X.device)
        slots[:, self.residue, self.slot] = centred.index_select(1, self.heavy)
        batch = atoms.shape[0]
        types, connected = self.types.repeat(batch), self.connected.repeat(batch)
        points = slots[:, :, 1].flatten(0, 1)
        torsions = self.sampler.network.builder.torsions(slots.flatten(0, 1), types, connected)
        built = self.sampler.network.builder(points, types, connected, torsions).unflatten(0, (batch, -1))
        heavy = built[:, self.residue, self.slot]
        if self.bounded:
            heavy = self.bound(heavy, None)
        middle = torch.zeros(batch, self.wells.shape[0], dtype=X.dtype, device=X.device)
        return self.at_beads(beads + first, X, self.completed(heavy, X, middle, middle))
