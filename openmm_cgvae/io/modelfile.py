"""The model file: TorchScript and the weights in it, with mapping, topology, settings and history beside them."""

import hashlib
import io
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from openmm_cgvae import __version__
from openmm_cgvae.core.archive import Archive
from openmm_cgvae.core.errors import ModelFileError
from openmm_cgvae.core.output import check_output, complete_output
from openmm_cgvae.core.reading import reading
from openmm_cgvae.core.scripted import pickled_module, unpickled_module
from openmm_cgvae.io.archive import EXTRA, indexed_weights, molecule_arrays, write_model_archive
from openmm_cgvae.io.bundled import released_digests
from openmm_cgvae.io.metadata import check_metadata
from openmm_cgvae.molecule.description import check_mapping

__all__ = ["FORMAT_VERSION", "EnergyFile", "ModelFile"]

logger = logging.getLogger(__name__)

FORMAT_VERSION = 3
# The first version whose files have checksums.
SEALED_VERSION = 3


def kind_of_version_1(members):
    """Migrate version 1, which had no kind, no index of the weights and no arrays of the molecule."""
    metadata = members["metadata.json"]
    kind = "baseline" if "baseline" in metadata else "cgvae"
    if metadata["format"] == EnergyFile.FORMAT:
        kind = EnergyFile.KIND
    return members | {"metadata.json": {"kind": kind} | metadata | {"format_version": 2}}


def checksums_of_version_2(members):
    """Migrate version 2, which had no checksums."""
    return members | {"metadata.json": members["metadata.json"] | {"format_version": 3}}


# One function a step, from the version that is its key to the next; each takes and returns the members' contents.
MIGRATIONS = {1: kind_of_version_1, 2: checksums_of_version_2}
EXTRA_FILES = ("metadata.json", "mapping.json", "potential.json")


@dataclass
class ModelFile:
    """A model and what is known of it.

    Parameters
    ----------
    module : torch.nn.Module or torch.jit.ScriptModule or None
        `ExportedModel`; None where it was not made.
    mapping : dict
        `CGMapping.to_dict`, which holds the all-atom topology with names and bonds.
    potential : dict or None
        `CGPotential.to_dict`.
    metadata : dict
        Kind, model and training settings, hash of the data, held-out runs, measured figures, bead spread.
    molecule : dict of str to numpy.ndarray, optional
        ``MoleculeSpec.to_arrays``: with the settings and the `state`, all that the package's classes take to rebuild
        the module.
    state : dict of str to Tensor, optional
        State dict of the module, taken from it if omitted.
    path : path, optional
        Where it was read.
    released : bool
        Whether it is, byte for byte, a model that comes with this package.
    """

    FORMAT: ClassVar = "openmm_cgvae model"
    UNITS: ClassVar = {"positions": "nm", "noise": "unit Gaussian"}
    WRITER: ClassVar = "'openmm-cgvae export' or 'train'"
    NAME: ClassVar = "model file of openmm_cgvae"
    KIND: ClassVar = "cgvae"

    module: Any
    mapping: dict
    potential: dict | None = None
    metadata: dict = field(default_factory=dict)
    molecule: dict | None = None
    state: dict | None = None
    path: Path | None = None
    released: bool = False

    def __post_init__(self):
        if self.state is None and self.module is not None:
            self.state = self.module.state_dict()

    def __getstate__(self):
        """What is pickled for other processes."""
        return self.__dict__ | {"module": pickled_module(self.module)}

    def __setstate__(self, state):
        self.__dict__.update(state | {"module": unpickled_module(state["module"])})

    @property
    def kind(self):
        """What rebuilds and binds the model: a key of ``openmm_cgvae.backmapping.model.KINDS``."""
        return self.metadata.get("kind", self.KIND)

    @property
    def weights(self):
        """State dict of the model inside, such as a `CGVAE`, as ``Trainer(..., start=...)`` takes it."""
        return {name.removeprefix("model."): value for name, value in self.state.items()}

    def save(self, path, overwrite=False):
        """Write the file; it appears complete or not at all. A module that is no TorchScript is compiled to it."""
        import torch

        path = check_output(path, overwrite)
        metadata = {"format": self.FORMAT, "format_version": FORMAT_VERSION, "package_version": __version__}
        metadata |= {"kind": self.KIND, "units": self.UNITS}
        contents = (metadata | self.metadata, self.mapping, self.potential)
        scripted = io.BytesIO()
        # Not to the path: torch ends the process on a full disk.
        torch.jit.save(torch.jit.script(self.module), scripted)
        with complete_output(path) as temporary:
            texts = dict(zip(EXTRA_FILES, contents, strict=True))
            write_model_archive(temporary, scripted.getvalue(), texts, self.state, self.molecule)

    @classmethod
    def load(cls, path):
        """Read a model file, weights on the CPU. Nothing in it is executed, and torch does not see it.

        ``openmm_cgvae.backmapping.model.Model.load`` makes the module of it; here `module` is None.

        Raises
        ------
        ModelFileError
            If the file is missing, damaged, changed since it was written, of another kind, or of a newer format
            version.
        """
        with reading(path, cls.NAME, cls.WRITER, ModelFileError), Archive(path) as archive:
            texts = {name: archive.json(EXTRA + name) for name in EXTRA_FILES}
            check_format(path, texts["metadata.json"], cls.FORMAT)
            released = archive.sha256 in released_digests()
            if not archive.sealed and not released:
                _check_unsealed(path, texts["metadata.json"])
            while texts["metadata.json"]["format_version"] < FORMAT_VERSION:
                texts = MIGRATIONS[texts["metadata.json"]["format_version"]](texts)
            metadata, mapping, potential = (texts[name] for name in EXTRA_FILES)
            check_metadata(metadata)
            if mapping:
                check_mapping(mapping)
            return cls(None, mapping, potential, metadata, molecule_arrays(archive), _weights(archive),
                       Path(path), released)  # fmt: skip

    def scripted(self, trust=False):
        """Load the TorchScript of the file, on the CPU, whose code may do anything: of a released model only.

        Parameters
        ----------
        trust : bool
            Load it whatever it is.

        Raises
        ------
        ModelFileError
            If torch cannot load it, or the file is none of this package and not trusted.
        """
        import torch

        content = self.path.read_bytes()
        if not trust and hashlib.sha256(content).hexdigest() not in released_digests():
            raise ModelFileError(f"{self.path} does not come with this package: trust=True (--trust) runs its code")
        try:
            return torch.jit.load(io.BytesIO(content), map_location="cpu").eval()
        except RuntimeError as error:
            raise ModelFileError(f"model file {self.path} is damaged: torch cannot load it; export it again") from error


class EnergyFile(ModelFile):
    """A learned coarse-grained potential: as `ModelFile`, its module an `ExportedEnergy`, its tables the other part."""

    FORMAT: ClassVar = "openmm_cgvae learned potential"
    UNITS: ClassVar = {"positions": "nm", "energy": "kJ/mol"}
    WRITER: ClassVar = "'openmm-cgvae learn-forcefield'"
    NAME: ClassVar = "learned potential"
    KIND: ClassVar = "energy"


def _weights(archive):
    """State dict of the module, by the index that says where it is, or, in version 1, by what TorchScript says."""
    found = indexed_weights(archive)
    if found is not None:
        return found
    from openmm_cgvae.io.tensors import read_pickled, scripted_state

    return scripted_state(read_pickled(archive))


def check_format(path, metadata, expected):
    """Refuse metadata of another format than expected, or of a version that is not read (`ModelFileError`)."""
    found = metadata.get("format") if isinstance(metadata, dict) else None
    if found != expected:
        raise ModelFileError(f"{path} is a {found!r}, {expected!r} is expected")
    version = metadata.get("format_version")
    if type(version) is not int:
        raise ModelFileError(f"{path} has format version {version!r}, a whole number is expected: the file is damaged")
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path} has format version {version}, this package reads up to {FORMAT_VERSION}: upgrade openmm_cgvae "
            f"(the file was written by {metadata.get('package_version')}, this is {__version__})"
        )
    if version < FORMAT_VERSION and version not in MIGRATIONS:
        raise ModelFileError(f"{path} has format version {version}, which is not read: export the model again")


def _check_unsealed(path, metadata):
    """Refuse a file that lost its checksums; note one of a version that had none."""
    if metadata["format_version"] >= SEALED_VERSION:
        raise ModelFileError(f"{path} has no checksums: it was changed since it was written; get or export it again")
    logger.info("%s is of an older version, without checksums: damage to it may go unnoticed; save it again", path)
