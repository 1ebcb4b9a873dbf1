"""Frames, torsions and placement by local coordinates, of points (..., 3) in any unit."""

import torch

from openmm_cgvae.geometry.vectors import cross, dot

__all__ = ["frame_of", "in_frame", "out_of_frame", "torsion", "turned", "unit_vector"]

# Square of a length: keeps directions and gradients finite where points coincide or lie in line.
SMALL = 1e-12


def unit_vector(vector: torch.Tensor, small: float = SMALL) -> torch.Tensor:
    """Vectors (..., 3) of length 1; zero where the vector is."""
    return vector / torch.sqrt(dot(vector, vector, -1) + small).unsqueeze(-1)


def frame_of(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Orthonormal frames (..., 3, 3) of three points, one axis a row.

    The first axis is along c - b, the second in the plane of the points and on the side of a, the third completes a
    right-handed frame.
    """
    first = unit_vector(c - b)
    back = a - b
    second = unit_vector(back - dot(back, first, -1).unsqueeze(-1) * first)
    return torch.stack([first, second, cross(first, second, -1)], dim=-2)


def in_frame(frame: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """Components (..., 3) of vectors along the axes of frames (..., 3, 3)."""
    return (frame * vector.unsqueeze(-2)).sum(-1)


def out_of_frame(frame: torch.Tensor, local: torch.Tensor) -> torch.Tensor:
    """Vectors (..., 3) of components along the axes of frames (..., 3, 3)."""
    return (frame * local.unsqueeze(-1)).sum(-2)


def turned(local: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Local coordinates (..., 3) turned about the first axis, by angles given by cosine and sine (...)."""
    x, y, z = local.unbind(-1)
    return torch.stack([x, y * cosine - z * sine, y * sine + z * cosine], dim=-1)


def torsion(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    """Torsion angles in radian of four points, (...): the angle of d about the first axis of ``frame_of(a, b, c)``."""
    _, y, z = in_frame(frame_of(a, b, c), d - c).unbind(-1)
    return torch.atan2(z, y)
