"""Gaussian noise that depends on (seed, frame, sample) alone, so that any split of the work draws the same."""

import numpy as np

__all__ = ["gaussian_noise"]

# Philox turns each value of its counter into this many 64-bit words.
WORDS = 4


def gaussian_noise(seed, frames, samples, size):
    """Draw unit Gaussian noise from the counter-based generator Philox.

    The key is (seed, sample) and the counter starts at the frame's own block, so every (frame, sample) has its
    own part of the stream. The Box-Muller transform is used because it takes a fixed number of words.

    Parameters
    ----------
    seed : int
        From 0 to 2**64 - 1.
    frames : int array, shape (f,)
        Frame numbers, 0 or more.
    samples : int array, shape (s,)
        Sample numbers, 0 or more.
    size : int
        Numbers wanted for each.

    Returns
    -------
    numpy.ndarray, shape (f, s, size)
        float64.
    """
    frames, samples = np.asarray(frames, dtype=np.int64), np.asarray(samples, dtype=np.int64)
    pairs = -(-size // 2)
    blocks = -(-2 * pairs // WORDS)
    words = np.empty((len(frames), len(samples), blocks * WORDS), dtype=np.uint64)
    # Consecutive frames lie side by side in the stream: one call for each stretch of them.
    breaks = np.flatnonzero(np.diff(frames) != 1) + 1
    for stretch in np.split(np.arange(len(frames)), breaks):
        if not len(stretch):
            continue
        for column, sample in enumerate(samples):
            start = int(frames[stretch[0]]) * blocks
            philox = np.random.Philox(key=np.array([seed, sample], dtype=np.uint64), counter=[start, 0, 0, 0])
            words[stretch, column] = philox.random_raw(len(stretch) * blocks * WORDS).reshape(len(stretch), -1)
    # 53 random bits to (0, 1], so that the logarithm is finite.
    uniform = ((words >> np.uint64(11)) + np.uint64(1)).astype(np.float64) * 2.0**-53
    radius = np.sqrt(-2.0 * np.log(uniform[..., :pairs]))
    angle = 2.0 * np.pi * uniform[..., pairs : 2 * pairs]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)[..., :size]
