"""What a run depends on, in short: hashes of files, arrays and settings, and the difference between two runs."""

import hashlib
import json
import os
from pathlib import Path

from openmm_cgvae.core.errors import DataError, SettingsError, one_line

__all__ = [
    "check_same_folder",
    "check_same_run",
    "file_fingerprint",
    "fingerprint",
    "fingerprint_of",
    "weights_fingerprint",
]

# Files up to this size are hashed whole: a second or less.
WHOLE_BYTES = 256 * 2**20
# Of larger ones: both ends, and blocks evenly spaced in between.
END_BYTES = 16 * 2**20
BLOCK_BYTES, N_BLOCKS = 2**18, 256


def file_fingerprint(path):
    """Hash of a file's content and size, a str.

    Up to 256 MiB all of it is hashed; of a larger file its size, 16 MiB at each end and 256 blocks of 256 KiB evenly
    spaced in between, which tell one trajectory from another without reading hundreds of gigabytes.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    try:
        size = os.path.getsize(path)
        digest = hashlib.sha256(str(size).encode())
        with open(path, "rb") as file:
            for start, length in _parts(size):
                file.seek(start)
                digest.update(file.read(length))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()


def _parts(size):
    """(start, length) of what is hashed of a file."""
    if size <= WHOLE_BYTES:
        return [(start, 2**24) for start in range(0, size, 2**24)]
    inner = size - 2 * END_BYTES - BLOCK_BYTES
    blocks = [(END_BYTES + inner * k // (N_BLOCKS - 1), BLOCK_BYTES) for k in range(N_BLOCKS)]
    return [(0, END_BYTES), *blocks, (size - END_BYTES, END_BYTES)]


def fingerprint(*parts):
    """Hash of strings, bytes, arrays and whatever JSON can hold, a str."""
    digest = hashlib.sha256()
    for part in parts:
        content = part if isinstance(part, bytes) else _bytes(part)
        # The length tells where one part ends and the next begins.
        digest.update(str(len(content)).encode() + b":" + content)
    return digest.hexdigest()


def _bytes(part):
    if hasattr(part, "tobytes"):
        return f"{part.dtype.str}{part.shape}".encode() + part.tobytes()
    return json.dumps(part, sort_keys=True, default=str).encode()


def weights_fingerprint(state):
    """Hash of a state dict of tensors, a str."""
    parts = []
    for name in sorted(state):
        parts += [name, state[name].detach().cpu().contiguous().numpy()]
    return fingerprint(*parts)


def fingerprint_of(thing):
    """What tells an object that was given to a run from another, a str or None.

    None of None; the ``fingerprint`` that it says itself; the content of a file; else only its type.
    """
    if thing is None:
        return None
    own = getattr(thing, "fingerprint", None)
    if own is not None:
        return own
    if isinstance(thing, str | os.PathLike):
        return file_fingerprint(thing) if Path(thing).is_file() else str(thing)
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def check_same_run(given, stored, where, remedy="repeat its settings, or begin a new run"):
    """Refuse to go on with a run that was begun with other settings or inputs.

    Parameters
    ----------
    given, stored : dict
        JSON types, nested or not. A name that `stored` has not at all, as of an older version, is not compared.
    where : str
        What the run is kept in, for the message.
    remedy : str

    Raises
    ------
    SettingsError
        Naming the first difference: what is given, what the run was begun with, and what to do.
    """
    if (found := _difference(given, stored)) is not None:
        name, own, other = found
        raise SettingsError(f"{name}={own} given to go on with a run of {name}={other} ({where}): {remedy}")


def check_same_folder(
    given, stored, path, remedy="give another folder, or remove it", what="is of a run with other settings or data"
):
    """As `check_same_run`, where a file that is there says that it is to be gone on with."""
    if (found := _difference(given, stored)) is not None:
        name, own, other = found
        raise SettingsError(f"{path} {what}: {remedy} ({name}={own} given, {name}={other} there)")


def _difference(given, stored):
    """Name, given and stored value of the first difference, or None."""
    given = {name: value for name, value in given.items() if name in stored}
    given, stored = (dict(_flat(json.loads(json.dumps(each, default=str)))) for each in (given, stored))
    for name in [*given, *(name for name in stored if name not in given)]:
        if name not in stored or name not in given or given[name] != stored[name]:
            return name, _short(given.get(name)), _short(stored.get(name))
    return None


def _flat(settings, before=""):
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def _short(value):
    text = one_line(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
