"""Members of a model file: TorchScript with additions, written sealed; weights read without torch.jit or pickle."""

import hashlib
import io
import math
import zipfile

import numpy as np

from openmm_cgvae.core.archive import Archive, ArchiveError, ArchiveWriter

__all__ = ["EXTRA", "indexed_weights", "molecule_arrays", "write_model_archive"]

EXTRA, WEIGHTS, MOLECULE = "extra/", "extra/weights.json", "extra/molecule.npz"
# As `numpy.dtype.str` says: floats, whole numbers and booleans, little-endian.
DTYPES = {"<f2", "<f4", "<f8", "<i2", "<i4", "<i8", "|i1", "|u1", "|b1"}


def write_model_archive(path, scripted, texts, state, arrays=None):
    """Write a model file: the members of TorchScript, and what takes their place where TorchScript is not used.

    TorchScript keeps every tensor as a member of its own, so that the weights need not be stored twice.

    Parameters
    ----------
    path : path
    scripted : bytes
        What ``torch.jit.save`` writes.
    texts : dict of str to object
        Additional members in JSON, by name.
    state : dict of str to Tensor
        State dict of the module in it.
    arrays : dict of str to numpy.ndarray, optional
        ``MoleculeSpec.to_arrays`` of the molecule.
    """
    members = _members(scripted)
    known = {_digest(content): name for name, content in members.items() if name.startswith("data/")}
    index = {}
    for name, tensor in state.items():
        values = np.ascontiguousarray(tensor.detach().cpu().numpy())
        content = values.tobytes()
        if _digest(content) not in known:
            # A part of a larger tensor.
            known[_digest(content)] = EXTRA + name
            members[EXTRA + name] = content
        index[name] = {"member": known[_digest(content)], "dtype": values.dtype.str, "shape": values.shape}
    with ArchiveWriter(path, folder="model") as archive:
        for name, content in members.items():
            archive.write(name, content)
        for name, value in texts.items():
            archive.write_json(EXTRA + name, value)
        archive.write_json(WEIGHTS, index)
        if arrays is not None:
            archive.write(MOLECULE, _packed(arrays))


def indexed_weights(archive):
    """Read the state dict of the module in a model file (an `Archive`), tensors on the CPU; None if it has no index.

    Raises
    ------
    ArchiveError
        If a tensor is missing, or of another size than it says.
    """
    if WEIGHTS not in archive:
        return None
    index, read, state = archive.json(WEIGHTS), {}, {}
    if not isinstance(index, dict):
        raise ArchiveError(f"its member {WEIGHTS} is no index of weights")
    for name, entry in index.items():
        try:
            member, dtype, shape = entry["member"], entry["dtype"], tuple(entry["shape"])
            fits = dtype in DTYPES and all(type(side) is int and side >= 0 for side in shape)
        except (KeyError, TypeError) as error:
            raise ArchiveError(f"its member {WEIGHTS} does not say where {name} is") from error
        if not fits or math.prod(shape) * np.dtype(dtype).itemsize != archive.size(member):
            raise ArchiveError(f"its weight {name} of shape {shape} does not fit its member {member}")
        state[name] = _tensor(archive, member, dtype, shape, read)
    return state


def molecule_arrays(archive):
    """Read the index arrays of the molecule in a model file (an `Archive`), a dict; None if it has none."""
    if MOLECULE not in archive:
        return None
    with Archive(archive.read(MOLECULE)) as inner:
        return inner.arrays()


def _tensor(archive, member, dtype, shape, read):
    """A tensor of a member; those of one member share its memory, so that no more is taken than is there."""
    import torch

    if not math.prod(shape):
        return torch.from_numpy(np.zeros(shape, dtype))
    if member not in read:
        read[member] = bytearray(archive.read(member))
    return torch.from_numpy(np.frombuffer(read[member], dtype).reshape(shape))


def _members(scripted):
    """Contents of the members of a TorchScript archive, by name without its folder."""
    with zipfile.ZipFile(io.BytesIO(scripted)) as archive:
        return {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}


def _packed(arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _digest(content):
    return hashlib.sha256(content).digest()
