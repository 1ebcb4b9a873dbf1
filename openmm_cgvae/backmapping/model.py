"""A model and the molecules that it serves."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from openmm_cgvae.core.errors import ModelFileError
from openmm_cgvae.io.bundled import resolve_model
from openmm_cgvae.io.modelfile import ModelFile

if TYPE_CHECKING:
    from openmm_cgvae.backmapping.sampler import Sampler
    from openmm_cgvae.core.types import PathLike

__all__ = ["KINDS", "Model", "ModelKind"]

# What a model file says in ``metadata["kind"]``, to the `ModelKind` that rebuilds and binds it, as "module:class".
KINDS = {
    "cgvae": "openmm_cgvae.backmapping.fixed:FixedMolecule",
    "baseline": "openmm_cgvae.backmapping.fixed:FixedMolecule",
    "protein": "openmm_cgvae.backmapping.protein:AnyProtein",
    "coarsenconf": "openmm_cgvae.ensembles.coarseexport:CoarsenConfKind",
    "ligand": "openmm_cgvae.backmapping.ligand:AnyLigand",
}


class ModelKind(Protocol):
    """Interface of a kind of models; a new kind is a class with these methods and an entry in `KINDS`."""

    # Whether `bind` takes a topology to know the molecule, which otherwise is in the file.
    of_any_molecule: bool

    @staticmethod
    def rebuild(file: ModelFile) -> Any:
        """Build the module by the package's own classes, from the file's settings, molecule and weights."""
        ...

    @staticmethod
    def bind(file: ModelFile, topology: Any, **options: Any) -> Sampler:
        """Make a sampler of one molecule; `topology` is of its beads, or None where the model is of one molecule."""
        ...

    @staticmethod
    def serves(file: ModelFile) -> str:
        """Say in a few words which molecules the model is of."""
        ...


class Model:
    """A model file: ``Model.load("alanine-dipeptide-3").bind(cg_topology)`` gives a `Backmapper` of that molecule.

    Parameters
    ----------
    file : ModelFile

    Attributes
    ----------
    metadata : dict
        What is known of the model.
    """

    def __init__(self, file: ModelFile) -> None:
        self.file = file
        self.metadata = file.metadata

    @classmethod
    def load(cls, name_or_path: PathLike, rebuild: bool = False, trust: bool = False) -> Model:
        """Load a bundled model by name, or a model file by path.

        Nothing in a file is executed: its weights and settings are put into the package's own classes, which are then
        compiled. Of a bundled model, known by its checksum, the TorchScript is taken, which is there sooner.

        Parameters
        ----------
        name_or_path : str or path
        rebuild : bool
            Use the package's own classes in place of TorchScript. Samples are the same to rounding.
        trust : bool
            Use the TorchScript in the file, whatever it is. Its code can read, write and do anything that you can: only
            for files of people whose programs you would run.

        Raises
        ------
        ModelFileError
            If there is no such model, the file is not a model file, or it cannot be rebuilt.
        """
        from openmm_cgvae.models.loading import loaded_module, rebuilt_module

        path = resolve_model(name_or_path)
        model = cls(ModelFile.load(path))
        file = model.file
        load = rebuilt_module if rebuild else partial(loaded_module, trust=trust)
        file.module = load(file, model._kind.rebuild)
        return model

    @property
    def _kind(self) -> ModelKind:
        if self.file.kind not in KINDS:
            raise ModelFileError(
                f"a model of kind {self.file.kind!r} given, this package knows {', '.join(KINDS)}: upgrade openmm_cgvae"
            )
        module, name = KINDS[self.file.kind].split(":")
        return getattr(import_module(module), name)

    @property
    def serves(self) -> str:
        """Which molecules the model is of, in a few words."""
        return self._kind.serves(self.file)

    @property
    def of_any_molecule(self) -> bool:
        """Whether `bind` takes a topology to know the molecule, which otherwise is in the file."""
        return self._kind.of_any_molecule

    def bind(self, cg_topology: Any = None, **options: Any) -> Sampler:
        """Make a sampler of one molecule.

        Parameters
        ----------
        cg_topology : openmm.app.Topology or mdtraj.Topology, optional
            Of the beads. A model of one molecule checks it, and needs none.
        **options
            ``device``, ``precision``, ``chunk_size`` of `Backmapper`.

        Returns
        -------
        Sampler
            A `Backmapper`, of a model of one molecule.

        Raises
        ------
        TopologyMismatchError
            If the model does not serve this molecule.
        """
        self.make_module()
        return self._kind.bind(self.file, cg_topology, **options)

    def make_module(self) -> None:
        """Make the module of a file that was read only, unless it is there."""
        from openmm_cgvae.models.loading import loaded_module

        if self.file.module is None:
            self.file.module = loaded_module(self.file, self._kind.rebuild)
