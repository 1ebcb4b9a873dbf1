"""The frame of three points by which atoms are placed."""

import numpy as np

__all__ = ["local_frame"]


def local_frame(origin, first, second, symmetric):
    """Axes x, y, z as rows, shape (3, 3), of the frame of three points.

    With unit vectors u, v from `origin` to `first` and `second`: x along u, or along u + v where `symmetric`;
    z along u x v; y = z x x.
    """
    u = (first - origin) / np.linalg.norm(first - origin)
    v = (second - origin) / np.linalg.norm(second - origin)
    x = u + v if symmetric else u
    z = np.cross(u, v)
    x, z = x / np.linalg.norm(x), z / np.linalg.norm(z)
    return np.stack([x, np.cross(z, x), z])
