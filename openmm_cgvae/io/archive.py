"""Additional members of a TorchScript archive, and reading of weights without torch.jit or pickle."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import ModelFileError

__all__ = ["add_members", "read_members", "read_weights"]

WEIGHTS = "weights.json"


def add_members(file, state, arrays=None):
    """Say in a TorchScript archive where its weights are, and put the molecule's index arrays beside them.

    TorchScript keeps every tensor as a member of its own, so that the weights need not be stored twice.

    Parameters
    ----------
    file : path or file object
        What ``torch.jit.save`` wrote.
    state : dict of str to Tensor
        State dict of the module in it.
    arrays : dict of str to numpy.ndarray, optional
        ``MoleculeSpec.to_arrays`` of the molecule.
    """
    with zipfile.ZipFile(file, "a") as archive:
        root = archive.namelist()[0].split("/")[0]
        known = {_digest(archive.read(name)): name for name in archive.namelist() if f"{root}/data/" in name}
        index = {}
        for name, tensor in state.items():
            values = np.ascontiguousarray(tensor.detach().cpu().numpy())
            content = values.tobytes()
            if _digest(content) not in known:
                # A part of a larger tensor.
                known[_digest(content)] = f"{root}/extra/{name}"
                archive.writestr(f"{root}/extra/{name}", content)
            member = known[_digest(content)].split("/", 1)[1]
            index[name] = {"member": member, "dtype": values.dtype.str, "shape": values.shape}
        archive.writestr(f"{root}/extra/{WEIGHTS}", json.dumps(index))
        if arrays is not None:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, **arrays)
            archive.writestr(f"{root}/extra/molecule.npz", buffer.getvalue())


def read_members(path, names):
    """Read JSON members by name, and the index arrays of the molecule under ``"molecule.npz"``, None where missing.

    Raises
    ------
    KeyError, zipfile.BadZipFile, ValueError, EOFError, OSError
        If the file is no archive, or a JSON member is missing or none.
    """
    with zipfile.ZipFile(path) as archive:
        members = {Path(name).name: name for name in archive.namelist() if "/extra/" in name}
        found = {name: json.loads(archive.read(members[name])) for name in names}
        found["molecule.npz"] = None
        if "molecule.npz" in members:
            with np.load(io.BytesIO(archive.read(members["molecule.npz"])), allow_pickle=False) as arrays:
                found["molecule.npz"] = dict(arrays)
    return found


def read_weights(path):
    """Read the state dict of the module in a model file, as tensors on the CPU.

    Raises
    ------
    ModelFileError
        If the file does not say where they are, or they are not there.
    """
    import torch

    try:
        with zipfile.ZipFile(path) as archive:
            root = archive.namelist()[0].split("/")[0]
            index = json.loads(archive.read(f"{root}/extra/{WEIGHTS}"))
            return {name: torch.from_numpy(_array(archive, root, entry)) for name, entry in index.items()}
    except (KeyError, ValueError, TypeError, IndexError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ModelFileError(
            f"the weights of {path} cannot be read without TorchScript ({error!r}): load the file where torch.jit is, "
            "and save it again"
        ) from error


def _array(archive, root, entry):
    content = archive.read(f"{root}/{entry['member']}")
    # A copy, which may be written to.
    return np.frombuffer(content, entry["dtype"]).reshape(entry["shape"]).copy()


def _digest(content):
    return hashlib.sha256(content).digest()
