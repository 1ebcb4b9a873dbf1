"""The model file: TorchScript and the weights in it, with mapping, topology, settings and history beside them."""

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from openmm_cgvae import __version__
from openmm_cgvae.core.errors import ModelFileError
from openmm_cgvae.core.output import check_output, write_bytes
from openmm_cgvae.io.archive import add_members, read_members, read_weights

__all__ = ["FORMAT_VERSION", "EnergyFile", "ModelFile"]

FORMAT_VERSION = 2


def kind_of_version_1(members):
    """Migrate version 1, which had no kind, no index of the weights and no arrays of the molecule."""
    metadata = members["metadata.json"]
    kind = "baseline" if "baseline" in metadata else "cgvae"
    if metadata["format"] == EnergyFile.FORMAT:
        kind = EnergyFile.KIND
    return members | {"metadata.json": {"kind": kind} | metadata | {"format_version": 2}}


# One function a step, from the version that is its key to the next; each takes and returns the members' contents.
MIGRATIONS = {1: kind_of_version_1}
EXTRA_FILES = ("metadata.json", "mapping.json", "potential.json")


@dataclass
class ModelFile:
    """A model and what is known of it.

    Parameters
    ----------
    module : torch.jit.ScriptModule or None
        `ExportedModel`; None where it was not loaded.
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
    """

    FORMAT: ClassVar = "openmm_cgvae model"
    UNITS: ClassVar = {"positions": "nm", "noise": "unit Gaussian"}
    WRITER: ClassVar = "'openmm-cgvae export' or 'train'"
    KIND: ClassVar = "cgvae"

    module: Any
    mapping: dict
    potential: dict | None = None
    metadata: dict = field(default_factory=dict)
    molecule: dict | None = None
    state: dict | None = None

    def __post_init__(self):
        if self.state is None and self.module is not None:
            self.state = self.module.state_dict()

    @property
    def kind(self):
        """What rebuilds and binds the model: a key of ``openmm_cgvae.backmapping.model.KINDS``."""
        return self.metadata.get("kind", self.KIND)

    @property
    def weights(self):
        """State dict of the model inside, such as a `CGVAE`, as ``Trainer(..., start=...)`` takes it."""
        return {name.removeprefix("model."): value for name, value in self.state.items()}

    def save(self, path, overwrite=False):
        """Write the file; it appears complete or not at all."""
        import torch

        path = check_output(path, overwrite)
        metadata = {"format": self.FORMAT, "format_version": FORMAT_VERSION, "package_version": __version__}
        metadata |= {"kind": self.KIND, "units": self.UNITS}
        contents = (metadata | self.metadata, self.mapping, self.potential)
        files = {name: json.dumps(value) for name, value in zip(EXTRA_FILES, contents, strict=True)}

        def save(file):
            torch.jit.save(self.module, file, _extra_files=files)
            add_members(file, self.state, self.molecule)

        write_bytes(path, save)

    @classmethod
    def load(cls, path, scripted=True):
        """Read a model file, on the CPU; nothing in it is unpickled or executed outside TorchScript.

        Parameters
        ----------
        path : path
        scripted : bool
            Load the TorchScript. Without it `module` is None and torch.jit is not needed; see
            ``openmm_cgvae.backmapping.model.Model.load`` for a module of the package's own classes.

        Raises
        ------
        ModelFileError
            If the file is missing, unreadable, of another kind, or of a newer format version.
        """
        extra = _read_extra_files(Path(path), cls.WRITER)
        _check_format(path, extra["metadata.json"], cls.FORMAT)
        while extra["metadata.json"]["format_version"] < FORMAT_VERSION:
            extra = MIGRATIONS[extra["metadata.json"]["format_version"]](extra)
        contents = [extra[name] for name in ("mapping.json", "potential.json", "metadata.json", "molecule.npz")]
        if not scripted:
            return cls(None, *contents, read_weights(path))
        import torch

        try:
            module = torch.jit.load(str(path), map_location="cpu")
        except RuntimeError as error:
            raise ModelFileError(f"model file {path} is damaged: torch cannot load it; export it again") from error
        return cls(module.eval(), *contents)


class EnergyFile(ModelFile):
    """A learned coarse-grained potential: as `ModelFile`, its module an `ExportedEnergy`, its tables the other part."""

    FORMAT: ClassVar = "openmm_cgvae learned potential"
    UNITS: ClassVar = {"positions": "nm", "energy": "kJ/mol"}
    WRITER: ClassVar = "'openmm-cgvae learn-forcefield'"
    KIND: ClassVar = "energy"


def _read_extra_files(path, writer):
    """The JSON members, read before torch sees the file."""
    try:
        return read_members(path, EXTRA_FILES)
    except FileNotFoundError as error:
        raise ModelFileError(f"model file {path} does not exist") from error
    except (KeyError, zipfile.BadZipFile, ValueError, EOFError) as error:
        raise ModelFileError(f"{path} is not a model file of openmm_cgvae: what {writer} writes is expected") from error
    except OSError as error:
        raise ModelFileError(f"model file {path} cannot be read: {error.strerror or error}") from error


def _check_format(path, metadata, expected):
    found = metadata.get("format") if isinstance(metadata, dict) else None
    if found != expected:
        raise ModelFileError(f"{path} is a {found!r}, {expected!r} is expected")
    version = metadata.get("format_version", 0)
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path} has format version {version}, this package reads up to {FORMAT_VERSION}: "
            f"upgrade openmm_cgvae (the file was written by {metadata['package_version']}, this is {__version__})"
        )
    if version < FORMAT_VERSION and version not in MIGRATIONS:
        raise ModelFileError(f"{path} has format version {version}, which is not read: export the model again")
