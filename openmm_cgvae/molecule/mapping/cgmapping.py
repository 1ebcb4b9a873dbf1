"""The coarse-grained mapping: which atom belongs to which bead, and with which weight."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from openmm_cgvae.core.errors import MappingError, TopologyMismatchError
from openmm_cgvae.core.output import check_output, write_json
from openmm_cgvae.core.reading import read_json, reading
from openmm_cgvae.core.representation import html_table
from openmm_cgvae.core.units import as_positions_nm
from openmm_cgvae.molecule.description import check_mapping
from openmm_cgvae.molecule.topology import (
    CHEMISTRY,
    as_mdtraj_topology,
    atom_weights,
    topology_from_dict,
    topology_to_dict,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import ArrayLike
    from openmm.app import Topology

    from openmm_cgvae.core.types import Beads, PathLike, Positions, SomeTopology

__all__ = ["CGMapping"]

# Beads, and atoms of each, that a notebook shows.
SHOWN, SHOWN_ATOMS = 30, 12


class CGMapping:
    """An assignment of every atom to one bead, with projection weights.

    ``mapping.project(positions)`` places the beads, X = M x with M_Ii = w_i / sum_j w_j over the bead's atoms
    (paper, section 3.1). Build one with `residue_mapping`, `alpha_carbon_mapping` or `custom_mapping`; of a small
    molecule with `rigid_fragments`.

    Parameters
    ----------
    topology : mdtraj.Topology or openmm.app.Topology
        The all-atom molecule.
    beads : sequence of sequence of int
        Atom indices of every bead. Together they hold each atom exactly once: an atom that does not count for
        its bead's position, but is rebuilt with it, gets weight 0.
    weights : array_like, shape (n_atoms,), optional
        Non-negative; all 1 (centre of geometry) if omitted.
    names : sequence of str, optional
        Bead names; ``B1``, ``B2``, ... if omitted.
    shared : sequence of (int, int, float), optional
        Bead, atom and weight of every element of M that is not zero, in place of `weights`, where atoms count for
        several beads, as those of rings in Martini; each is still rebuilt with the one bead that has it in `beads`.

    Raises
    ------
    MappingError
        If an atom is in two beads or in none, a bead is empty or has no weight, an index is out of range, or a
        weight is negative or not finite.
    """

    def __init__(
        self,
        topology: SomeTopology,
        beads: Beads,
        weights: ArrayLike | None = None,
        names: Sequence[str] | None = None,
        shared: Sequence[tuple[int, int, float]] | None = None,
    ) -> None:
        self._description = topology_to_dict(topology)
        self.n_atoms = len(self._description["atoms"])
        self.beads = tuple(tuple(int(i) for i in bead) for bead in beads)
        self.n_beads = len(self.beads)
        self.weights = np.ones(self.n_atoms) if weights is None else np.array(weights, dtype=float)
        self.names = tuple(names) if names is not None else tuple(f"B{k + 1}" for k in range(self.n_beads))
        self.assignment = self._checked_assignment()
        self.shared = None if shared is None else self._checked_shared(shared)
        self._check_weights()

    @classmethod
    def rigid_fragments(
        cls,
        mol: Any,
        terminal: bool = False,
        amides: bool = False,
        weights: str | ArrayLike = "geometric",
        charge: int = 0,
    ) -> CGMapping:
        """Put one bead on every rigid fragment of a small molecule: what stays together when rotatable bonds are cut.

        Rotatable are the bonds that RDKit's strict definition counts (see `rotatable_bonds`).

        Parameters
        ----------
        mol : str, path, rdkit.Chem.Mol, openmm.app.Topology, parmed.Structure or mdtraj.Topology
            A SMILES, to which hydrogens are added; an SDF, MOL2 or PDB file of one molecule, or an object, whose atoms
            are those that it has. Bond orders that a PDB file or a topology lacks are determined from its valences.
        terminal : bool
            Cut bonds to end groups too: methyl, OH, NH2, CF3, tert-butyl.
        amides : bool
            Cut the bonds of amides, esters and their like too.
        weights : {"geometric", "mass"} or array_like, shape (n_atoms,)
        charge : int
            Net charge, for bond orders that must be determined where no formal charges are known.

        Returns
        -------
        CGMapping
            Beads in the order of their first atoms; the topology has bond orders, formal charges and stereo marks.

        Raises
        ------
        MoleculeError
            If the molecule cannot be read, or its bond orders are neither given nor determined.
        """
        from openmm_cgvae.chemistry.reading import as_molecule
        from openmm_cgvae.chemistry.rotatable import rigid_fragments
        from openmm_cgvae.chemistry.topologies import molecule_topology

        mol = as_molecule(mol, charge)
        topology = molecule_topology(mol)
        return cls(topology, rigid_fragments(mol, terminal, amides), atom_weights(topology, weights))

    def _checked_assignment(self):
        if not self.beads:
            raise MappingError("no bead given: at least one bead with its atoms is expected")
        if len(self.names) != self.n_beads:
            raise MappingError(f"{len(self.names)} bead names given for {self.n_beads} beads: give one each")
        assignment = np.full(self.n_atoms, -1, dtype=np.int64)
        for k, bead in enumerate(self.beads):
            if not bead:
                raise MappingError(f"bead {k} ({self.names[k]}) is empty: remove it or give it atoms")
            for i in bead:
                if not 0 <= i < self.n_atoms:
                    raise MappingError(
                        f"bead {k} ({self.names[k]}) names atom {i}: indices from 0 to {self.n_atoms - 1} are expected"
                    )
                if assignment[i] >= 0:
                    raise MappingError(
                        f"atom {i} is in bead {assignment[i]} and in bead {k}: each atom belongs to one bead"
                    )
                assignment[i] = k
        missing = np.flatnonzero(assignment < 0)
        if missing.size:
            raise MappingError(
                f"atom {missing[0]} and {missing.size - 1} more are in no bead: put each into the bead it is to be "
                "rebuilt with, with weight 0 if it does not count for the bead's position"
            )
        return assignment

    def _checked_shared(self, shared):
        """Beads, atoms and weights, sorted by bead and atom."""
        try:
            rows = sorted((int(k), int(i), float(w)) for k, i, w in shared)
        except (TypeError, ValueError) as error:
            raise MappingError(f"shared weights cannot be read ({error}): (bead, atom, weight) is expected") from error
        beads, atoms, weights = (np.array(column) for column in zip(*rows, strict=True)) if rows else [np.zeros(0)] * 3
        places = {(k, i) for k, i, _ in rows}
        inside = rows and beads.min() >= 0 and beads.max() < self.n_beads and atoms.min() >= 0
        if not inside or atoms.max() >= self.n_atoms or len(places) < len(rows) or len(set(beads)) < self.n_beads:
            raise MappingError(
                f"shared weights of {len(rows)} elements given: one of each pair of a bead below {self.n_beads} and an "
                f"atom below {self.n_atoms}, and one of every bead at least, are expected"
            )
        if not (np.isfinite(weights) & (weights > 0)).all():
            raise MappingError("a shared weight is not positive, or not finite: leave zeros out")
        return beads, atoms, weights

    def _check_weights(self):
        if self.weights.shape != (self.n_atoms,):
            raise MappingError(f"weights of shape {self.weights.shape} given, ({self.n_atoms},) expected")
        if not np.isfinite(self.weights).all() or (self.weights < 0).any():
            raise MappingError("a weight is negative or not finite: weights of 0 or more are expected")
        totals = np.bincount(self.assignment, self.weights, self.n_beads)
        if self.shared is None and (totals <= 0).any():
            k = int(np.argmin(totals))
            raise MappingError(f"all weights of bead {k} ({self.names[k]}) are 0: at least one must be positive")

    @property
    def matrix(self) -> np.ndarray:
        """The projection M, shape (n_beads, n_atoms), float64, dense: for small molecules. Each row sums to 1."""
        return self.sparse.toarray()

    @cached_property
    def sparse(self) -> Any:
        """The projection M as a ``scipy.sparse.csr_array``, without its zeros."""
        from scipy.sparse import csr_array

        beads, atoms, shares = self.elements
        return csr_array((shares, (beads, atoms)), shape=(self.n_beads, self.n_atoms))

    @cached_property
    def elements(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bead, atom and value of every element of M that is not zero, sorted by bead and atom."""
        if self.shared is not None:
            beads, atoms, weights = self.shared
            return beads, atoms, weights / np.bincount(beads, weights, self.n_beads)[beads]
        counted = np.flatnonzero(self.fractions)
        counted = counted[np.argsort(self.assignment[counted], kind="stable")]
        return self.assignment[counted], counted, self.fractions[counted]

    @cached_property
    def fractions(self) -> np.ndarray:
        """Weight of every atom over that of all atoms of its bead, M_Ii for I = m(i), shape (n_atoms,)."""
        if self.shared is not None:
            fractions = np.zeros(self.n_atoms)
            beads, atoms, shares = self.elements
            own = self.assignment[atoms] == beads
            fractions[atoms[own]] = shares[own]
            return fractions
        return self.weights / np.bincount(self.assignment, self.weights, self.n_beads)[self.assignment]

    @cached_property
    def _by_bead(self):
        """Atoms bead after bead, where those of each begin, and their fractions as a column."""
        order = np.argsort(self.assignment, kind="stable")
        return order, np.searchsorted(self.assignment[order], np.arange(self.n_beads)), self.fractions[order, None]

    def weighted_sums(self, values: np.ndarray) -> np.ndarray:
        """Sums over the atoms of every bead, M v: (..., n_atoms, c) to (..., n_beads, c), float64."""
        if self.shared is not None:
            return _applied(self.sparse, values)
        order, first, fractions = self._by_bead
        return np.add.reduceat(values[..., order, :] * fractions, first, axis=-2)

    def shared_out(self, values: np.ndarray) -> np.ndarray:
        """Values of beads shared out among their atoms by weight, M^T v: (..., n_beads, c) to (..., n_atoms, c)."""
        if self.shared is not None:
            return _applied(self.sparse.T, values)
        return values[..., self.assignment, :] * self.fractions[:, None]

    def project(self, positions: Positions) -> np.ndarray:
        """Place the beads: X = M x.

        Parameters
        ----------
        positions : Quantity or array_like, shape (n_atoms, 3) or (frames, n_atoms, 3)
            All-atom positions, bare numbers in nm, molecules whole.

        Returns
        -------
        numpy.ndarray, shape (n_beads, 3) or (frames, n_beads, 3)
            nm, in the precision of the input.
        """
        frames = as_positions_nm(positions, self.n_atoms, "atoms")
        single = np.ndim(positions) == 2
        # Relative to the bead's first atom, so that float32 keeps its digits far from the origin.
        first = np.array([bead[0] for bead in self.beads])
        if self.shared is None:
            moved = self.weighted_sums(frames - frames[:, first[self.assignment]])
        else:
            rows, atoms, shares = self.elements
            relative = (frames[:, atoms] - frames[:, first[rows]]) * shares[:, None]
            moved = np.add.reduceat(relative, np.searchsorted(rows, np.arange(self.n_beads)), axis=1)
        beads = frames[:, first] + moved.astype(frames.dtype)
        return beads[0] if single else beads

    def lift(self, beads: Positions) -> np.ndarray:
        """Place every atom on its bead: M+ X (paper, definition C.1).

        Parameters
        ----------
        beads : Quantity or array_like, shape (n_beads, 3) or (frames, n_beads, 3)

        Returns
        -------
        numpy.ndarray, shape (n_atoms, 3) or (frames, n_atoms, 3)
            nm.
        """
        frames = as_positions_nm(beads, self.n_beads, "beads")[:, self.assignment]
        return frames[0] if np.ndim(beads) == 2 else frames

    @property
    def topology(self) -> Topology:
        """The all-atom molecule as an ``openmm.app.Topology``."""
        return topology_from_dict(self._description)

    @property
    def masses(self) -> np.ndarray:
        """Bead masses in amu: the sum over all atoms of the bead, whatever their weight, shape (n_beads,)."""
        import mdtraj

        symbols = [symbol for _, symbol, _ in self._description["atoms"]]
        masses = [mdtraj.element.Element.getBySymbol(s).mass if s else 0.0 for s in symbols]
        return np.bincount(self.assignment, masses, self.n_beads)

    @property
    def bead_bonds(self) -> np.ndarray:
        """Bead pairs joined by a covalent bond of their atoms, shape (m, 2), each once."""
        pairs = {tuple(sorted((self.assignment[i], self.assignment[j]))) for i, j in self._description["bonds"]}
        return np.array(sorted(p for p in pairs if p[0] != p[1]), dtype=np.int64).reshape(-1, 2)

    def cg_topology(self) -> Topology:
        """One atom (without element: set masses yourself) in one residue per bead, bonded as the molecule is.

        Returns
        -------
        openmm.app.Topology
        """
        described = [self._description["residues"][self._description["atoms"][bead[0]][2]] for bead in self.beads]
        # A topology lists particles chain by chain: beads that leave a chain and come back open a new one.
        chains = np.cumsum([0] + [a[2] != b[2] for a, b in itertools.pairwise(described)])
        return topology_from_dict(
            {
                "atoms": [[name, "", k] for k, name in enumerate(self.names)],
                "residues": [[name, number, int(c)] for (name, number, _), c in zip(described, chains, strict=True)],
                "bonds": self.bead_bonds.tolist(),
            }
        )

    def check_topology(self, topology: SomeTopology) -> None:
        """Refuse a topology of another molecule.

        Raises
        ------
        TopologyMismatchError
            Naming the first atom that differs.
        """
        given = as_mdtraj_topology(topology)
        if given.n_atoms != self.n_atoms:
            raise TopologyMismatchError(
                f"a topology of {given.n_atoms} atoms given, the mapping is of a molecule of {self.n_atoms} atoms: "
                "use the topology and the model of the same molecule, without solvent"
            )
        described = topology_to_dict(given)
        pairs = zip(self._description["atoms"], described["atoms"], strict=True)
        for i, ((name, symbol, residue), (name2, symbol2, residue2)) in enumerate(pairs):
            own = (self._description["residues"][residue][0], name, symbol)
            other = (described["residues"][residue2][0], name2, symbol2)
            if own != other:
                raise TopologyMismatchError(
                    f"atom {i} of the topology given is {' '.join(other)}, {' '.join(own)} expected: "
                    "it is of another molecule, or its atoms are in another order"
                )

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; `from_dict` undoes it."""
        shared = {} if self.shared is None else {"shared": list(zip(*(c.tolist() for c in self.shared), strict=True))}
        return {
            "beads": [list(bead) for bead in self.beads],
            "weights": self.weights.tolist(),
            "names": list(self.names),
            "topology": self._description,
            **shared,
        }

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> CGMapping:
        """Rebuild a mapping from `to_dict`."""
        check_mapping(description)
        topology = topology_from_dict(description["topology"])
        return cls(
            topology, description["beads"], description["weights"], description["names"], description.get("shared")
        )

    def save(self, path: PathLike) -> None:
        """Write the mapping as JSON."""
        write_json(check_output(path, overwrite=True), self.to_dict())

    @classmethod
    def load(cls, path: PathLike) -> CGMapping:
        """Read a mapping that `save` wrote.

        Raises
        ------
        MappingError
            If the file is missing or not a mapping.
        """
        with reading(path, "mapping", "CGMapping.save", MappingError):
            return cls.from_dict(read_json(path))

    def __eq__(self, other):
        return isinstance(other, CGMapping) and self._compared() == other._compared()

    def _compared(self):
        """What makes a mapping, without bond orders and charges, which the same molecule from another file may lack."""
        topology = {key: value for key, value in self._description.items() if key not in CHEMISTRY}
        return {**self.to_dict(), "topology": topology}

    __hash__ = None  # type: ignore[assignment]

    def _repr_html_(self) -> str:
        """Show the beads as a table in a notebook."""
        parts = list(zip(self.names, self.beads, self.masses, strict=True))
        atoms = [name for name, _, _ in self._description["atoms"]]
        rows: list[tuple[Any, ...]] = [
            (name, len(bead), float(mass), [atoms[i] for i in bead[:SHOWN_ATOMS]]) for name, bead, mass in parts[:SHOWN]
        ]
        rows += [(f"{len(parts) - SHOWN} more", "", "", "")] if len(parts) > SHOWN else []
        title = f"CGMapping: {self.n_atoms} atoms on {self.n_beads} beads"
        return html_table(title, rows, "bead", "atoms", "mass, amu", "the first of them")

    def __repr__(self):
        return f"CGMapping({self.n_atoms} atoms on {self.n_beads} beads: {', '.join(self.names)})"


def _applied(matrix, values):
    """A sparse matrix (a, b) on the next to last axis of values (..., b, c)."""
    columns = np.moveaxis(values, -2, 0)
    found = matrix @ columns.reshape(len(columns), -1)
    return np.moveaxis(found.reshape(-1, *columns.shape[1:]), 0, -2)
