"""Coarse-grained potentials as tables with walls, in a form that travels in a model file."""

from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import CubicSpline

from openmm_cgvae.errors import ModelFileError

__all__ = ["CGPotential", "TabulatedTerms", "term_values"]

# Keeps cosines finite where beads coincide (10^-6 nm, squared).
TINY_NM2 = 1e-12


@dataclass(frozen=True, eq=False)
class TabulatedTerms:
    """Potentials of one kind of coordinate, each a table between two edges and a harmonic wall beyond them.

    Between the edges the table is read by a natural cubic spline; beyond them the energy goes on with the
    spline's last slope plus ``wall / 2 * (x - edge)^2``, so it and its derivative are continuous and finite.

    Parameters
    ----------
    beads : numpy.ndarray of int, shape (t, k)
        The beads of every term. k = 2: distance in nm. k = 3: cosine of the angle at the middle bead. k = 4: the
        chirality of three successive bonds, sin(angle) sin(angle) sin(torsion), from -1 to 1.
    lower, upper : numpy.ndarray, shape (t,)
        The edges.
    wall : numpy.ndarray, shape (t,)
        kJ/mol/nm^2 for a distance, else kJ/mol.
    energies : numpy.ndarray, shape (t, n_grid)
        kJ/mol, at equal intervals from `lower` to `upper`.
    """

    beads: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    wall: np.ndarray
    energies: np.ndarray

    def __len__(self):
        return len(self.beads)

    @cached_property
    def splines(self):
        """One natural spline a term, over its coordinate."""
        grids = np.linspace(self.lower, self.upper, self.energies.shape[-1], axis=1)
        return tuple(CubicSpline(x, u, bc_type="natural") for x, u in zip(grids, self.energies, strict=True))

    @cached_property
    def edge_slopes(self):
        """dU/dx at the lower and at the upper edge, shape (2, t)."""
        edges = zip(self.splines, self.lower, self.upper, strict=True)
        return np.array([[spline(a, 1), spline(b, 1)] for spline, a, b in edges]).reshape(-1, 2).T

    @property
    def curvatures(self):
        """The largest second derivative of every term, its walls included, shape (t,)."""
        inside = [spline(spline.x, 2).max() for spline in self.splines]
        return np.maximum(np.array(inside).reshape(-1), self.wall)

    def values(self, beads_nm):
        """The coordinates of all terms, of bead positions in nm; shape (..., t)."""
        return term_values(np.asarray(beads_nm, dtype=float), self.beads)

    def energy(self, values):
        """Energy in kJ/mol of every term at its coordinate, shapes (..., t) to (..., t)."""
        inside = np.clip(values, self.lower, self.upper)
        table = np.zeros(inside.shape)
        for t, spline in enumerate(self.splines):
            table[..., t] = spline(inside[..., t])
        beyond = values - inside
        return table + np.where(beyond < 0, *self.edge_slopes) * beyond + self.wall / 2 * beyond**2

    def to_dict(self):
        """JSON types only."""
        return {name: array.tolist() for name, array in asdict(self).items()}

    @classmethod
    def from_dict(cls, description, beads_per_term):
        """Rebuild from `to_dict`."""
        arrays = {name: np.array(description[name], dtype=float) for name in ("lower", "upper", "wall", "energies")}
        beads = np.array(description["beads"], dtype=np.int64).reshape(-1, beads_per_term)
        if any(len(array) != len(beads) for array in arrays.values()):
            raise ValueError("tables and terms differ in number")
        return cls(beads, **arrays)


def term_values(beads_nm, rows):
    """Distances, cosines or chiralities of rows of 2, 3 or 4 beads, shape (..., t)."""
    rows = rows.T
    a = beads_nm[..., rows[0], :] - beads_nm[..., rows[1], :]
    squared = (a * a).sum(-1) + TINY_NM2
    if len(rows) == 2:
        return np.sqrt(squared)
    b = beads_nm[..., rows[2], :] - beads_nm[..., rows[1], :]
    squared = squared * ((b * b).sum(-1) + TINY_NM2)
    if len(rows) == 3:
        return (a * b).sum(-1) / np.sqrt(squared)
    c = beads_nm[..., rows[3], :] - beads_nm[..., rows[2], :]
    squared = squared * ((c * c).sum(-1) + TINY_NM2)
    return (np.cross(a, b) * c).sum(-1) / np.sqrt(squared)


@dataclass(frozen=True, eq=False)
class CGPotential:
    """All that a coarse-grained simulation needs besides the mapping: tables, time step, start positions.

    Made by `boltzmann_inversion`, used by `openmm_cgvae.app.cgsystem.create_cg_simulation`.

    Parameters
    ----------
    temperature : float
        Of the reference trajectory, K.
    time_step_ps : float
        A twentieth of the shortest vibration period, estimated from the largest curvatures and the bead masses.
    distances, angles, chiralities : TabulatedTerms
        Over two, three and four beads.
    starts_nm : numpy.ndarray, shape (s, N, 3)
        Bead positions of some reference frames, centred.
    """

    temperature: float
    time_step_ps: float
    distances: TabulatedTerms
    angles: TabulatedTerms
    chiralities: TabulatedTerms
    starts_nm: np.ndarray

    @property
    def n_beads(self):
        return self.starts_nm.shape[1]

    @property
    def terms(self):
        """The three kinds of terms."""
        return self.distances, self.angles, self.chiralities

    def energy(self, beads_nm):
        """Potential energy in kJ/mol of bead positions in nm, shapes (..., N, 3) to (...)."""
        return sum(terms.energy(terms.values(beads_nm)).sum(-1) for terms in self.terms)

    def to_dict(self):
        """JSON types only; `from_dict` undoes it exactly."""
        return {
            "temperature": self.temperature,
            "time_step_ps": self.time_step_ps,
            "distances": self.distances.to_dict(),
            "angles": self.angles.to_dict(),
            "chiralities": self.chiralities.to_dict(),
            "starts_nm": self.starts_nm.tolist(),
        }

    @classmethod
    def from_dict(cls, description):
        """Rebuild a potential from `to_dict`.

        Raises
        ------
        ModelFileError
            If an entry is missing or of another type.
        """
        try:
            return cls(
                temperature=float(description["temperature"]),
                time_step_ps=float(description["time_step_ps"]),
                distances=TabulatedTerms.from_dict(description["distances"], 2),
                angles=TabulatedTerms.from_dict(description["angles"], 3),
                chiralities=TabulatedTerms.from_dict(description["chiralities"], 4),
                starts_nm=_as_frames(description["starts_nm"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"not a coarse-grained potential ({error!r}): what CGPotential.to_dict gives is expected"
            ) from error


def _as_frames(rows):
    frames = np.array(rows, dtype=float)
    if frames.ndim != 3:
        raise ValueError(f"start positions of shape {frames.shape}")
    return frames
