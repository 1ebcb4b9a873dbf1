"""A learned coarse-grained energy as an OpenMM TorchForce or PythonForce."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openmm
import torch
from torch import nn

from openmm_cgvae.cg.learnedfile import read_learned
from openmm_cgvae.core.errors import MissingDependencyError, SettingsError, one_line
from openmm_cgvae.core.scripted import pickled_module, unpickled_module

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy as np
    from torch import Tensor  # noqa: F401 (of the type comments)


__all__ = ["SCALE", "cg_force"]

BACKENDS = ("auto", "torchforce", "python")
# The Context's parameter that the learned energy is multiplied by.
SCALE = "learned_scale"
INSTALL = "pip install -c constraints-torchforce.txt 'openmm_cgvae[torchforce]' in an environment of its own"


class _OfParticles(nn.Module):
    """Base of TorchScript entry points: energy and forces of some of a System's particles; none means all."""

    def __init__(self, energy, particles=()):
        super().__init__()
        self.energy = energy
        self.register_buffer("particles", torch.tensor(particles, dtype=torch.long))

    def scaled(self, positions, box, scale):
        # type: (Tensor, Tensor | None, Tensor) -> tuple[Tensor, Tensor]
        particles = self.particles
        some = len(particles) > 0  # type: ignore[arg-type]
        own = positions[particles] if some else positions  # type: ignore[index]
        energy, forces = self.energy.energy_and_forces(own, box)
        forces = (forces * scale).to(positions.dtype)
        if some:
            forces = torch.zeros_like(positions).index_copy(0, particles, forces)  # type: ignore[arg-type]
        return energy * scale, forces


class OpenSystem(_OfParticles):
    """Entry point without a box: (positions, scale) to scaled energy and forces."""

    def forward(self, positions, scale):
        # type: (Tensor, Tensor) -> tuple[Tensor, Tensor]
        return self.scaled(positions, None, scale)


class PeriodicSystem(_OfParticles):
    """The same in a box: (positions, box, scale)."""

    def forward(self, positions, box, scale):
        # type: (Tensor, Tensor, Tensor) -> tuple[Tensor, Tensor]
        return self.scaled(positions, box, scale)


class PythonEnergy:
    """What a ``PythonForce`` calls; it can be pickled, so that the force can be copied and written to XML."""

    def __init__(self, module: Any, periodic: bool) -> None:
        self.module, self.periodic = module, periodic

    def __call__(self, state: Any) -> tuple[float, np.ndarray]:
        arguments = [torch.tensor(state.getPositions(asNumpy=True)._value)]
        if self.periodic:
            arguments.append(torch.tensor(state.getPeriodicBoxVectors(asNumpy=True)._value))
        with torch.enable_grad():
            energy, forces = self.module(*arguments, torch.tensor(state.getParameters()[SCALE]))
        return float(energy), forces.numpy()

    def __getstate__(self) -> dict[str, Any]:
        return {"module": pickled_module(self.module), "periodic": self.periodic}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.module, self.periodic = unpickled_module(state["module"]), state["periodic"]


def cg_force(model: Any, backend: str = "auto", periodic: bool = False, particles: Sequence[int] = ()) -> openmm.Force:
    """Return the learned term of a potential as an OpenMM force; `create_cg_system` adds it by itself.

    Both backends call the same TorchScript: energies and forces agree to rounding. There may be any number of
    molecules, one after the other. The learned energy is multiplied by the Context's parameter ``learned_scale``, 1 to
    begin with: ``context.setParameter("learned_scale", 0)`` leaves the tabulated potential.

    Parameters
    ----------
    model : LearnedPotential, path or torch.jit.ScriptModule
        The module: an `ExportedEnergy`.
    backend : {"auto", "torchforce", "python"}
        ``openmmtorch.TorchForce``, or ``openmm.PythonForce``; the first where it loads. Only a TorchForce runs the
        network where the simulation runs; a PythonForce runs it on the CPU.
    periodic : bool
        Whether molecules may be split over the System's periodic box, whatever its shape.
    particles : sequence of int
        The System's particles that are the beads, in their order, molecule after molecule; all if omitted.

    Returns
    -------
    openmm.Force

    Raises
    ------
    SettingsError
        If there is no such backend.
    MissingDependencyError
        If it cannot be loaded.
    ModelFileError
        If the file is no learned potential.
    """
    if backend not in BACKENDS:
        raise SettingsError(f"backend {backend!r} given: one of {', '.join(BACKENDS)} is expected")
    module = torch.jit.script((PeriodicSystem if periodic else OpenSystem)(_energy(model), particles).eval())
    torch_force = None if backend == "python" else _torch_force(needed=backend == "torchforce")
    if torch_force is None:
        if not hasattr(openmm, "PythonForce"):
            raise MissingDependencyError(f"OpenMM {openmm.__version__} has no PythonForce: install openmm 8.5 or newer")
        force = openmm.PythonForce(PythonEnergy(module, periodic), {SCALE: 1.0})
    else:
        force = torch_force(module)
        force.setOutputsForces(True)
        force.addGlobalParameter(SCALE, 1.0)
    force.setUsesPeriodicBoundaryConditions(periodic)
    force.setName("CG learned")
    return force


def _energy(model):
    if isinstance(model, torch.jit.ScriptModule):
        return model
    if not hasattr(model, "module"):
        return read_learned(model)[1]
    return model.module


def _torch_force(needed):
    """The class `TorchForce`, None if it does not load and is not needed."""
    try:
        from openmmtorch import TorchForce
    # An OSError if its libraries are of another torch.
    except (ImportError, OSError) as error:
        if not needed:
            return None
        raise MissingDependencyError(
            f"TorchForce cannot be loaded ({one_line(error)}): {INSTALL}, or use backend='python'"
        ) from error
    return TorchForce
