"""A learned coarse-grained energy: the prior's message passing on beads, read out to one number a molecule."""

from dataclasses import MISSING, fields

import numpy as np
import torch
from torch import nn

from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.units import ANGSTROM_PER_NM
from openmm_cgvae.geometry.types import as_types, moments_by_type, n_types
from openmm_cgvae.models.config import ModelConfig, config_from_dict
from openmm_cgvae.models.layers import BeadConvolution, RadialBasis, mlp
from openmm_cgvae.models.prior import BeadVolumes
from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["CGEnergy", "ExportedEnergy", "rebuild_energy", "script_energy"]

# Saturation of the signed volumes, in standard deviations of the training frames.
REACH = 3.0


class CGEnergy(nn.Module):
    """Potential energy of one molecule's beads, invariant under rotation and translation.

    SchNet-like message passing over bead distances (paper, Eq. (4)) from an embedding and the signed volume of every
    bead, so that mirror images differ from 4 beads on. Volumes saturate outside the training range: without this, the
    energy of 5 beads of alanine dipeptide fell by 1,000 kJ/mol there and tore the molecule apart. An untrained energy
    is zero.

    Parameters
    ----------
    spec : MoleculeSpec
    config : ModelConfig
        ``features``, ``radial``, ``prior_layers``, ``bead_cutoff_angstrom`` and ``activation`` count.
    """

    def __init__(self, spec: MoleculeSpec, config: ModelConfig):
        super().__init__()
        width, activation = config.features, config.activation
        n_rows = n_types(spec.bead_types, spec.n_beads)
        self.embedding = nn.Parameter(torch.randn(n_rows, width))
        self.volumes, self.reach = BeadVolumes(spec), REACH
        self.register_buffer("volume_mean", torch.zeros(n_rows))
        self.register_buffer("volume_scale", torch.ones(n_rows))
        self.register_buffer("bead_types", as_types(spec.bead_types, spec.n_beads), persistent=False)
        self.side = nn.Linear(1, width, bias=False)
        self.radial = RadialBasis(config.radial, config.bead_cutoff_angstrom)
        self.layers = nn.ModuleList(
            [BeadConvolution(width, config.radial, activation) for _ in range(config.prior_layers)]
        )
        self.readout = mlp(width, width, 1, activation)
        nn.init.zeros_(self.readout[2].weight)
        nn.init.zeros_(self.readout[2].bias)

    @torch.jit.unused
    def calibrate(self, X: torch.Tensor) -> None:
        """Take mean and spread of the signed volumes from training beads (frames, N, 3) in Angstrom."""
        volumes = self.volumes(X)
        mean, variance = moments_by_type(volumes, self.bead_types, len(self.volume_mean))
        self.volume_mean.copy_(mean)
        self.volume_scale.copy_(variance.sqrt().clamp_min(1e-3))

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Beads (B, N, 3) in Angstrom, molecules whole, to energies (B,) in kJ/mol."""
        rbf, _, neighbours = self.radial.graph(X, X.dtype)
        sides = (self.volumes(X) - self.volume_mean[self.bead_types]) / self.volume_scale[self.bead_types]
        h = self.embedding[self.bead_types] + self.side((self.reach * torch.tanh(sides / self.reach)).unsqueeze(-1))
        for layer in self.layers:
            h = layer(h, rbf, neighbours)
        return self.readout(h).sum((1, 2))


class ExportedEnergy(nn.Module):
    """A `CGEnergy` at its public boundary: nm, kJ/mol, any number of molecules, a periodic box if there is one.

    Parameters
    ----------
    model : CGEnergy
    tree : sequence of (int, int)
        Bonded beads, parent and child, every parent before its children (`openmm_cgvae.core.periodic.spanning_tree`).
    """

    tree: list[tuple[int, int]]

    def __init__(self, model: CGEnergy, tree):
        super().__init__()
        self.model = model
        self.n_beads = int(model.bead_types.shape[0])
        self.tree = [(int(parent), int(child)) for parent, child in tree]
        self.angstrom_per_nm = float(ANGSTROM_PER_NM)

    def forward(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy of all molecules.

        Parameters
        ----------
        positions : Tensor, shape (m * N, 3)
            nm, molecule after molecule; in a box, each particle may be any of its images.
        box : Tensor, shape (3, 3), optional
            Rows a, b, c in nm, as OpenMM has them. Bonded beads must be nearer than half its width.

        Returns
        -------
        Tensor, scalar
            kJ/mol, in the precision of the weights.
        """
        X = positions.to(self.model.embedding.dtype).reshape(-1, self.n_beads, 3)
        if box is not None:
            X = self.made_whole(X, box.to(X.dtype))
        return self.model((X - X.mean(1, keepdim=True)) * self.angstrom_per_nm).sum()

    @torch.jit.export
    def energy_and_forces(self, positions, box=None):
        # type: (Tensor, Tensor | None) -> tuple[Tensor, Tensor]
        """The energy of `forward`, and forces (m * N, 3) in kJ/mol/nm: minus its gradient."""
        x = positions.detach().to(self.model.embedding.dtype).requires_grad_(True)
        energy = self.forward(x, box)
        gradient = torch.autograd.grad([energy], [x])[0]
        assert gradient is not None
        return energy.detach(), -gradient

    def made_whole(self, X: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
        """Put every bead (B, N, 3) beside the one it is bonded to."""
        beads = list(X.unbind(1))
        for parent, child in self.tree:
            vector = (beads[child] - beads[parent]).detach()
            for axis in (2, 1, 0):
                shift = torch.round(vector[:, axis : axis + 1] / box[axis, axis]) * box[axis]
                vector = vector - shift
                beads[child] = beads[child] - shift
        return torch.stack(beads, 1)


def rebuild_energy(settings, state, tree):
    """Rebuild the `ExportedEnergy` of a learned potential from its settings and weights.

    Parameters
    ----------
    settings : dict
        Of `ModelConfig`.
    state : dict of str to Tensor
        State dict of the `ExportedEnergy`, which also holds the index arrays of its beads.
    tree : sequence of (int, int)
        As of `ExportedEnergy`.

    Raises
    ------
    SettingsError, KeyError, RuntimeError
        If settings or weights are missing, or do not fit.
    """
    weights = {name.removeprefix("model."): value for name, value in state.items()}
    config, there = config_from_dict(ModelConfig, settings), sum(value.numel() for value in weights.values())
    if config.features**2 * config.prior_layers > there:
        raise SettingsError(f"features={config.features} given, for which there are too few weights, {there}")
    model = CGEnergy(_spec(weights), config).double()
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    return _exported(model, tree)


def _spec(weights):
    """A molecule of beads alone."""
    types = weights["bead_types"].numpy()
    none = np.zeros((0, 0), dtype=np.int64)
    arrays = {field.name: none for field in fields(MoleculeSpec) if field.default is MISSING}
    arrays |= {"projection": np.zeros((len(types), 0)), "bead_frames": weights["volumes.frames"].numpy()}
    return MoleculeSpec(**arrays, bead_types=types)


def script_energy(model, tree):
    """Compile a `CGEnergy` to TorchScript in double precision, its weights fixed.

    Returns
    -------
    torch.jit.ScriptModule
        `ExportedEnergy`.
    """
    return torch.jit.script(_exported(model, tree))


def _exported(model, tree):
    return ExportedEnergy(model, tree).double().eval().requires_grad_(False)
