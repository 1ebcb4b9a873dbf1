"""Gaussian noise that depends on (seed, frame, sample) alone, so that any split of the work draws the same."""

import math

import numpy as np

from openmm_cgvae.core.checks import checked_number
from openmm_cgvae.core.errors import SettingsError

__all__ = ["checked_correlation_time", "correlated_noise", "gaussian_noise"]

# Philox turns each value of its counter into this many 64-bit words.
WORDS = 4
# Frames this many correlation times apart are independent to float64: exp(-36.7) = 2^-53.
INDEPENDENT = 53 * math.log(2)
LONGEST_CORRELATION = 1e12


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


def correlated_noise(seed, frames, samples, size, correlation):
    """Draw unit Gaussian noise whose values in frames i and j of one sample have correlation exp(-abs(i - j)/c).

    This is the stationary AR(1) process z_k = a z_k-1 + sqrt(1 - a^2) xi_k with a = exp(-1/c). It is not drawn from
    frame to frame but by bisection, so that any frame can be had without those before it: frames 2^L apart,
    too far to be correlated, are independent, and the frame half-way between two known ones, h = 2^l from either, is
    z = (z_left + z_right) / (2 cosh(h/c)) + sqrt(tanh(h/c)) xi, which is the law of this Markov process given both ends
    (a Gaussian's conditional; the construction is Levy's of Brownian motion). xi is `gaussian_noise` of the frame.

    Parameters
    ----------
    seed, frames, samples, size
        As in `gaussian_noise`.
    correlation : float
        Correlation time c in frames; below 1/36.7, 0 included, frames are independent: `gaussian_noise` to the bit.

    Returns
    -------
    numpy.ndarray, shape (f, s, size)
        float64.

    Raises
    ------
    SettingsError
        If `correlation` is negative, not finite, or above 1e12 frames.
    """
    if not 0 <= correlation <= LONGEST_CORRELATION:
        raise SettingsError(
            f"a correlation time of {correlation:g} frames given: 0 to {LONGEST_CORRELATION:g} are expected"
        )
    levels = 0
    while 2**levels < INDEPENDENT * correlation:
        levels += 1
    frames = np.asarray(frames, dtype=np.int64)
    nodes = _with_ancestors(frames, levels)
    noise = gaussian_noise(seed, nodes, samples, size)
    for h in (2**level for level in reversed(range(levels))):
        middle = np.flatnonzero(nodes % (2 * h) == h)
        ends = noise[np.searchsorted(nodes, nodes[middle] - h)] + noise[np.searchsorted(nodes, nodes[middle] + h)]
        x = h / correlation
        noise[middle] = ends / (2 * math.cosh(x)) + math.sqrt(math.tanh(x)) * noise[middle]
    return noise[np.searchsorted(nodes, frames)]


def _with_ancestors(frames, levels):
    """All frames that the bisection passes on its way to `frames`, these included: sorted, each once."""
    nodes = known = np.unique(frames)
    for h in (2**level for level in range(levels)):
        # Of frames that are multiples of h, the odd ones lie half-way between multiples of 2 h.
        odd = known % (2 * h) == h
        known = np.unique(np.concatenate([known[~odd], known[odd] - h, known[odd] + h]))
        nodes = np.union1d(nodes, known)
    return nodes


def checked_correlation_time(time):
    """Correlation time in ps as a float: from a number, a ``Quantity``, or None, which is 0.

    Raises
    ------
    SettingsError
        If it is not a number of 0 or more.
    """
    return 0.0 if time is None else checked_number("correlation time", time, "ps", zero=True)
