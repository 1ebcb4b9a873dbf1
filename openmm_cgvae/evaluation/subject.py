"""What a report is about: all-atom structures, the beads they were made from, and what they are compared with."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from openmm_cgvae.core.errors import TopologyMismatchError
from openmm_cgvae.io.thinning import thinned
from openmm_cgvae.metrics.covalent import disulfides
from openmm_cgvae.metrics.structure import handedness as signs_of
from openmm_cgvae.molecule.graph import MolecularGraph
from openmm_cgvae.molecule.topology import as_mdtraj_topology, copied_topology
from openmm_cgvae.preparation.structures import amino_acids, beads_of, chain_of, heavy_atoms
from openmm_cgvae.proteins.beadweights import MAPPINGS
from openmm_cgvae.proteins.chains import Chain

__all__ = ["DENSE", "Subject", "of_evaluation", "of_longest", "of_model", "of_structures"]

# Molecules up to so many atoms are measured by their whole bond graph, whose cost grows with the square.
DENSE = 1500
LEAST_RESIDUES = 3
# Residues whose atoms are held by slot at once, and frames of an evaluation that are drawn.
RESIDUES_AT_ONCE, MOST_FRAMES = 300_000, 1000
# Consecutive blocks that stand for independent runs where the reference is a single trajectory.
BLOCKS = 10


@dataclass
class Subject:
    """Structures and what belongs to them; `of_model`, `of_structures`, `of_longest` and `of_evaluation` make one.

    Parameters
    ----------
    title : str
    topology : openmm.app.Topology
        Of the atoms.
    structures : numpy.ndarray, shape (frames, samples, n, 3)
        nm.
    numbers : numpy.ndarray of int, shape (frames,)
        Numbers of the frames in their file.
    beads : numpy.ndarray, shape (frames, N, 3), optional
        nm, those of `mapping`.
    mapping : CGMapping, optional
    reference : numpy.ndarray, shape (r, n, 3), optional
        MD of the same atoms, nm.
    runs : numpy.ndarray of int, shape (r,), optional
    origin : numpy.ndarray of int, shape (frames,), optional
        The reference frames that the beads were taken from, if they were.
    crystal : Chain, optional
        The structure that the beads of a protein were taken from.
    handedness : sequence of int, optional
    figures : dict
        As `openmm_cgvae.evaluation.evaluate.evaluate` gives them, where they are known already.
    energies : dict of str to numpy.ndarray
        kJ/mol an atom, of ``sampled`` and ``minimised`` structures, and ``md`` and ``md minimised``.
    potential : CGPotential, optional
        Made of the training data, whose ranges it holds.
    metadata : dict
        Of the model.
    training_log : path, optional
    sources : list of (str, str)
        What was read, for the foot of the page.
    """

    title: str
    topology: Any
    structures: np.ndarray
    numbers: np.ndarray
    beads: np.ndarray | None = None
    mapping: Any = None
    reference: np.ndarray | None = None
    runs: np.ndarray | None = None
    origin: np.ndarray | None = None
    crystal: Chain | None = None
    handedness: Any = None
    figures: dict = field(default_factory=dict)
    energies: dict = field(default_factory=dict)
    potential: Any = None
    metadata: dict = field(default_factory=dict)
    training_log: Any = None
    sources: list = field(default_factory=list)

    @property
    def n_atoms(self):
        return self.structures.shape[2]

    @property
    def flat(self):
        """The structures one after the other, shape (frames * samples, n, 3)."""
        return self.structures.reshape(-1, *self.structures.shape[2:])

    @property
    def is_small(self):
        """Whether the whole bond graph can be compared."""
        return self.n_atoms <= DENSE

    @cached_property
    def graph(self):
        return MolecularGraph.from_topology(as_mdtraj_topology(self.topology))

    @cached_property
    def chain(self):
        """The first structure's amino acids as a `Chain`; None where there is none, or one lacks its C-alpha."""
        try:
            return chain_of(self.topology, self.flat[0])
        except TopologyMismatchError:
            return None

    @property
    def is_protein(self):
        """Whether there are as many residues as figures of proteins ask for."""
        return self.chain is not None and len(self.chain.residue_types) >= LEAST_RESIDUES

    @cached_property
    def residue_atoms(self):
        """Heavy atoms of the amino acids of some frames by slot, shape (frames, samples, N, 14, 3), Angstrom."""
        each = self.structures.shape[1] * len(self.chain.residue_types)
        rows = thinned(len(self.structures), max(1, RESIDUES_AT_ONCE // each))
        return heavy_atoms(self.structures[rows], self.topology)[0]

    def residue_atoms_of(self, rows):
        """Heavy atoms of the first sample of some frames, shape (rows, N, 14, 3), Angstrom."""
        return heavy_atoms(self.structures[rows, 0], self.topology)[0]

    @cached_property
    def residues(self):
        """The amino acids of the topology, in the order of `chain`."""
        return [residue for residue, _ in amino_acids(self.topology)]

    @cached_property
    def reference_signs(self):
        """Handedness of every stereocentre in the reference, or what the model says; None if unknown."""
        if self.reference is not None:
            return np.sign(signs_of(self.reference, self.graph).mean(0)).astype(np.int8)
        return None if self.handedness is None else np.asarray(self.handedness)


def of_model(backmapper, reference, runs=None, title="", n_frames=600, n_samples=4, seed=0, **more):
    """Sample structures for the beads of reference MD.

    Parameters
    ----------
    backmapper : Sampler
    reference : numpy.ndarray, shape (r, n, 3)
        nm.
    runs : array_like, shape (r,), optional
        10 consecutive blocks if omitted.
    title : str
    n_frames, n_samples : int
        Evenly spaced reference frames that are sampled, and how often.
    seed : int
    **more
        Of `Subject`.
    """
    chosen = thinned(len(reference), n_frames)
    beads = backmapper.mapping.project(reference[chosen])
    structures = backmapper.sample(beads, n_samples, seed=seed, frames=chosen)
    return Subject(
        title, backmapper.topology, structures, chosen, beads, backmapper.mapping, reference,
        _runs(runs, len(reference)), chosen, **_known(backmapper), **more,
    )  # fmt: skip


def of_structures(topology, structures, backmapper=None, beads=None, reference=None, runs=None, title="", **more):
    """Take structures that were made before, as those of a backmapped trajectory.

    Parameters
    ----------
    topology : openmm.app.Topology
    structures : numpy.ndarray, shape (frames, n, 3) or (frames, samples, n, 3)
        nm.
    backmapper : Sampler, optional
        What made them: its mapping gives their beads where none are given.
    beads : numpy.ndarray, shape (frames, N, 3), optional
        nm, those of ``backmapper.mapping``.
    reference : numpy.ndarray, shape (r, n, 3), optional
        MD of the same atoms, nm.
    runs : array_like, shape (r,), optional
    title : str
    **more
        Of `Subject`.
    """
    structures = structures if structures.ndim == 4 else structures[:, None]
    known = {} if backmapper is None else {"mapping": backmapper.mapping, **_known(backmapper)}
    known |= more
    if beads is None and known.get("mapping") is not None:
        beads = known["mapping"].project(structures[:, 0])
    numbers = known.pop("numbers", np.arange(len(structures)))
    runs = None if reference is None else _runs(runs, len(reference))
    topology = with_disulfides(topology, structures[0, 0])
    return Subject(title, topology, structures, numbers, beads, reference=reference, runs=runs, **known)


def with_disulfides(topology, positions):
    """Return a topology with the disulfide bonds of a structure, which PDB files often do not tell.

    Parameters
    ----------
    topology : openmm.app.Topology
    positions : numpy.ndarray, shape (n, 3)
        nm.
    """
    try:
        chain = chain_of(topology, positions)
    except TopologyMismatchError:
        return topology
    bonded = {frozenset((bond[0].index, bond[1].index)) for bond in topology.bonds()}
    lacking = []
    for pair in disulfides(chain.residue_types, chain.atoms, chain.mask).tolist():
        residues = (amino_acids(topology)[k][0] for k in pair)
        sulfurs = [next(atom.index for atom in residue.atoms() if atom.name == "SG") for residue in residues]
        if frozenset(sulfurs) not in bonded:
            lacking.append(sulfurs)
    if not lacking:
        return topology
    topology = copied_topology(topology)
    atoms = list(topology.atoms())
    for one, other in lacking:
        topology.addBond(atoms[one], atoms[other])
    return topology


def of_longest(model, chains, title="", n_samples=8, seed=0, **more):
    """Build the longest of some protein chains from its beads.

    Parameters
    ----------
    model : Model
        Of any protein.
    chains : sequence of Chain
    title : str
        The name of the chain is added.
    n_samples, seed : int
    **more
        Of `Subject`.
    """
    chain = max(chains, key=lambda chain: len(chain.residue_types))
    topology, beads = beads_of(chain, MAPPINGS[model.metadata["mapping"]])
    sampler = model.bind(topology, positions=beads, breaks="none")
    structures = sampler.sample(beads[None], n_samples, seed=seed)
    return of_structures(sampler.topology, structures, sampler, title=f"{title} on {chain.name}", crystal=chain, **more)


def of_evaluation(evaluation, title="", **more):
    """Take what `openmm_cgvae.evaluation.evaluate.evaluate` sampled and measured.

    Parameters
    ----------
    evaluation : Evaluation
    title : str
    **more
        Of `Subject`.
    """
    case = evaluation.case
    rows = thinned(len(case.samples), MOST_FRAMES)
    return Subject(
        title, case.backmapper.topology, case.samples[rows], rows, case.beads[rows], case.mapping, case.reference,
        case.runs, rows, figures=dict(evaluation), energies=evaluation.energies, **_known(case.backmapper), **more,
    )  # fmt: skip


def _known(backmapper):
    """What a sampler says of itself, as far as it is a `Backmapper`."""
    description = getattr(backmapper, "potential", None)
    potential = None if description is None else backmapper.cg_potential()
    metadata = getattr(backmapper, "metadata", {})
    return {"handedness": backmapper.handedness, "metadata": metadata, "potential": potential}


def _runs(runs, n_frames):
    return np.arange(n_frames) * BLOCKS // max(1, n_frames) if runs is None else np.asarray(runs)
