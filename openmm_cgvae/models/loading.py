"""The module of a model file: rebuilt by the package's own classes, so that nothing in the file is executed."""

import io
from collections.abc import Callable
from typing import Any

import torch

from openmm_cgvae.core.errors import CGVAEError, ModelFileError, one_line
from openmm_cgvae.io.modelfile import ModelFile

__all__ = ["compiled", "loaded_module", "rebuilt_module"]


def loaded_module(file: ModelFile, rebuild: Callable[[ModelFile], Any], trust: bool = False) -> Any:
    """Make the module of a model file, compiled to TorchScript.

    Of a model that comes with this package, known by its checksum, the TorchScript in the file is taken, which is there
    sooner; samples are the same to rounding.

    Parameters
    ----------
    file : ModelFile
    rebuild : callable
        Builds the module from the file's settings, molecule and weights.
    trust : bool
        Take the TorchScript in the file, whatever it is: its code can do anything that you can.

    Raises
    ------
    ModelFileError
        If it cannot be rebuilt, or loaded.
    """
    if trust or file.released:
        return file.scripted(trust)
    return compiled(rebuilt_module(file, rebuild))


def rebuilt_module(file: ModelFile, rebuild: Callable[[ModelFile], Any]) -> Any:
    """Call `rebuild` with a file; whatever is wrong with settings and weights is a `ModelFileError`."""
    try:
        return rebuild(file)
    except ModelFileError:
        raise
    except (CGVAEError, AttributeError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"the model {file.path} cannot be rebuilt ({one_line(error)}): a setting or weight is missing or unfit; "
            "export it again"
        ) from error


def compiled(module: Any) -> Any:
    """Compile a module to TorchScript, which is faster; what is no module of torch is left as it is."""
    if not isinstance(module, torch.nn.Module):
        return module
    # Saved and loaded: what torch compiles shares its optimised code with all of its kind, in whatever mode these ran.
    scripted = io.BytesIO()
    torch.jit.save(torch.jit.script(module), scripted)
    scripted.seek(0)
    return torch.jit.load(scripted, map_location="cpu").eval()
