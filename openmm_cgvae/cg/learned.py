"""A coarse-grained potential with a learned term: made by force matching, saved, loaded, and run like any other."""

from __future__ import annotations

import hashlib
import logging
import zipfile
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import openmm

from openmm_cgvae.cg.learnedfile import read_learned
from openmm_cgvae.cg.mappedforces import evaluate_forces, force_map, force_noise
from openmm_cgvae.cg.potential import CGPotential
from openmm_cgvae.cg.system import create_cg_system
from openmm_cgvae.cg.timestep import N_FRAMES, RANGE_PS, SHIFT_NM, STEPS_PER_PERIOD
from openmm_cgvae.core.periodic import spanning_tree
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.io.modelfile import EnergyFile
from openmm_cgvae.molecule.mapping import CGMapping

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike

    from openmm_cgvae.cg.forcematching import ForceMatchingConfig
    from openmm_cgvae.core.types import PathLike, Positions
    from openmm_cgvae.models.config import ModelConfig
    from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["LearnedPotential", "learn_potential", "load_potential"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LearnedPotential(CGPotential):
    """Tables and, added to them, a learned energy: ``create_cg_simulation(mapping, LearnedPotential.load(file))``.

    Parameters
    ----------
    module : torch.jit.ScriptModule
        `ExportedEnergy`.
    mapping : dict
        `CGMapping.to_dict`.
    metadata : dict
        Settings, and ``force_error``: `ForceError` on ``validation`` and ``test`` runs.
    """

    module: Any
    mapping: dict[str, Any]
    metadata: dict[str, Any]

    @property
    def tables(self) -> CGPotential:
        """The tabulated part, a `CGPotential`."""
        return CGPotential(**{field.name: getattr(self, field.name) for field in fields(CGPotential)})

    def energy(self, beads_nm: Positions) -> np.ndarray:
        """Potential energy in kJ/mol of bead positions in nm, shapes (..., N, 3) to (...)."""
        import torch

        frames = torch.tensor(np.asarray(beads_nm, dtype=float)).reshape(-1, self.n_beads, 3)
        with torch.no_grad():
            learned = torch.stack([self.module(frame) for frame in frames]).numpy()
        return super().energy(beads_nm) + learned.reshape(np.shape(beads_nm)[:-2])

    def to_dict(self) -> dict[str, Any]:
        """As `CGPotential.to_dict`, with the hash of the learned term's weights."""
        digest = hashlib.sha256()
        for value in self.module.state_dict().values():
            digest.update(value.numpy().tobytes())
        return super().to_dict() | {"learned": digest.hexdigest()}

    def save(self, path: PathLike, overwrite: bool = False) -> None:
        """Write tables, learned term and mapping to one file; it appears complete or not at all."""
        EnergyFile(self.module, self.mapping, self.tables.to_dict(), self.metadata).save(path, overwrite)

    @classmethod
    def load(cls, path: PathLike, trust: bool = False) -> LearnedPotential:
        """Read what `save` wrote; nothing in it is executed, unless `trust` asks for the TorchScript in the file.

        Raises
        ------
        ModelFileError
            If it is anything else, or damaged.
        """
        tables, module, file = read_learned(path, trust)
        return cls.joined(tables, module, file.mapping, file.metadata)

    @classmethod
    def joined(
        cls, tables: CGPotential, module: Any, mapping: dict[str, Any], metadata: dict[str, Any]
    ) -> LearnedPotential:
        """Join a `CGPotential` and a learned term."""
        own = {field.name: getattr(tables, field.name) for field in fields(tables)}
        return cls(**own, module=module, mapping=mapping, metadata=metadata)


def load_potential(path: PathLike, trust: bool = False) -> CGPotential:
    """Read a potential that `CGPotential.save` or `LearnedPotential.save` wrote; `trust` as of the latter."""
    return LearnedPotential.load(path, trust) if zipfile.is_zipfile(path) else CGPotential.load(path)


def learn_potential(
    mapping: CGMapping,
    tables: CGPotential,
    spec: MoleculeSpec,
    beads_nm: np.ndarray,
    forces: ArrayLike,
    runs: np.ndarray,
    model_config: ModelConfig | None = None,
    config: ForceMatchingConfig | None = None,
    checkpoint: PathLike | None = None,
    progress: bool = True,
) -> LearnedPotential:
    """Fit a learned term to the mean force on the beads that the tables do not reproduce.

    Parameters
    ----------
    mapping : CGMapping
    tables : CGPotential
        The prior energy: the learned one is added to it.
    spec : MoleculeSpec
        As `molecule_spec` gives.
    beads_nm : numpy.ndarray, shape (frames, N, 3)
        nm, molecules whole.
    forces : numpy.ndarray, shape (frames, n, 3)
        Of the reference on all atoms, kJ/mol/nm; brought to the beads by `force_map`.
    runs : int array, shape (frames,)
        Independent run of every frame.
    model_config, config, checkpoint
        As in `ForceMatcher`.
    progress : bool

    Returns
    -------
    LearnedPotential
        ``metadata["force_error"]`` holds the force errors with and without the learned term.

    Raises
    ------
    MappingError, DataError, SettingsError, TrainingError
        As `force_map` and `ForceMatcher` say.
    """

    from openmm_cgvae.cg.forcematching import ForceMatcher, force_error
    from openmm_cgvae.models.energy import script_energy

    reference = force_map(mapping, forces) @ np.asarray(forces, dtype=float)
    tabulated = tabulated_forces(mapping, tables, beads_nm, progress)
    matcher = ForceMatcher(spec, beads_nm, reference - tabulated, runs, model_config, config, checkpoint)
    with progress_bar(
        total=matcher.config.epochs, initial=len(matcher.history) - 1, unit="epoch", shown=progress
    ) as bar:
        model = matcher.run(lambda done, error: bar.update(done - bar.n))
    errors = {}
    for name, frames in (("validation", matcher.validation_frames), ("test", matcher.test_frames)):
        if len(frames):
            learned = tabulated[frames] + matcher.forces(frames)
            error = asdict(force_error(reference[frames], tabulated[frames], learned, runs[frames]))
            errors[name] = error | {"noise": force_noise(beads_nm[frames], reference[frames])}
    metadata = {"model": asdict(matcher.model_config), "training": asdict(matcher.config), "force_error": errors}
    module = script_energy(model, spanning_tree(mapping.n_beads, mapping.bead_bonds).tolist())
    step = _time_step(tables, module, mapping.masses, beads_nm)
    return LearnedPotential.joined(replace(tables, time_step_ps=step), module, mapping.to_dict(), metadata)


def tabulated_forces(mapping, tables, beads_nm, progress=False):
    """Forces of a potential's tables on all frames, shape (frames, N, 3), kJ/mol/nm."""
    system = create_cg_system(mapping, tables)
    platform = openmm.Platform.getPlatformByName("Reference")
    return evaluate_forces(openmm.Context(system, openmm.VerletIntegrator(0.001), platform), beads_nm, progress)


def _time_step(tables, module, masses, beads_nm):
    """A twentieth of the shortest period if squared frequencies of tables and learned term add up."""
    import torch

    roots = np.repeat(np.sqrt(masses), 3)
    shifts = SHIFT_NM * np.eye(beads_nm[0].size).reshape(-1, *beads_nm[0].shape)
    squares = [(2 * np.pi / (STEPS_PER_PERIOD * tables.time_step_ps)) ** 2, 0.0]
    for k in np.unique(np.linspace(0, len(beads_nm) - 1, N_FRAMES).round().astype(int)):
        sides = [
            np.stack(
                [module.energy_and_forces(torch.tensor(x))[1].numpy().ravel() for x in beads_nm[k] + sign * shifts]
            )
            for sign in (-1, 1)
        ]
        hessian = (sides[0] - sides[1]) / (2 * SHIFT_NM) / np.outer(roots, roots)
        squares[1] = max(squares[1], np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1])
    return float(np.clip(2 * np.pi / np.sqrt(sum(squares)) / STEPS_PER_PERIOD, *RANGE_PS).round(5))
