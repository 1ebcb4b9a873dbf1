"""Coarse-grained potentials as tables with walls, in a form that travels in a model file."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline

from openmm_cgvae.core.errors import ModelFileError
from openmm_cgvae.core.output import check_output, write_text
from openmm_cgvae.core.reading import read_json, reading
from openmm_cgvae.core.schema import anything, entries, listing, number, record, whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from openmm_cgvae.core.types import PathLike, Positions

__all__ = ["CGPotential", "TabulatedTerms", "term_values"]

logger = logging.getLogger(__name__)

FORMAT = "openmm_cgvae potential"
FORMAT_VERSION = 3
CHECKSUM = "sha256"
# Versions whose files have no checksum.
UNSEALED = (1, 2)
KINDS = {"distances": 2, "angles": 3, "chiralities": 4}
# What the entries of a file may be. A natural spline takes three points.
LEAST_GRID = 3
NUMBERS = listing(number())
ROWS = listing(NUMBERS)
TERMS = record(
    {
        "beads": listing(listing(whole(0, 1 << 24))), "tables": listing(whole(0, 1 << 24)), "lower": NUMBERS,
        "upper": NUMBERS, "wall": NUMBERS, "energies": ROWS,
    },
    ("beads", "tables", "lower", "upper", "wall", "energies"),
)  # fmt: skip
HEAD = record(
    {"temperature": number(above=0, high=1e5), "time_step_ps": number(above=0, high=1), "starts_nm": listing(ROWS)},
    ("temperature", "time_step_ps", "starts_nm", *KINDS),
)
# Keeps cosines finite where beads coincide (10^-6 nm, squared).
TINY_NM2 = 1e-12


@dataclass(frozen=True, eq=False)
class TabulatedTerms:
    """Potentials of one kind of coordinate, each a table between two edges and a harmonic wall beyond them.

    Between the edges the table is interpolated by a natural cubic spline; beyond them the energy continues with the
    spline's last slope plus ``wall / 2 * (x - edge)^2``, so it and its derivative are continuous and finite.
    Terms over beads of the same types share a table.

    Parameters
    ----------
    beads : numpy.ndarray of int, shape (t, k)
        The beads of every term. k = 2: distance in nm. k = 3: cosine of the angle at the middle bead. k = 4: the
        chirality of three successive bonds, sin(angle) sin(angle) sin(torsion), from -1 to 1.
    tables : numpy.ndarray of int, shape (t,)
        The table of every term, from 0 to m - 1.
    lower, upper : numpy.ndarray, shape (m,)
        The edges.
    wall : numpy.ndarray, shape (m,)
        kJ/mol/nm^2 for a distance, else kJ/mol.
    energies : numpy.ndarray, shape (m, n_grid)
        kJ/mol, at equal intervals from `lower` to `upper`.
    """

    beads: np.ndarray
    tables: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    wall: np.ndarray
    energies: np.ndarray

    def __len__(self):
        return len(self.beads)

    @cached_property
    def splines(self):
        """One natural spline a table, over its coordinate."""
        grids = np.linspace(self.lower, self.upper, self.energies.shape[-1], axis=1)
        return tuple(CubicSpline(x, u, bc_type="natural") for x, u in zip(grids, self.energies, strict=True))

    @cached_property
    def edge_slopes(self):
        """dU/dx at the lower and at the upper edge of every table, shape (2, m)."""
        edges = zip(self.splines, self.lower, self.upper, strict=True)
        return np.array([[spline(a, 1), spline(b, 1)] for spline, a, b in edges]).reshape(-1, 2).T

    def values(self, beads_nm):
        """The coordinates of all terms, of bead positions in nm; shape (..., t)."""
        return term_values(np.asarray(beads_nm, dtype=float), self.beads)

    def energy(self, values):
        """Energy in kJ/mol of every term at its coordinate, shapes (..., t) to (..., t)."""
        inside = self._inside(values)
        beyond = values - inside
        slopes = np.where(beyond < 0, *self.edge_slopes[:, self.tables])
        return self._read(inside, 0) + slopes * beyond + self.wall[self.tables] / 2 * beyond**2

    def curvature(self, values):
        """Second derivative of every term's energy at its coordinate, shapes (..., t) to (..., t)."""
        inside = self._inside(values)
        return np.where(values == inside, self._read(inside, 2), self.wall[self.tables])

    def _inside(self, values):
        return np.clip(values, self.lower[self.tables], self.upper[self.tables])

    def _read(self, inside, derivative):
        found = np.zeros(inside.shape)
        for m, spline in enumerate(self.splines):
            own = self.tables == m
            found[..., own] = spline(inside[..., own], derivative)
        return found

    def to_dict(self):
        """JSON types only."""
        return {name: array.tolist() for name, array in asdict(self).items()}

    @classmethod
    def from_dict(cls, description, beads_per_term):
        """Rebuild from `to_dict`."""
        TERMS(description, "a kind of terms")
        arrays = {name: np.array(description[name], dtype=float) for name in ("lower", "upper", "wall", "energies")}
        beads = np.array(description["beads"], dtype=np.int64).reshape(-1, beads_per_term)
        tables = np.array(description["tables"], dtype=np.int64)
        n_tables = tables.max(initial=-1) + 1
        if len(tables) != len(beads) or any(len(array) != n_tables for array in arrays.values()):
            raise ValueError("tables and terms differ in number")
        if n_tables and (arrays["energies"].ndim != 2 or arrays["energies"].shape[1] < LEAST_GRID):
            raise ValueError(f"energies of shape {arrays['energies'].shape}")
        if not (arrays["lower"] < arrays["upper"]).all() or (arrays["wall"] < 0).any():
            raise ValueError("a table ends before it begins, or has a negative wall")
        if any(len(set(row)) < beads_per_term for row in beads.tolist()):
            raise ValueError("a term names a bead twice")
        return cls(beads, tables, **arrays)


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
    """Tables, time step and start positions of a coarse-grained simulation.

    Made by `boltzmann_inversion`, improved by `iterative_boltzmann_inversion`, used by `create_cg_simulation`. It
    travels in datasets and model files, or alone: ``potential.save("potential.json")``.

    Parameters
    ----------
    temperature : float
        Of the reference trajectory, K.
    time_step_ps : float
        As `openmm_cgvae.cg.timestep.stable_time_step` finds it.
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
    def n_beads(self) -> int:
        return self.starts_nm.shape[1]

    @property
    def terms(self) -> tuple[TabulatedTerms, ...]:
        """The three kinds of terms."""
        return self.distances, self.angles, self.chiralities

    def energy(self, beads_nm: Positions) -> np.ndarray:
        """Potential energy in kJ/mol of bead positions in nm, shapes (..., N, 3) to (...)."""
        return sum(terms.energy(terms.values(beads_nm)).sum(-1) for terms in self.terms)

    def with_energies(self, energies: Sequence[np.ndarray]) -> CGPotential:
        """The same potential with other tables: three arrays, as ``[terms.energies for terms in potential.terms]``."""
        kinds = zip(KINDS, self.terms, energies, strict=True)
        changes: dict[str, Any] = {name: replace(terms, energies=array) for name, terms, array in kinds}
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; `from_dict` undoes it exactly."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "temperature": self.temperature,
            "time_step_ps": self.time_step_ps,
            **{name: terms.to_dict() for name, terms in zip(KINDS, self.terms, strict=True)},
            "starts_nm": self.starts_nm.tolist(),
        }

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> CGPotential:
        """Rebuild a potential from `to_dict`, of this or an older format version.

        Raises
        ------
        ModelFileError
            If an entry is missing or of another type, or the format is newer.
        """
        try:
            # The first version had none.
            version = description.get("format_version", 1)
            whole(1)(version, "format_version")
            if version > FORMAT_VERSION:
                raise ModelFileError(
                    f"coarse-grained potential of format version {version} given, this package reads up to "
                    f"{FORMAT_VERSION}: upgrade openmm_cgvae"
                )
            for step in range(version, FORMAT_VERSION):
                description = MIGRATIONS[step](description)
            HEAD(description, "the potential")
            terms = {name: TabulatedTerms.from_dict(description[name], k) for name, k in KINDS.items()}
            starts = _as_frames(description["starts_nm"])
            if max(kind.beads.max(initial=-1) for kind in terms.values()) >= starts.shape[1]:
                raise ValueError(f"a term of a bead that is none of {starts.shape[1]}")
            temperature, time_step = float(description["temperature"]), float(description["time_step_ps"])
            return cls(temperature, time_step, **terms, starts_nm=starts)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, ModelFileError):
                raise
            raise ModelFileError(
                f"not a coarse-grained potential ({error!r}): what CGPotential.to_dict gives is expected"
            ) from error

    def save(self, path: PathLike, overwrite: bool = False) -> None:
        """Write the potential alone, as JSON; the file appears complete or not at all."""
        path, description = check_output(path, overwrite), CGPotential.to_dict(self)
        write_text(path, json.dumps(description | {CHECKSUM: _checksum(description)}) + "\n")

    @classmethod
    def load(cls, path: PathLike) -> CGPotential:
        """Read a potential that `save` wrote.

        Raises
        ------
        ModelFileError
            If the file is missing, changed since it was written, or no coarse-grained potential.
        """
        with reading(path, "coarse-grained potential", "'openmm-cgvae cg-forcefield'", ModelFileError):
            description = read_json(path)
            entries(anything)(description, "the potential")
            stated = description.pop(CHECKSUM, None)
            if stated is None and description.get("format_version", 1) in UNSEALED:
                logger.info("%s is of an older version, without a checksum: damage to it may go unnoticed", path)
            elif stated != _checksum(description):
                raise ModelFileError(
                    f"potential {path} was changed since it was written: its checksum differs (without its entry "
                    f"{CHECKSUM!r} and with format_version 2 it is read as it is)"
                )
            return cls.from_dict(description)


def _from_version_1(description):
    """Migrate version 1, in which every term had its own table."""
    kinds = {name: description[name] | {"tables": [*range(len(description[name]["beads"]))]} for name in KINDS}
    return description | kinds


def _from_version_2(description):
    """Migrate version 2, whose files had no checksum."""
    return description


# One function a step, from the version that is its key to the next.
MIGRATIONS = {1: _from_version_1, 2: _from_version_2}


def _as_frames(rows):
    frames = np.array(rows, dtype=float)
    if frames.ndim != 3 or frames.shape[2] != 3 or not frames.shape[0]:
        raise ValueError(f"start positions of shape {frames.shape}")
    return frames


def _checksum(description):
    """SHA-256 of what a description says, however it is laid out in the file."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()
