"""Tensors in archives of torch, read without torch's readers: nothing is executed, and no more allocated than is there.

``torch.save`` and ``torch.jit.save`` keep every storage as a member of a zip archive, and say in a pickle what is made
of them. That pickle is examined operation by operation, and what it may name are the few things below.
"""

import io
import logging
import pickle
import pickletools
import sys
import zipfile
from collections import OrderedDict

import torch

from openmm_cgvae.core.archive import Archive, ArchiveError, ArchiveWriter
from openmm_cgvae.core.reading import reading

__all__ = ["load_tensors", "read_pickled", "save_tensors", "scripted_state"]

logger = logging.getLogger(__name__)

MOST_OPERATIONS = 1_000_000
MOST_PICKLE = 1 << 24
MOST_ELEMENTS_DEEP = 64
OPERATIONS = {
    "PROTO", "STOP", "MARK", "POP", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "BINUNICODE", "SHORT_BINUNICODE", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND",
    "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS", "GLOBAL", "REDUCE", "NEWOBJ", "BUILD", "BINPERSID", "BINPUT",
    "LONG_BINPUT", "BINGET", "LONG_BINGET", "MEMOIZE",
}  # fmt: skip
STORAGES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip


class _Scripted:
    """A module of TorchScript: its attributes, and no code."""


def _listed(values):
    return values


def _tagged(value, _):
    return value


def _parameter(tensor, *_):
    return tensor


def load_tensors(path, kind, expected, error, content=None):
    """Read what `save_tensors` or ``torch.save`` wrote: a dict of dicts, lists, numbers, text and tensors on the CPU.

    Parameters
    ----------
    path : path
    kind, expected, error
        As of `openmm_cgvae.core.reading.reading`, whose `error` is raised of anything else.
    content : bytes, optional
        Of the file, where it was read before.
    """
    with reading(path, kind, expected, error), Archive(path if content is None else content) as archive:
        found = read_pickled(archive)
        if not isinstance(found, dict):
            raise ArchiveError(f"it holds a {type(found).__name__}")
        if not archive.sealed:
            logger.info("%s is of an older version, without checksums: damage to it may go unnoticed", path)
        return found


def save_tensors(path, state):
    """Write a dict of dicts, lists, numbers, text and tensors, sealed; ``torch.load`` reads it too.

    The bytes follow from what is said: those of a state that was read and saved again are the same.
    """
    buffer = io.BytesIO()
    # Not to the path: torch ends the process on a full disk.
    torch.save(_apart(state), buffer)
    with zipfile.ZipFile(buffer) as made, ArchiveWriter(path, folder="archive", compress=False) as archive:
        for name in made.namelist():
            archive.write(name.split("/", 1)[1], made.read(name))


def _apart(value):
    """The same, all of its own: a pickle also tells what is one object in memory, and how numbers lie there."""
    if isinstance(value, dict):
        return {_apart(key): _apart(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_apart, value))
    if isinstance(value, torch.Tensor):
        return value.detach().clone(memory_format=torch.contiguous_format)
    return sys.intern(value) if type(value) is str else value


def read_pickled(archive):
    """Read the tensors of an `Archive` as its ``data.pkl`` names them."""
    content = archive.read("data.pkl", most=MOST_PICKLE)
    _examine(content)
    try:
        return _Reader(content, archive).load()
    except ArchiveError:
        raise
    except (pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, RuntimeError,
            TypeError, ValueError) as error:  # fmt: skip
        raise ArchiveError(f"its member data.pkl is damaged ({error})") from error


def scripted_state(module, prefix="", depth=0):
    """State dict of the module that `read_pickled` found in an archive of ``torch.jit.save``."""
    if depth > MOST_ELEMENTS_DEEP:
        raise ArchiveError("its modules contain one another without end")
    state = {}
    for name, value in vars(module).items():
        if isinstance(value, torch.Tensor):
            state[prefix + name] = value
        elif isinstance(value, _Scripted):
            state |= scripted_state(value, f"{prefix}{name}.", depth + 1)
    return state


def _storage(archive, member, dtype):
    """All numbers of a member, a tensor (count,) in memory of its own."""
    content = archive.read(member)
    size = torch.empty(0, dtype=dtype).element_size()
    if len(content) % size:
        raise ArchiveError(f"its member {member} of {len(content)} bytes ends within a number of {size}")
    return torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)


def _examine(content):
    """Refuse a pickle with other operations or names than torch writes for tensors (`ArchiveError`)."""
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(content)):
            if operation.name not in OPERATIONS:
                raise ArchiveError(f"its member data.pkl has the operation {operation.name}, which no model needs")
            if operation.name == "GLOBAL":
                _named(*argument.split(" ", 1))
            if count > MOST_OPERATIONS:
                raise ArchiveError(f"its member data.pkl has more than {MOST_OPERATIONS} operations")
            # Python makes room for all numbers below.
            if operation.name == "LONG_BINPUT" and argument > count:
                raise ArchiveError("its member data.pkl is damaged")
    except ArchiveError:
        raise
    except Exception as error:  # pickletools has no list of what it raises.
        raise ArchiveError(f"its member data.pkl is damaged ({error})") from error


def _named(module, name):
    """What a name in a pickle stands for here."""
    if module == "torch" and name in STORAGES:
        return STORAGES[name]
    if module == "__torch__" or module.startswith("__torch__."):
        return _Scripted
    known = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch._utils", "_rebuild_parameter"): _parameter,
        ("torch.jit._pickle", "build_intlist"): _listed,
        ("torch.jit._pickle", "build_boollist"): _listed,
        ("torch.jit._pickle", "build_doublelist"): _listed,
        ("torch.jit._pickle", "build_tensorlist"): _listed,
        ("torch.jit._pickle", "restore_type_tag"): _tagged,
    }
    if (module, name) not in known:
        raise ArchiveError(f"its member data.pkl names {module}.{name}, which no file of tensors needs")
    return known[module, name]


class _Reader(pickle.Unpickler):
    """Calls nothing but what `_named` gives."""

    def __init__(self, content, archive):
        super().__init__(io.BytesIO(content))
        self._archive, self._storages = archive, {}

    def find_class(self, module, name):
        return _named(module, name)

    def persistent_load(self, identity):
        kind, dtype, key, _, count = identity
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(key, str):
            raise ArchiveError("its member data.pkl names something other than numbers")
        if key not in self._storages:
            self._storages[key] = _storage(self._archive, f"data/{key}", dtype)
        found = self._storages[key]
        if found.dtype != dtype or len(found) != count:
            raise ArchiveError(f"its member data/{key} holds {len(found)} numbers, {count} are expected")
        return found


def _tensor(numbers, offset, shape, strides, *_):
    """A view of the numbers of a storage, within them."""
    shape, strides = tuple(map(int, shape)), tuple(map(int, strides))
    count = 1
    for side in shape:
        count *= side
    last = offset + sum((side - 1) * step for side, step in zip(shape, strides, strict=True)) if count else 0
    if min((offset, *shape, *strides)) < 0 or count > max(len(numbers), 1) or (count and last >= len(numbers)):
        raise ArchiveError(f"a tensor of shape {shape} is larger than the numbers there, {len(numbers)}")
    return numbers.as_strided(shape, strides, offset)
