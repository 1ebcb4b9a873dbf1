"""From a topology of beads to the all-atom protein that a model fills in."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from openmm_cgvae.binding.assembly import Placements, assemble
from openmm_cgvae.binding.atomtopology import atom_topology
from openmm_cgvae.binding.beads import read_beads
from openmm_cgvae.binding.beadtable import beads_by_residue, speaks_one_letter
from openmm_cgvae.binding.beadweights import mapping_weights, used_beads
from openmm_cgvae.binding.chains import connections, nearest_image, residue_index, whole_chains
from openmm_cgvae.binding.disulfides import disulfide_pairs
from openmm_cgvae.binding.ends import residue_keys, without_caps
from openmm_cgvae.binding.martini import martini_version
from openmm_cgvae.binding.recognition import recognise
from openmm_cgvae.chemistry.aminoacids.names import variant_of
from openmm_cgvae.chemistry.aminoacids.residues import VARIANT_TYPES
from openmm_cgvae.core.errors import SettingsError

__all__ = ["Protein", "bind_protein"]

logger = logging.getLogger(__name__)

_HISTIDINES = ("HID", "HIE", "HIP")


@dataclass(frozen=True, eq=False)
class Protein:
    """The all-atom molecule behind beads, and which atoms each bead stands for.

    Residues are the amino acids, counted from 0 along the chains; caps are residues of the topology only.

    Parameters
    ----------
    mapping : {"ca", "com", "martini3", "martini2", "elnedyn"}
    residue_types : numpy.ndarray of int, shape (n,)
        Place in `residues.AMINO_ACIDS`.
    variants : tuple of str
        Protonation state of every residue, a key of `residues.VARIANT_TYPES`.
    connected : numpy.ndarray of bool, shape (n,)
        Whether a residue is bonded to the one before.
    bead_rows : numpy.ndarray of int, shape (b,)
        Row of every bead that is used in the topology it was read from.
    bead_residues : numpy.ndarray of int, shape (b,)
    bead_roles : tuple of str
        "CA", "COM", or "BB" and "SC1" to "SC5".
    ignored : dict of str to list of int
        Rows that are not used, by reason.
    n_input_beads : int
        Rows of the topology that was read.
    atomic_numbers : numpy.ndarray of int, shape (a,)
    bonds : numpy.ndarray of int, shape (m, 2)
    heavy_atoms, heavy_residue, heavy_slot : numpy.ndarray of int, shape (h,)
        Atoms that a model places, their residue and slot in `residues.HEAVY_ATOMS`.
    placements : Placements
        How all other atoms follow from these.
    disulfides : numpy.ndarray of int, shape (s, 2)
        Residues.
    mapping_weights : tuple of numpy.ndarray
        Atom, bead and weight of every non-zero element of M, X = M x; weights of a bead sum to 1.
    kept : numpy.ndarray of int, shape (k, 2)
        Atom index and row of beads that are kept as they are.
    """

    mapping: str
    residue_types: np.ndarray
    variants: tuple
    connected: np.ndarray
    bead_rows: np.ndarray
    bead_residues: np.ndarray
    bead_roles: tuple
    ignored: dict
    n_input_beads: int
    atomic_numbers: np.ndarray
    bonds: np.ndarray
    heavy_atoms: np.ndarray
    heavy_residue: np.ndarray
    heavy_slot: np.ndarray
    placements: Placements
    disulfides: np.ndarray
    mapping_weights: tuple
    kept: np.ndarray
    _make_topology: Callable = field(repr=False)

    @cached_property
    def topology(self) -> Any:
        """The ``openmm.app.Topology`` of all atoms with PDB names, kept beads last.

        A chain for every part of a chain, made when it is first asked for: it takes most of the time.
        """
        return self._make_topology()

    @property
    def n_atoms(self) -> int:
        return len(self.atomic_numbers)

    @property
    def n_beads(self) -> int:
        return len(self.bead_rows)

    @property
    def n_residues(self) -> int:
        return len(self.residue_types)

    def project(self, positions: np.ndarray) -> np.ndarray:
        """Bead positions (..., b, 3) of atom positions (..., a, 3)."""
        from scipy.sparse import csr_array

        atoms, beads, weights = self.mapping_weights
        matrix = csr_array((weights, (beads, atoms)), shape=(self.n_beads, self.n_atoms))
        flat = np.moveaxis(np.asarray(positions, dtype=float), -2, 0).reshape(self.n_atoms, -1)
        shape = (self.n_beads, *positions.shape[:-2], 3)
        return np.moveaxis((matrix @ flat).reshape(shape), 0, -2)


def bind_protein(
    beads: Any,
    positions: np.ndarray | None = None,
    mapping: str | None = None,
    *,
    histidine: str = "HIE",
    protonation: Mapping | None = None,
    disulfides: str | Sequence | None = "auto",
    termini: str | tuple = "charged",
    caps: str = "residues",
    unknown: str = "error",
    breaks: str | Sequence = "auto",
) -> Protein:
    """Return the `Protein` that a topology of beads stands for.

    Parameters
    ----------
    beads : path or object
        A PDB, mmCIF, GRO, PSF or prmtop file, or a topology of OpenMM, mdtraj, ParmEd or MDAnalysis.
    positions : array, shape (n_beads, 3), optional
        One frame in nm, by which breaks and disulfides are found; otherwise that of `beads`, if it has one.
    mapping : {"ca", "martini", "com"} or {"martini3", "martini2", "elnedyn"}, optional
        What the beads must be; recognised by their names otherwise, C-alpha where one bead a residue says no more.
    histidine : {"HID", "HIE", "HIP"}
        State of histidines whose names do not tell.
    protonation : mapping, optional
        Residue, by index or as "A:57", to a state as "ASH" or "HIP"; before what names tell.
    disulfides : "auto", None or list of pairs
        By the topology's bonds and by distance, none, or the residues listed.
    termini : {"charged", "neutral", "capped"} or a pair of them for start and end
        Of every part of a chain, at breaks too. Caps that the beads have come first. amber14 has no
        templates of neutral ends, nor of ASH, GLH, LYN and CYM at an end. A residue alone with both ends charged, which
        it does not have either, gets caps, unless these are merged.
    caps : {"residues", "merged"}
        Residues of their own, as in PDB files and for amber14, or atoms of the residue they cap, as charmm36 has them.
    unknown : {"error", "drop", "keep"}
        Residues that are no amino acid: refuse, leave out, or keep their beads as they are.
    breaks : "auto", "none" or list
        "none": every chain is whole; a list: residues that begin a new part.

    Raises
    ------
    DataError
        If a file cannot be read.
    TopologyMismatchError
        If the beads are no protein in residues: atoms, unknown residues, beads missing or twice, residues out of order.
    MappingError
        If they are of no mapping that is known, or not of `mapping`.
    PositionsError
        If positions are of another shape or unit.
    SettingsError
        If an option names no state or no residue.
    """
    record = read_beads(beads, positions)
    found = recognise(record, mapping, unknown)
    everything = beads_by_residue(record, found.rows, found.main)
    residues, known_caps, cap_rows = without_caps(everything)
    one_letter = speaks_one_letter(record)
    named = [variant_of(r.name, one_letter) for r in residues]
    main = _main_rows(residues, found.main)
    where = None if record.positions is None else whole_chains(record.positions[main], residues, record.box)
    connected = connections(residues, where, found.family, breaks)
    for i, side in known_caps:
        connected[i + (side == "c") : i + (side == "c") + 1] = False
    kinds = [VARIANT_TYPES[_type_name(v)] for v in named]
    version = found.family
    if version == "martini":
        version = martini_version(residues, kinds, where, mapping)
    pairs = _disulfides(record, residues, named, connected, where, found.family, disulfides)
    variants = _protonate(residues, named, histidine, protonation, pairs)
    keys, bonded, labels, index = residue_keys(residues, variants, connected, known_caps, termini, caps)
    assembly = assemble(keys, bonded, [(index[i], "SG", index[j], "SG") for i, j in pairs])
    rows, bead_residues, roles = used_beads(residues, kinds, version)
    ignored = {**found.ignored, **({"caps, placed by geometry": cap_rows} if cap_rows else {})}
    for reason, which in ignored.items():
        logger.info("%d beads ignored: %s", len(which), reason)
    kept = np.array([[len(assembly.numbers) + k, row] for k, row in enumerate(found.kept)], dtype=int).reshape(-1, 2)
    heavy = np.flatnonzero(assembly.slots >= 0)
    owner = np.repeat(np.arange(len(keys)), np.diff(assembly.starts))
    amino = np.full(len(keys), -1)
    amino[index] = np.arange(len(residues))
    return Protein(
        mapping=version,
        residue_types=np.array(kinds),
        variants=tuple(variants),
        connected=connected,
        bead_rows=rows,
        bead_residues=bead_residues,
        bead_roles=tuple(roles),
        ignored=ignored,
        n_input_beads=record.n_beads,
        atomic_numbers=np.concatenate([assembly.numbers, np.zeros(len(kept), dtype=int)]),
        bonds=assembly.bonds,
        heavy_atoms=heavy,
        heavy_residue=amino[owner[heavy]],
        heavy_slot=assembly.slots[heavy],
        placements=assembly.placements,
        disulfides=pairs,
        mapping_weights=mapping_weights(kinds, bead_residues, roles, version, assembly.starts[index]),
        kept=kept,
        _make_topology=partial(atom_topology, assembly, labels, bonded, record, found.kept, caps == "merged"),
    )


def _type_name(variant):
    return "HIE" if variant == "HIS" else variant


def _main_rows(residues, main):
    return [r.rows[main] if main is not None else next(iter(r.rows.values())) for r in residues]


def _disulfides(record, residues, named, connected, where, family, disulfides):
    cysteines = [i for i, variant in enumerate(named) if variant in ("CYS", "CYX")]
    bonds = []
    sides = None
    if family == "martini":
        owner = {residues[i].rows["SC1"]: i for i in cysteines if "SC1" in residues[i].rows}
        bonds = [(owner[a], owner[b]) for a, b in record.bonds.tolist() if a in owner and b in owner]
        if where is not None:
            sides = np.full((len(residues), 3), np.nan)
            index = list(owner.values())
            arms = record.positions[list(owner)] - record.positions[[residues[i].rows["BB"] for i in index]]
            sides[index] = where[index] + (arms if record.box is None else nearest_image(arms, record.box))
            cysteines = sorted(owner.values())
    return disulfide_pairs(residues, cysteines, connected, where, sides, family, disulfides, bonds)


def _protonate(residues, named, histidine, protonation, pairs):
    """State of every residue: given, told by its name, or the default."""
    if histidine not in _HISTIDINES:
        raise SettingsError(f"histidine={histidine!r} given: one of {', '.join(_HISTIDINES)} is expected")
    variants = [histidine if v == "HIS" else v for v in named]
    bonded = set(pairs.ravel().tolist())
    for i, variant in enumerate(variants):
        if variant in ("CYS", "CYX"):
            variants[i] = "CYX" if i in bonded else "CYS"
    for which, state in (protonation or {}).items():
        i = residue_index(residues, which)
        same = [v for v, kind in VARIANT_TYPES.items() if kind == VARIANT_TYPES[variants[i]]]
        if state not in same or (i in bonded) != (state == "CYX"):
            raise SettingsError(
                f"protonation of {residues[i].label}: {state!r} given, one of {', '.join(same)} is expected"
                + (", CYX for what is in a disulfide bond and only for it" if "CYX" in same else "")
            )
        variants[i] = state
    return variants
