"""What tells a trajectory from others, wherever its frames are."""

import numpy as np

from openmm_cgvae.core.fingerprint import file_fingerprint, fingerprint
from openmm_cgvae.io.objects import in_memory
from openmm_cgvae.io.sources import given_parts, given_paths

__all__ = ["trajectory_fingerprint"]

FRAMES_AT_ONCE = 100


def trajectory_fingerprint(trajectory):
    """Hash of all frames that are given as a trajectory: a path, an object of another library, or a list of them."""
    parts = given_parts(trajectory)
    return fingerprint(
        [file_fingerprint(part) if given_paths([part]) else _of_frames(in_memory(part)) for part in parts]
    )


def _of_frames(found):
    digests = []
    for first in range(0, found.n_frames, FRAMES_AT_ONCE):
        numbers = np.arange(first, min(first + FRAMES_AT_ONCE, found.n_frames))
        times = [found.times(numbers)] if found.has_times else []
        digests.append(fingerprint(*(np.asarray(array) for array in (*found.frames(numbers), *times))))
    return digests
