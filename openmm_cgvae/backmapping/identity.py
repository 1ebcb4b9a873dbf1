"""What an output depends on, as hashes: inputs, samplers and minimisers."""

import hashlib
import json

import numpy as np

from openmm_cgvae.core.journal import file_digest
from openmm_cgvae.io.objects import in_memory
from openmm_cgvae.io.sources import given_parts, given_paths

__all__ = ["digest", "sampler_digest", "trajectory_digest"]

FRAMES_AT_ONCE = 100


def digest(value):
    """SHA-256 of JSON types, arrays and bytes."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value):
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, np.ndarray):
        return [value.dtype.str, value.shape, hashlib.sha256(np.ascontiguousarray(value)).hexdigest()]
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} has no digest")


def trajectory_digest(trajectory):
    """SHA-256 of all frames that are given as a trajectory: a path, an object of another library, or a list of them."""
    digests = []
    for part in given_parts(trajectory):
        if given_paths([part]):
            digests.append(file_digest(part))
        else:
            digests.append(_digest_of_frames(in_memory(part)))
    return digests[0] if len(digests) == 1 else digest(digests)


def _digest_of_frames(found):
    own = hashlib.sha256()
    for first in range(0, found.n_frames, FRAMES_AT_ONCE):
        numbers = np.arange(first, min(first + FRAMES_AT_ONCE, found.n_frames))
        arrays = [*found.frames(numbers), found.times(numbers) if found.has_times else np.zeros(0)]
        for array in arrays:
            own.update(np.ascontiguousarray(array))
    return own.hexdigest()


def sampler_digest(sampler):
    """SHA-256 of all that a sampler's structures depend on; of one of another package its class and its mapping."""
    own = getattr(sampler, "identity", None)
    return digest([type(sampler).__name__, sampler.mapping.to_dict() if own is None else own])
