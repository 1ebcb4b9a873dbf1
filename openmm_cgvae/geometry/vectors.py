"""Vectors between points: products along dimensions of three, and sums over listed rows."""

import torch
from torch import nn
from torch.nn.functional import embedding_bag

from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = [
    "Recentring",
    "cross",
    "dot",
    "pair_vectors",
    "segment_offsets",
    "segment_sum",
    "signed_volumes",
    "squared_length",
]


def pair_vectors(points: torch.Tensor):
    """Distances and unit vectors between all points.

    Parameters
    ----------
    points : Tensor, shape (B, n, 3)

    Returns
    -------
    distance : Tensor, shape (B, n, n)
        With 1 on the diagonal, where there is no pair.
    unit : Tensor, shape (B, n, n, 3)
        (x_j - x_i) / d_ij, zero on the diagonal.
    """
    # Components before pairs in memory: loops over three elements are slow.
    components = points.transpose(1, 2)
    vector = components.unsqueeze(2) - components.unsqueeze(3)
    # The small term lets coincident points give zero vectors and finite gradients.
    eye = torch.eye(points.shape[1], dtype=points.dtype, device=points.device)
    distance = torch.sqrt(vector.square().sum(1) + eye + 1e-8)
    return distance, (vector / distance.unsqueeze(1)).permute(0, 2, 3, 1)


def dot(a: torch.Tensor, b: torch.Tensor, dim: int) -> torch.Tensor:
    """Products summed over a dimension of three; torch's own sums over so short a dimension are slow."""
    (ax, ay, az), (bx, by, bz) = a.unbind(dim), b.unbind(dim)
    return torch.addcmul(torch.addcmul(ax * bx, ay, by), az, bz)


def squared_length(vector: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """Squares summed over a dimension of three."""
    return dot(vector, vector, dim)


def cross(a: torch.Tensor, b: torch.Tensor, dim: int) -> torch.Tensor:
    """Vector product along a dimension of three, several times faster than torch's own where it is not the last."""
    (ax, ay, az), (bx, by, bz) = a.unbind(dim), b.unbind(dim)
    return torch.stack([_minor(ay, bz, az, by), _minor(az, bx, ax, bz), _minor(ax, by, ay, bx)], dim)


def _minor(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    """a b - c d in two passes."""
    return torch.addcmul(a * b, c, d, value=-1.0)


def segment_sum(values, rows, offsets, factors=None):
    # type: (Tensor, Tensor, Tensor, Tensor | None) -> Tensor
    """Sums of listed rows, in the order of the list, so that they are the same to the bit for any batch.

    Parameters
    ----------
    values : Tensor, shape (v, ...)
    rows : int Tensor, shape (r,)
        Rows of `values`, those of a sum next to each other.
    offsets : int Tensor, shape (m + 1,)
        Where each sum begins in `rows`, and its length.
    factors : Tensor, shape (r,), optional
        Of the rows; 1 if omitted.

    Returns
    -------
    Tensor, shape (m, ...)
    """
    sums = embedding_bag(
        rows, values.flatten(1), offsets, mode="sum", per_sample_weights=factors, include_last_offset=True
    )
    return sums.unflatten(1, values.shape[1:])


def signed_volumes(points: torch.Tensor, first: torch.Tensor, second: torch.Tensor, third: torch.Tensor):
    """a . (b x c) / (|b| |c|): how far a reaches to the side of the plane of b and c.

    Parameters
    ----------
    points, first, second, third : Tensor, shape (B, m, 3)
        a, b, c are `first`, `second`, `third` minus `points`.

    Returns
    -------
    Tensor, shape (B, m)
        A length; it changes sign under reflection.
    """
    a, b, c = first - points, second - points, third - points
    scale = torch.sqrt((b.square().sum(-1) + 1e-8) * (c.square().sum(-1) + 1e-8))
    return (a * torch.linalg.cross(b, c)).sum(-1) / scale


def segment_offsets(segments: torch.Tensor, n_segments: int) -> torch.Tensor:
    """The offsets of `segment_sum` for rows of which each belongs to one of the sorted `segments`."""
    return nn.functional.pad(torch.cumsum(torch.bincount(segments, minlength=n_segments), 0), [1, 0])


class Recentring(nn.Module):
    """Displacements without those of the beads, dx_i - (M dx)_I(i), by sums over the atoms of each bead."""

    def __init__(self, spec: MoleculeSpec | None = None):
        super().__init__()
        if spec is not None:
            self.bind(spec)

    def bind(self, spec: MoleculeSpec) -> None:
        """Take another molecule."""
        projection = torch.as_tensor(spec.projection)
        beads, atoms = torch.nonzero(projection).unbind(1)
        self.bind_weights(beads, atoms, projection[beads, atoms], torch.tensor(spec.assignment), spec.n_beads)

    def bind_weights(
        self, beads: torch.Tensor, atoms: torch.Tensor, weights: torch.Tensor, assignment: torch.Tensor, n_beads: int
    ) -> None:
        """Take the non-zero weights of M, sorted by bead, and the bead that every atom moves with."""
        self.register_buffer("atoms", atoms, persistent=False)
        self.register_buffer("weights", weights, persistent=False)
        self.register_buffer("offsets", segment_offsets(beads, n_beads), persistent=False)
        self.register_buffer("assignment", assignment, persistent=False)

    def take(self, molecule: dict[str, torch.Tensor], prefix: str) -> None:
        """Take tensors under the names of the buffers, each behind a prefix."""
        self.atoms, self.weights = molecule[prefix + "atoms"], molecule[prefix + "weights"]
        self.offsets, self.assignment = molecule[prefix + "offsets"], molecule[prefix + "assignment"]

    def projected(self, x: torch.Tensor) -> torch.Tensor:
        """M x: (n, ...) to (N, ...)."""
        return segment_sum(x, self.atoms, self.offsets, self.weights.to(x.dtype))

    def forward(self, dx: torch.Tensor) -> torch.Tensor:
        """(n, ...) to the same."""
        return dx - self.projected(dx).index_select(0, self.assignment)
