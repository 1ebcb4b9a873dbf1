"""The file of a learned coarse-grained potential: its tables, its module and what it says of itself."""

from typing import Any

from openmm_cgvae.cg.potential import CGPotential
from openmm_cgvae.core.errors import ModelFileError
from openmm_cgvae.core.periodic import spanning_tree
from openmm_cgvae.core.reading import reading
from openmm_cgvae.io.modelfile import EnergyFile
from openmm_cgvae.molecule.mapping import CGMapping

__all__ = ["read_learned"]


def read_learned(path: Any, trust: bool = False) -> tuple[CGPotential, Any, EnergyFile]:
    """Read a learned potential.

    Parameters
    ----------
    path : path
    trust : bool
        As of `openmm_cgvae.models.loading.loaded_module`.

    Returns
    -------
    tables : CGPotential
    module : torch.jit.ScriptModule
        `ExportedEnergy`.
    file : EnergyFile

    Raises
    ------
    ModelFileError
        If it is anything else, or damaged.
    """
    from openmm_cgvae.models.energy import rebuild_energy
    from openmm_cgvae.models.loading import loaded_module

    file = EnergyFile.load(path)
    with reading(path, "learned potential", EnergyFile.WRITER, ModelFileError):
        tables, mapping = CGPotential.from_dict(file.potential), CGMapping.from_dict(file.mapping)
        if tables.n_beads != mapping.n_beads:
            raise ModelFileError(f"{path} has tables of {tables.n_beads} beads, and {mapping.n_beads} in its mapping")
        tree = spanning_tree(mapping.n_beads, mapping.bead_bonds).tolist()
        module = loaded_module(file, lambda file: rebuild_energy(file.metadata["model"], file.state, tree), trust)
    return tables, module, file
