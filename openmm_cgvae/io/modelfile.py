"""The model file: TorchScript with its mapping, topology and history inside."""

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from openmm_cgvae import __version__
from openmm_cgvae.core.errors import ModelFileError
from openmm_cgvae.core.output import check_output, complete_output

__all__ = ["FORMAT_VERSION", "EnergyFile", "ModelFile"]

FORMAT_VERSION = 1
# One function a step, from the version that is its key to the next; each takes and returns the extra files' contents.
MIGRATIONS = {}
EXTRA_FILES = ("metadata.json", "mapping.json", "potential.json")


@dataclass
class ModelFile:
    """A scripted model and what is known of it.

    Parameters
    ----------
    module : torch.jit.ScriptModule
        `ExportedModel`.
    mapping : dict
        `CGMapping.to_dict`, which holds the all-atom topology with names and bonds.
    potential : dict or None
        `CGPotential.to_dict`.
    metadata : dict
        Model and training settings, hash of the data, held-out runs, measured figures, bead spread.
    """

    FORMAT: ClassVar = "openmm_cgvae model"
    UNITS: ClassVar = {"positions": "nm", "noise": "unit Gaussian"}
    WRITER: ClassVar = "'openmm-cgvae export' or 'train'"

    module: object
    mapping: dict
    potential: dict | None = None
    metadata: dict = field(default_factory=dict)

    @property
    def weights(self):
        """State dict of the `CGVAE` inside, as ``Trainer(..., start=...)`` takes it."""
        return self.module.model.state_dict()

    def save(self, path, overwrite=False):
        """Write the file; it appears complete or not at all."""
        import torch

        path = check_output(path, overwrite)
        metadata = {"format": self.FORMAT, "format_version": FORMAT_VERSION, "package_version": __version__}
        metadata["units"] = self.UNITS
        contents = (metadata | self.metadata, self.mapping, self.potential)
        files = {name: json.dumps(value) for name, value in zip(EXTRA_FILES, contents, strict=True)}
        with complete_output(path) as temporary:
            torch.jit.save(self.module, str(temporary), _extra_files=files)

    @classmethod
    def load(cls, path):
        """Read a model file, on the CPU; nothing in it is unpickled or executed outside TorchScript.

        Raises
        ------
        ModelFileError
            If the file is missing, unreadable, of another kind, or of a newer format version.
        """
        import torch

        extra = _read_extra_files(Path(path), cls.WRITER)
        _check_format(path, extra["metadata.json"], cls.FORMAT)
        while extra["metadata.json"]["format_version"] < FORMAT_VERSION:
            extra = MIGRATIONS[extra["metadata.json"]["format_version"]](extra)
        try:
            module = torch.jit.load(str(path), map_location="cpu")
        except RuntimeError as error:
            raise ModelFileError(f"model file {path} is damaged: torch cannot load it; export it again") from error
        return cls(module.eval(), extra["mapping.json"], extra["potential.json"], extra["metadata.json"])


class EnergyFile(ModelFile):
    """A learned coarse-grained potential: as `ModelFile`, its module an `ExportedEnergy`, its tables the other part."""

    FORMAT: ClassVar = "openmm_cgvae learned potential"
    UNITS: ClassVar = {"positions": "nm", "energy": "kJ/mol"}
    WRITER: ClassVar = "'openmm-cgvae learn-forcefield'"


def _read_extra_files(path, writer):
    """The JSON members, read before torch sees the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {Path(name).name: name for name in archive.namelist() if "/extra/" in name}
            return {name: json.loads(archive.read(members[name])) for name in EXTRA_FILES}
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
