"""From the beads of a whole coarse-grained system, many molecules of one or several kinds, to all atoms."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from openmm import app

from openmm_cgvae.backmapping.backmapper import as_sampler
from openmm_cgvae.core.checks import checked_count, checked_frames, checked_seed
from openmm_cgvae.core.errors import PositionsError, SettingsError, TopologyMismatchError
from openmm_cgvae.core.fingerprint import fingerprint, fingerprint_of
from openmm_cgvae.core.periodic import as_box_vectors
from openmm_cgvae.core.units import as_positions_nm
from openmm_cgvae.molecule.elements import ion_element
from openmm_cgvae.molecule.mapping import CGMapping, topology_to_dict
from openmm_cgvae.molecule.topology import as_mdtraj_topology
from openmm_cgvae.simulation.molecules import find_molecules

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import ArrayLike

    from openmm_cgvae.backmapping.sampler import Sampler
    from openmm_cgvae.core.types import Positions, SomeTopology

__all__ = ["SystemBackmapper"]

# The noise key holds the frame number in its lower bits and the copy number above: 2^32 frames, 2^21 copies.
FRAME_BITS = 32
MAX_COPIES = 1 << 21
# Copies stay independent as long as the correlation of frames does not reach from one copy's numbers to the next's.
MAX_CORRELATION = 2.0 ** (FRAME_BITS - 7)


@dataclass(frozen=True)
class _Kind:
    """All molecules of a kind: bead and atom numbers, (copies, N) and (copies, n), and what keys their noise."""

    name: str
    key: int
    backmapper: object
    beads: np.ndarray
    atoms: np.ndarray


class SystemBackmapper:
    """Samples all-atom structures for a CG system of many molecules, as `Backmapper` does for one.

    ``SystemBackmapper(simulation.topology, {"ALA": Backmapper.load("alanine-dipeptide-3")}, keep=["CL"])`` takes the
    place of a `Backmapper` in `BackmapReporter`, `backmap_trajectory` and `Minimizer(backmapper.mapping)`. All copies
    of a kind are decoded as one batch. A copy's structure depends on its beads and their names, the seed, the frame,
    the sample and its number among the copies, on nothing else in the system (where kinds have beads of the same names,
    on which of them is its own).

    Parameters
    ----------
    cg_topology : openmm.app.Topology or mdtraj.Topology
        Of all particles. A molecule is recognised by the names of its residues and beads, which are those of
        ``backmapper.cg_topology()``; bonds are added where they lack.
    backmappers : dict of str to Sampler, or Sampler
        The model of each kind of molecule, also by the name or file of a model.
    molecules : sequence of (str, int), optional
        Number of molecules of each kind (or of particles by residue name), in order, as in a GROMACS topology:
        ``[("ALA", 125), ("CL", 3)]``. Where it is given, beads may have other names, but not the models' in another
        order; `sample` refuses molecules whose beads are not at distances of training.
    keep : collection of str
        Residue names of particles, such as ions, that no model covers and that pass through as atoms.
    drop : collection of str
        Residue names of particles, such as solvent beads, that are left out.

    Attributes
    ----------
    molecules : list of FoundMolecule
        In the order of the beads, particles that are kept or dropped included.

    Raises
    ------
    TopologyMismatchError
        If particles are of no kind and neither kept nor dropped, or beads do not match their kind.
    SettingsError
        If two kinds have the same beads and `molecules` does not tell them apart, it names an unknown kind, or a
        name is of two of kinds, `keep` and `drop`.
    """

    def __init__(
        self,
        cg_topology: SomeTopology,
        backmappers: dict[str, Sampler] | Sampler,
        molecules: Sequence[tuple[str, int]] | None = None,
        keep: Collection[str] = (),
        drop: Collection[str] = (),
    ) -> None:
        if not isinstance(backmappers, dict):
            backmappers = {"molecule": backmappers}
        backmappers = {name: as_sampler(backmapper) for name, backmapper in backmappers.items()}
        names = [*backmappers, *keep, *drop]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SettingsError(f"{', '.join(twice)} given twice: each name is a kind's, or in keep, or in drop")
        self._backmappers = dict(backmappers)
        self._cg_topology = cg_topology if isinstance(cg_topology, app.Topology) else cg_topology.to_openmm()
        kinds = {name: backmapper.cg_topology() for name, backmapper in self._backmappers.items()}
        self.molecules = find_molecules(self._cg_topology, kinds, {*keep, *drop}, molecules)
        self._written = [m for m in self.molecules if m.kind in self._backmappers or m.kind not in drop]
        if not self._written:
            raise TopologyMismatchError("all particles of the CG topology are dropped: at least one is to be kept")
        self.n_beads = self._cg_topology.getNumAtoms()
        self._number_atoms()

    def _number_atoms(self):
        """Give every molecule its atoms, in the order of the beads."""
        beads, atoms, kept, self.n_atoms = defaultdict(list), defaultdict(list), [], 0
        for molecule in self._written:
            model = self._backmappers.get(molecule.kind)
            size = model.n_atoms if model else molecule.n_beads
            if model:
                beads[molecule.kind].append(molecule.first + np.arange(molecule.n_beads))
                atoms[molecule.kind].append(self.n_atoms + np.arange(size))
            else:
                kept.append((molecule.first, self.n_atoms))
            self.n_atoms += size
        self._kept = np.array(kept, dtype=np.int64).reshape(-1, 2).T
        self._kinds, keys = [], _noise_keys(self._backmappers)
        for name in beads:
            backmapper = self._backmappers[name]
            self._kinds.append(_Kind(name, keys[name], backmapper, np.array(beads[name]), np.array(atoms[name])))
            if len(beads[name]) > MAX_COPIES:
                raise SettingsError(f"{len(beads[name])} molecules of kind {name!r} given: {MAX_COPIES} at most")

    @property
    def topology(self) -> app.Topology:
        """The all-atom ``openmm.app.Topology`` of the system, with chain ids and residue numbers of the CG topology.

        Every molecule is a chain (or several, if its model is), with the id of the chain its first bead is in.
        Residue numbers are the model's, shifted so that the residue of the first bead has the number it has there.
        """
        topology, beads = app.Topology(), list(self._cg_topology.atoms())
        models = {kind.name: (kind.backmapper.topology, _first_number(kind.backmapper)) for kind in self._kinds}
        source = chain = residue = None
        for molecule in self._written:
            bead = beads[molecule.first]
            if molecule.kind in models:
                _add_molecule(topology, *models[molecule.kind], bead.residue)
                source = None
                continue
            # Particles that are kept share residue and chain if they do in the CG topology.
            if source is None or bead.residue.chain is not source.chain:
                chain = topology.addChain(bead.residue.chain.id)
            if bead.residue is not source:
                residue = topology.addResidue(bead.residue.name, chain, bead.residue.id, bead.residue.insertionCode)
            source = bead.residue
            topology.addAtom(bead.name, _kept_element(molecule.kind, bead), residue)
        self._add_kept_bonds(topology)
        topology.setPeriodicBoxVectors(self._cg_topology.getPeriodicBoxVectors())
        return topology

    def _add_kept_bonds(self, topology):
        atoms, of_bead = list(topology.atoms()), dict(self._kept.T.tolist())
        for i, j in self._cg_topology.bonds():
            if i.index in of_bead and j.index in of_bead:
                topology.addBond(atoms[of_bead[i.index]], atoms[of_bead[j.index]])

    def cg_topology(self) -> app.Topology:
        """The coarse-grained ``openmm.app.Topology``, with the bonds of every molecule."""
        topology = app.Topology()
        atoms = []
        for chain in self._cg_topology.chains():
            own = topology.addChain(chain.id)
            for residue in chain.residues():
                place = topology.addResidue(residue.name, own, residue.id, residue.insertionCode)
                atoms += [topology.addAtom(atom.name, atom.element, place) for atom in residue.atoms()]
        bonds = {tuple(sorted((i.index, j.index))) for i, j in self._cg_topology.bonds()}
        for kind in self._kinds:
            own = [[i.index, j.index] for i, j in kind.backmapper.cg_topology().bonds()]
            bonds.update(map(tuple, np.sort(kind.beads[:, own].reshape(-1, 2), axis=1).tolist()))
        for i, j in sorted(bonds):
            topology.addBond(atoms[i], atoms[j])
        topology.setPeriodicBoxVectors(self._cg_topology.getPeriodicBoxVectors())
        return topology

    @cached_property
    def mapping(self) -> CGMapping:
        """The `CGMapping` of the whole system: M x = X; beads that are dropped are not in it."""
        beads, weights, elements = {}, np.ones(self.n_atoms), []
        for kind in self._kinds:
            own, rows = kind.backmapper.mapping, _used_rows(kind.backmapper)
            weights[kind.atoms] = own.weights
            shared, atoms_of, shares = own.elements
            for numbers, atoms in zip(kind.beads[:, rows], kind.atoms, strict=True):
                beads.update(
                    {number: atoms[list(bead)] for number, bead in zip(numbers.tolist(), own.beads, strict=True)}
                )
                elements.append((numbers[shared], atoms[atoms_of], shares))
        beads.update({bead: [atom] for bead, atom in self._kept.T.tolist()})
        elements.append((*self._kept, np.ones(self._kept.shape[1])))
        names = [atom.name for atom in self._cg_topology.atoms()]
        order = sorted(beads)
        several = any(kind.backmapper.mapping.shared is not None for kind in self._kinds)
        shared = _elements_of(elements, order) if several else None
        return CGMapping(self.topology, [beads[k] for k in order], weights, [names[k] for k in order], shared)

    @property
    def fingerprint(self) -> str:
        """Hash of all that its structures depend on: the models of its molecules and their order."""
        kinds = {name: fingerprint_of(backmapper) for name, backmapper in self._backmappers.items()}
        molecules = [[molecule.kind, molecule.first, molecule.n_beads] for molecule in self._written]
        return fingerprint(kinds, molecules, topology_to_dict(as_mdtraj_topology(self.topology)))

    @property
    def handedness(self) -> None:
        """None, so that `Minimizer` compares stereocentres with those of the sampled structure."""
        return None

    def take_moved(self) -> tuple[float, int, float]:
        """How far models moved beads since this was asked last: the sum in nm, of how many, and the most."""
        models = {id(kind.backmapper): kind.backmapper for kind in self._kinds}.values()
        moved = [model.take_moved() for model in models if hasattr(model, "take_moved")] or [(0.0, 0, 0.0)]
        totals, counts, most = zip(*moved, strict=True)
        return sum(totals), sum(counts), max(most)

    def sample(
        self,
        cg_positions: Positions,
        n_samples: int = 1,
        seed: int | None = None,
        frames: ArrayLike | None = None,
        correlation: float = 0.0,
        box: Positions | None = None,
    ) -> np.ndarray:
        """Draw all-atom structures of the whole system.

        Parameters
        ----------
        cg_positions : Quantity or array_like, shape (n_beads, 3) or (frames, n_beads, 3)
            Positions of all particles, bare numbers in nm.
        n_samples, seed, frames, correlation
            As in ``Backmapper.sample``.
        box : Quantity or array_like, shape (3, 3) or (frames, 3, 3), optional
            Periodic box vectors of any triclinic shape: molecules are made whole along their bonds first. Without it
            they must be whole.

        Returns
        -------
        numpy.ndarray, shape (frames, n_samples, n_atoms, 3)
            nm. Molecules are whole and where their first bead is; `openmm_cgvae.core.periodic.wrap` puts them into the
            box.

        Raises
        ------
        PositionsError
            As ``Backmapper.sample``; or if a box is smaller than a molecule.
        SettingsError
            If a number is out of its range.
        """
        beads = as_positions_nm(cg_positions, self.n_beads, "beads", frames)
        n_samples, seed = checked_count("n_samples", n_samples), checked_seed(seed)
        vectors = None if box is None else as_box_vectors(box, len(beads))
        frames = checked_frames(frames, len(beads), FRAME_BITS)
        if correlation > MAX_CORRELATION:
            raise SettingsError(f"a correlation time of {correlation:g} frames given: {MAX_CORRELATION:g} at most")
        made = [
            _sample_kind(kind, beads[:, kind.beads], n_samples, seed, frames, correlation, vectors)
            for kind in self._kinds
        ]
        atoms = np.empty((len(beads), n_samples, self.n_atoms, 3), np.result_type(np.float32, *made))
        for kind, own in zip(self._kinds, made, strict=True):
            atoms[:, :, kind.atoms] = own
        numbers, places = self._kept
        atoms[:, :, places] = beads[:, None, numbers]
        return atoms


def _sample_kind(kind, beads, n_samples, seed, frames, correlation, vectors):
    """All copies of a kind as one batch: beads (frames, copies, N, 3) to atoms (frames, samples, copies, n, 3)."""
    n_frames, n_copies = beads.shape[:2]
    # Copy by copy, so that the frames of each lie side by side in the stream of noise.
    batch = beads.swapaxes(0, 1).reshape(-1, *beads.shape[2:])
    keys = ((np.arange(n_copies)[:, None] << FRAME_BITS) + frames).ravel()
    box = None if vectors is None else np.tile(vectors, (n_copies, 1, 1))
    try:
        atoms = kind.backmapper.sample(batch, n_samples, seed ^ kind.key, keys, correlation, box)
    except PositionsError as error:
        # What keys the noise of a copy is more than the number of the frame.
        number = None if error.frame is None else error.frame & ((1 << FRAME_BITS) - 1)
        raise PositionsError(f"a molecule of kind {kind.name!r}: {error.text}", number) from error
    return atoms.reshape(n_copies, n_frames, *atoms.shape[1:]).transpose(1, 2, 0, 3, 4)


def _used_rows(backmapper):
    """Which beads of a kind its mapping has: some kinds leave particles out."""
    return getattr(backmapper, "bead_rows", np.arange(backmapper.n_beads))


def _elements_of(parts, order):
    """Elements of M as `CGMapping` takes them, of beads by their numbers in the system: (bead, atom, share)."""
    beads, atoms, shares = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return list(zip(np.searchsorted(order, beads).tolist(), atoms.tolist(), shares.tolist(), strict=True))


def _kept_element(kind, bead):
    """Element of a particle that is kept: by the name of an ion, else what the topology has, which may be none."""
    names = ((kind, bead.name), (kind, kind), (bead.residue.name, bead.name))
    symbol = next(filter(None, (ion_element(*pair) for pair in names)), None)
    return bead.element if symbol is None else app.Element.getBySymbol(symbol)


def _noise_keys(backmappers):
    """Return a 64-bit key for each kind, from its bead names, so that kinds draw different noise."""
    earlier, keys = Counter(), {}
    for name, backmapper in backmappers.items():
        beads = tuple((atom.residue.name, atom.name) for atom in backmapper.cg_topology().atoms())
        digest = hashlib.sha256(repr((beads, earlier[beads])).encode()).digest()
        keys[name] = int.from_bytes(digest[:8], "little")
        earlier[beads] += 1
    return keys


def _first_number(backmapper):
    """Residue number of the first bead in the model's own CG topology."""
    return int(next(backmapper.cg_topology().residues()).id)


def _add_molecule(topology, model, first_number, residue):
    """Append a molecule, its chain named and its residues numbered as `residue`, of its first bead, says."""
    shift = int(residue.id) - first_number if residue.id.lstrip("-").isdigit() else 0
    atoms = {}
    for chain in model.chains():
        own = topology.addChain(residue.chain.id)
        for group in chain.residues():
            place = topology.addResidue(group.name, own, str(int(group.id) + shift))
            atoms.update({atom: topology.addAtom(atom.name, atom.element, place) for atom in group.atoms()})
    for bond in model.bonds():
        topology.addBond(atoms[bond[0]], atoms[bond[1]])
