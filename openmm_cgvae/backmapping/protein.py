"""Models of any protein, bound to the one that a topology of beads stands for."""

import copy
import logging
from dataclasses import replace

import numpy as np
from openmm import app

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.binding.beads import read_beads
from openmm_cgvae.binding.chains import BOND_LENGTHS
from openmm_cgvae.binding.martini import MARTINI_ROLES
from openmm_cgvae.binding.protein import Protein, bind_protein
from openmm_cgvae.core.errors import MappingError, PositionsError, SettingsError, TopologyMismatchError
from openmm_cgvae.core.units import ANGSTROM_PER_NM, as_positions_nm
from openmm_cgvae.molecule.mapping import CGMapping
from openmm_cgvae.molecule.topology import copied_topology

__all__ = ["AnyProtein", "ProteinBackmapper", "molecule_tensors", "protein_mapping"]

logger = logging.getLogger(__name__)

CONSISTENCIES = ("exact", "sound")
# Of `bind_protein`, which `bind` passes on.
OPTIONS = ("histidine", "protonation", "disulfides", "termini", "caps", "unknown", "breaks")
# Residues whose arrays are held at once, which sets the number of structures a call.
RESIDUES_AT_ONCE = 8192
# Recentring converges, to rounding, in so many passes where beads share atoms, as those of PHE in Martini 3.
PASSES = 30
# A residue needs others along the chain to have an orientation.
LEAST_RESIDUES = 3
# Beads that moved farther than this are warned of.
NOTED_NM = 0.005
# Median distance of neighbouring beads of a frame, of what is expected.
NEAREST, FARTHEST = 0.5, 1.6


class AnyProtein:
    """The `ModelKind` of models of any protein."""

    of_any_molecule = True

    @staticmethod
    def rebuild(file):
        """Build the module by the package's own classes."""
        from openmm_cgvae.proteins.rebuild import rebuild_protein

        return rebuild_protein(file.metadata["model"], file.state)

    @staticmethod
    def bind(
        file, topology=None, *, positions=None, temperature=1.0, representative=False, consistency=None, device="cpu",
        precision="single", chunk_size=None, **options,
    ):  # fmt: skip
        """Make the `ProteinBackmapper` of the protein that a topology of beads stands for.

        Parameters
        ----------
        file : ModelFile
        topology : path or object
            Of the beads, see `bind_protein`.
        positions : array_like, shape (n_beads, 3), optional
            One frame in nm, by which breaks and disulfides are found; otherwise that of the topology's file.
        temperature : float
            Of the torsions' distributions: 1 samples them, less prefers the likely ones.
        representative : bool
            Take the likeliest torsions, one structure a frame: the best single guess, without fluctuations.
        consistency : {"exact", "sound"}, optional
            Whether beads stay where they are, or move as little as sound bonds ask; the model's own if omitted.
        device, precision, chunk_size
            As of `Backmapper`.
        **options
            ``histidine``, ``protonation``, ``disulfides``, ``termini``, ``caps``, ``unknown``, ``breaks`` of
            `bind_protein`.

        Raises
        ------
        TopologyMismatchError
            If there is no topology, it is no protein, or a chain is too short.
        MappingError
            If the beads are of another mapping than the model's.
        """
        if topology is None:
            raise TopologyMismatchError(
                "a model of any protein given without a topology of the beads: give one (on the command line, --top)"
            )
        consistency = consistency or file.metadata.get("consistency", "sound")
        if consistency not in CONSISTENCIES:
            raise SettingsError(f"consistency={consistency!r} given: one of {', '.join(CONSISTENCIES)} is expected")
        if not temperature > 0:
            raise SettingsError(f"temperature={temperature} given: a positive number is expected (or representative)")
        check_names(options)
        beads = read_beads(topology, positions)
        protein = bind_protein(beads, mapping=file.metadata["mapping"], **options)
        if protein.mapping == "elnedyn":
            raise MappingError(
                "beads of elnedyn given, whose BB are C-alphas: give these alone, named CA, to protein-ca "
                "(protein-martini is of Martini 2.2 and 3, whose BB are centres of mass)"
            )
        check_chains(protein)
        module = copy.deepcopy(file.module)
        mapping = protein_mapping(protein)
        module.take(molecule_tensors(protein, module, mapping))
        module.temperature = 0.0 if representative else float(temperature)
        module.exact = consistency == "exact"
        bound = replace(file, module=module, mapping=None, state={})
        chunk = chunk_size or max(1, RESIDUES_AT_ONCE // protein.n_residues)
        return ProteinBackmapper(bound, protein, mapping, beads, consistency, device, precision, chunk)

    @staticmethod
    def serves(file):
        """Say which proteins the model is of."""
        return f"any protein, on {file.metadata['beads']}"


class ProteinBackmapper(Backmapper):
    """Samples all-atom structures of one protein: ``Backmapper.load("protein-ca", "ca.pdb").sample(positions)``.

    Parameters
    ----------
    model : ModelFile
        Its module has taken the protein.
    protein : Protein
    mapping : CGMapping
        `protein_mapping`, of the beads that are used.
    beads : BeadRecord
        All that were given.
    consistency : {"exact", "sound"}
    device, precision, chunk_size
        As of `Backmapper`.

    Attributes
    ----------
    protein : Protein
    """

    def __init__(self, model, protein, mapping, beads, consistency, device, precision, chunk_size):
        super().__init__(model, device, precision, chunk_size, mapping=mapping)
        self.protein = protein
        self._beads = beads
        self._rows = used_rows(protein)[0]
        self._main = main_beads(protein)
        self.consistency = consistency
        # Sum, number and most of the distances by which beads were moved: since `take_moved`, and before.
        self._moved: list = []
        self._moved_before = (0.0, 0, 0.0)

    @property
    def topology(self):
        """The all-atom ``openmm.app.Topology``, with the chains and residue numbers of the beads."""
        return copied_topology(self.protein.topology)

    @property
    def bead_rows(self):
        """Which of the particles that were given are the beads of `mapping`, (N,) of int."""
        return self._rows

    @property
    def n_beads(self):
        """Particles of the topology that was given, those that are not used among them."""
        return self.protein.n_input_beads

    def cg_topology(self):
        """The ``openmm.app.Topology`` of all particles that were given, with bonds along the chains."""
        return bead_topology(self._beads, self._rows[np.array(self.mapping.bead_bonds, dtype=np.int64).reshape(-1, 2)])

    def sample(self, cg_positions, n_samples=1, seed=None, frames=None, correlation=0.0, box=None):
        """Draw all-atom structures, see `Backmapper.sample`; particles that are not used are left out."""
        beads = as_positions_nm(cg_positions, self.n_beads, "beads", frames)[:, self._rows]
        atoms = super().sample(beads, n_samples, seed, frames, correlation, box)
        if self._moved:
            self._report_shift()
        return atoms

    @property
    def bead_shift_nm(self):
        """How far beads were moved, in nm, on average and at most, over all that was sampled; zero where exact."""
        total, count, most = _together([self._moved_before, *self._moved])
        return total / max(1, count), most

    def take_moved(self):
        """How far beads were moved since this was asked last: the sum in nm, of how many, and the most."""
        moved, self._moved = _together(self._moved), []
        self._moved_before = _together([self._moved_before, moved])
        return moved

    def _check_fits(self, beads, vectors, frames):
        """Chains fill a box, and may be longer than it: neighbours along them, which are near, tell images apart."""

    def _check_spread(self, beads, frames):
        """Refuse beads that cannot be neighbours in a chain, as wrong units and molecules in pieces make them."""
        bonds = np.flatnonzero(self.protein.connected)
        if not len(bonds):
            return
        expected = BOND_LENGTHS.get(self.protein.mapping, BOND_LENGTHS["martini"])[0]
        steps = beads[:, self._main[bonds]] - beads[:, self._main[bonds - 1]]
        middle = np.median(np.linalg.norm(steps, axis=-1), axis=1)
        bad = np.flatnonzero(~((middle > NEAREST * expected) & (middle < FARTHEST * expected)))
        if bad.size:
            raise PositionsError(
                f"beads of frame {frames[bad[0]]} are {middle[bad[0]]:.3g} nm apart along the chain, {expected} nm is "
                "expected: check that positions are in nm, in the order of the topology, and molecules whole"
            )

    def _sample_chunk(self, beads, n_samples, seed, frames, correlation, vectors):
        atoms = super()._sample_chunk(beads, n_samples, seed, frames, correlation, vectors)
        if self.consistency == "sound":
            shift = np.linalg.norm(self.mapping.weighted_sums(atoms) - beads[:, None], axis=-1)
            # Parts are sampled in threads.
            self._moved.append((float(shift.sum()), shift.size, float(shift.max())))
        return atoms

    def _report_shift(self):
        """Log how far beads were moved so far; once as a warning."""
        mean, most = self.bead_shift_nm
        level = logging.WARNING if most > NOTED_NM and not self._warned else logging.INFO
        self._warned |= level == logging.WARNING
        text = "beads moved by %.4f nm on average, %.4f nm at most, where they leave bonds no room"
        logger.log(level, text + ' (consistency="exact" keeps them)', mean, most)


def _together(moved):
    """Add up sums, numbers and most of distances."""
    totals, counts, most = zip(*moved, strict=True) if moved else ((), (), ())
    return float(sum(totals)), int(sum(counts)), float(max(most, default=0.0))


def check_names(options):
    """Refuse options that `bind_protein` does not know (`SettingsError`)."""
    for name in options:
        if name not in OPTIONS:
            raise SettingsError(f"unknown option {name!r} given: one of {', '.join(OPTIONS)} is expected")


def bead_topology(beads, bonds):
    """The ``openmm.app.Topology`` of a `BeadRecord`, with bonds (m, 2)."""
    topology, chain, residue, last = app.Topology(), None, None, -1
    parts = list(zip(beads.chains, beads.molecules.tolist(), strict=True))
    for row in range(beads.n_beads):
        start = row == 0 or parts[row] != parts[row - 1]
        if start:
            chain = topology.addChain(beads.chains[row] or None)
        if start or beads.residues[row] != last:
            number, last = str(beads.numbers[row]), beads.residues[row]
            residue = topology.addResidue(beads.residue_names[row], chain, number, beads.insertions[row])
        topology.addAtom(beads.names[row], None, residue)
    atoms = list(topology.atoms())
    for i, j in bonds.tolist():
        topology.addBond(atoms[i], atoms[j])
    if beads.box is not None:
        topology.setPeriodicBoxVectors(beads.box)
    return topology


def check_chains(protein):
    """Refuse chains too short to have an orientation (`TopologyMismatchError`)."""
    starts = np.flatnonzero(~protein.connected)
    lengths = np.diff(np.append(starts, protein.n_residues))
    if (lengths < LEAST_RESIDUES).any():
        short = int(np.argmin(lengths))
        raise TopologyMismatchError(
            f"a chain of {lengths[short]} residues given (from residue {starts[short] + 1} of the beads): chains of "
            f"{LEAST_RESIDUES} or more are expected, since fewer beads have no orientation; check for chain breaks"
        )


def protein_mapping(protein: Protein) -> CGMapping:
    """The `CGMapping` of a protein's atoms on the beads that are used."""
    atoms, beads, share = used_weights(protein)
    assignment = np.full(protein.n_atoms, -1)
    weights = np.zeros(protein.n_atoms)
    assignment[atoms], weights[atoms] = beads, share
    main = main_beads(protein)
    rest = protein.heavy_atoms[assignment[protein.heavy_atoms] < 0]
    owner = np.zeros(protein.n_atoms, dtype=np.int64)
    owner[protein.heavy_atoms] = protein.heavy_residue
    assignment[rest] = main[owner[rest]]
    placements = protein.placements
    for atom, origin in zip(placements.atoms.tolist(), placements.references[:, 0].tolist(), strict=True):
        if assignment[atom] < 0:
            assignment[atom] = assignment[origin]
    rows, place = used_rows(protein)
    order = np.argsort(assignment, kind="stable")
    groups = np.split(order, np.searchsorted(assignment[order], np.arange(1, len(rows))))
    kept = [atom.name for atom in protein.topology.atoms()][protein.n_atoms - len(protein.kept) :]
    names = np.array([*protein.bead_roles, *kept], dtype=object)
    # Atoms of rings count for several beads of Martini.
    several = len(np.unique(atoms)) < len(atoms)
    shared = list(zip(beads.tolist(), atoms.tolist(), share.tolist(), strict=True)) if several else None
    return CGMapping(protein.topology, groups, weights, names[np.argsort(place)].tolist(), shared)


def used_rows(protein):
    """Rows of the particles that are used, in their order, and the place among them of every bead, kept ones last."""
    rows = np.concatenate([protein.bead_rows, protein.kept[:, 1]])
    return np.sort(rows), np.argsort(np.argsort(rows))


def used_weights(protein):
    """Atom, place of the bead among those used, and weight, of every non-zero element of M."""
    atoms, beads, share = protein.mapping_weights
    place, kept = used_rows(protein)[1], protein.kept[:, 0]
    beads = np.concatenate([place[beads], place[protein.n_beads :]])
    return np.concatenate([atoms, kept]), beads, np.concatenate([share, np.ones(len(kept))])


def main_beads(protein):
    """The bead of every residue that stands for its backbone, (n,)."""
    main, place = np.full(protein.n_residues, -1), used_rows(protein)[1]
    for bead in range(protein.n_beads - 1, -1, -1):
        if protein.bead_roles[bead] in ("CA", "COM", "BB"):
            main[protein.bead_residues[bead]] = place[bead]
    return main


def extra_beads(protein):
    """The side-chain beads of every residue, (n, 5), -1 where there is none; (n, 0) of mappings without."""
    if protein.mapping in ("ca", "com"):
        return np.zeros((protein.n_residues, 0), dtype=np.int64)
    extra, place = np.full((protein.n_residues, len(MARTINI_ROLES) - 1), -1), used_rows(protein)[1]
    for bead, role in enumerate(protein.bead_roles):
        if role in MARTINI_ROLES[1:]:
            extra[protein.bead_residues[bead], MARTINI_ROLES.index(role) - 1] = place[bead]
    return extra


def molecule_tensors(protein: Protein, module, mapping: CGMapping) -> dict:
    """Index tensors of a protein with its `protein_mapping`, as ``ProteinModel.take`` of the module takes them."""
    import torch

    from openmm_cgvae.geometry.vectors import segment_offsets
    from openmm_cgvae.models.placement import placement_tensors
    from openmm_cgvae.proteins.heavy import heavy_graph
    from openmm_cgvae.proteins.model import ROTORS
    from openmm_cgvae.proteins.relaxation import HeavyBounds, bound_tables

    graph = heavy_graph(protein.residue_types, protein.connected, protein.disulfides)
    order = np.lexsort((protein.heavy_slot, protein.heavy_residue))
    heavy = protein.heavy_atoms[order]
    place = np.full(protein.n_atoms, -1)
    place[heavy] = np.arange(len(heavy))
    (atoms, beads, share), n_beads = used_weights(protein), mapping.n_beads
    counted = place[atoms] >= 0
    own, its_beads, its_share = place[atoms[counted]], beads[counted], share[counted]
    its_share = its_share / np.bincount(its_beads, its_share, n_beads)[its_beads]
    by_bead = np.lexsort((own, its_beads))
    rows = (its_beads[by_bead], own[by_bead], its_share[by_bead])
    bounds = HeavyBounds(10, bound_tables(module.state_dict()))
    bounds.bind_protein(graph, rows, mapping.assignment[heavy])
    placed = placement_tensors(protein.placements)
    rotor_residue, rotor_column = _rotors(protein, mapping, ROTORS)
    order = np.lexsort((atoms, beads))
    extra = torch.as_tensor(extra_beads(protein))
    return {
        **bounds.tensors(),
        "types": torch.as_tensor(protein.residue_types), "connected": torch.as_tensor(protein.connected),
        "heavy": torch.as_tensor(heavy), "residue": torch.as_tensor(graph.residue), "slot": torch.as_tensor(graph.slot),
        "placed": placed.atoms, "references": placed.references, "symmetric": placed.symmetric,
        "local": placed.local * float(ANGSTROM_PER_NM), "rotor": placed.rotor, "wells": placed.wells,
        "sizes": torch.tensor(placed.sizes, dtype=torch.int64),
        "rotor_residue": torch.as_tensor(rotor_residue), "rotor_column": torch.as_tensor(rotor_column),
        "main": torch.as_tensor(main_beads(protein)), "extra": extra.clamp_min(0), "extra_there": extra >= 0,
        "kept": torch.as_tensor(protein.kept[:, 0]),
        "kept_beads": torch.as_tensor(used_rows(protein)[1][protein.n_beads :]),
        "passes": torch.tensor(PASSES if len(np.unique(atoms)) < len(atoms) else 1),
        "n_atoms": torch.tensor(protein.n_atoms), "n_beads": torch.tensor(n_beads),
        "atoms": torch.as_tensor(atoms[order]), "weights": torch.as_tensor(share[order]).float(),
        "offsets": segment_offsets(torch.as_tensor(beads[order]), n_beads),
        "assignment": torch.as_tensor(mapping.assignment),
    }  # fmt: skip


def _rotors(protein, mapping, most):
    """Residue and column of the noise of every rotor, (r,) each."""
    placements = protein.placements
    first = np.full(placements.n_rotors, -1)
    turned = placements.rotor >= 0
    first[placements.rotor[turned]] = placements.atoms[turned]
    owner = np.full(mapping.n_beads, -1)
    owner[used_rows(protein)[1][: protein.n_beads]] = protein.bead_residues
    residue = owner[mapping.assignment[first]]
    order = np.argsort(residue, kind="stable")
    column = np.zeros(len(residue), dtype=np.int64)
    ordered = residue[order]
    column[order] = np.arange(len(residue)) - np.searchsorted(ordered, ordered)
    return residue, column % most
