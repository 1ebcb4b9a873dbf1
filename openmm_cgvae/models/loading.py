"""The module of a model file: rebuilt by the package's own classes, so that nothing in the file is executed."""

import hashlib
import io
import pickle
from collections.abc import Callable
from typing import Any

import torch

from openmm_cgvae.core.errors import CGVAEError, ModelFileError, one_line
from openmm_cgvae.core.scripted import pickled_module, unpickled_module
from openmm_cgvae.io.modelfile import ModelFile

__all__ = ["compiled", "loaded_module", "rebuilt_module"]

# TorchScript of the modules compiled last, by their contents: a model that is loaded again need not wait for seconds.
KEPT = 4
_scripted: dict[bytes, bytes] = {}


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
    digest = _digest(module)
    content = _scripted.pop(digest, None) or _script(module)
    _scripted[digest] = content
    while len(_scripted) > KEPT:
        del _scripted[next(iter(_scripted))]
    return unpickled_module(content)


class _Contents(pickle.Pickler):
    """Pickles alike what is alike: tensors by their values, strings whether or not they are one object."""

    def __init__(self, file):
        super().__init__(file)
        self.fast = True

    def persistent_id(self, thing):
        if isinstance(thing, torch.Tensor):
            return str(thing.dtype), tuple(thing.shape), thing.detach().cpu().contiguous().numpy().tobytes()
        return None


def _digest(module):
    content = io.BytesIO()
    _Contents(content).dump(module)
    return hashlib.sha256(content.getbuffer()).digest()


def _script(module):
    # Saved and loaded: what torch compiles shares its optimised code with all of its kind, in whatever mode these ran.
    return pickled_module(torch.jit.script(module))
