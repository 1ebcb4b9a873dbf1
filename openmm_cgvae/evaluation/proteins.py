"""Evaluation on many proteins at once: each built from its beads, compared with the structure they were taken from."""

import time
from functools import partial
from itertools import product

import numpy as np

from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS
from openmm_cgvae.core.errors import TopologyMismatchError
from openmm_cgvae.io.journal import Steps
from openmm_cgvae.metrics.deviations import diversity, protein_rmsd
from openmm_cgvae.metrics.proteins import protein_figures, protein_summary
from openmm_cgvae.preparation.structures import amino_acids, beads_of, chain_of, heavy_atoms
from openmm_cgvae.proteins.beadweights import MAPPINGS

__all__ = ["bound_to_atoms", "evaluate_proteins", "model_builder"]


def evaluate_proteins(chains, build, steps=None):
    """Summarise how well chains are built.

    Parameters
    ----------
    chains : sequence of Chain
        What to compare with.
    build : callable
        Takes a `Chain`, returns samples (s, N, 14, 3) in Angstrom, which atoms they have (N, 14), and CPU seconds a
        sample or None; or None for a chain that is left out. `model_builder` makes one of a model.
    steps : Steps, optional
        Of a journal in use, of a run with the same arguments: chains that it has are not built again.

    Returns
    -------
    dict or None
        What `protein_summary` returns of the first sample of each chain; of several also ``rmsd_best``, the least RMSD
        of all heavy atoms, and ``diversity``. None if every chain is left out.
    """
    figures, lengths = [], []
    made = (steps or Steps()).each(partial(_of_chain, build), chains)
    for chain, (_, found) in zip(chains, made, strict=True):
        if found["figures"] is not None:
            figures.append(found["figures"])
            lengths.append(len(chain.residue_types))
    return protein_summary(figures, lengths) if figures else None


def _of_chain(build, chain):
    """No arrays, and the figures of a chain, None where it is left out."""
    built = build(chain)
    return {}, {"figures": None if built is None else _figures(chain, *built)}


def model_builder(bind, mapping="ca", samples=1, seed=0, **options):
    """Return a function that builds chains from their beads, for `evaluate_proteins`.

    Parameters
    ----------
    bind : callable
        The ``bind`` of a `Model` of any protein: takes the topology of the beads, ``positions`` in nm and ``breaks``,
        returns a `Sampler`.
    mapping : str
        As in `beads_of`.
    samples : int
        For each chain.
    seed : int
    **options
        Of `bind`, such as ``representative``.
    """

    def build(chain):
        topology, beads = beads_of(chain, mapping)
        # The chains of the topology are the unbroken parts.
        sampler = bind(topology, positions=beads, breaks="none", **options)
        started = time.process_time()
        positions = sampler.sample(beads[None], n_samples=samples, seed=seed)[0]
        seconds = (time.process_time() - started) / samples
        return *heavy_atoms(positions, sampler.topology), seconds

    return build


def _figures(chain, samples, mask, seconds):
    """Figures of one chain, a sum and a count each, in JSON types."""
    types, atoms = chain.residue_types, chain.atoms
    figures = protein_figures(types, samples[0], atoms, chain.mask, chain.connected, mask)
    if seconds:
        figures["residues_per_second"] = (len(types), seconds)
    if len(samples) > 1:
        both = chain.mask & mask
        figures["rmsd_best"] = (float(protein_rmsd(types, samples, atoms, both)["all"].min()), 1)
        figures["diversity"] = (diversity(types, samples, atoms, both), 1)
    return {name: [np.asarray(part).item() for part in parts] for name, parts in figures.items()}


def bound_to_atoms(model, topology, positions):
    """Make the sampler of the protein that all-atom MD is of, to `evaluate` it.

    Protonation, disulfides, caps and termini are those that the topology's atoms show.

    Parameters
    ----------
    model : Model
        Of any protein.
    topology : openmm.app.Topology
        All atoms, hydrogens too.
    positions : array_like, shape (n, 3)
        One frame in nm.

    Returns
    -------
    sampler : ProteinBackmapper
    order : int array, shape (n,)
        Of the sampler's atoms among those of the topology.

    Raises
    ------
    TopologyMismatchError
        If the atoms are of no protein, or not those of one in any state that is known.
    """
    chain, residues = chain_of(topology, positions), amino_acids(topology)
    number = {residue.index: i for i, (residue, _) in enumerate(residues)}
    pairs = [
        (number[one.residue.index], number[other.residue.index])
        for one, other in topology.bonds()
        if one.name == other.name == "SG"
    ]
    beads, places = beads_of(chain, MAPPINGS[model.metadata["mapping"]])
    states = {i: state for i, (residue, kind) in enumerate(residues) if (state := _state(residue, kind))}
    given = {key: atom.index for key, atom in _named(topology).items()}
    for ends in product(("capped", "charged", "neutral"), repeat=2):
        sampler = model.bind(
            beads, positions=places, breaks="none", termini=ends, protonation=states, disulfides=pairs or None
        )
        wanted = list(_named(sampler.topology))
        if set(wanted) == set(given):
            return sampler, np.array([given[key] for key in wanted])
    unlike = sorted(set(wanted) ^ set(given))[0]
    raise TopologyMismatchError(
        f"{len(given)} atoms given, {len(wanted)} are built; {unlike[1]} of residue {unlike[0] + 1} is not in both: "
        "all atoms of amino acids, with hydrogens, and of their caps are expected, as OpenMM names them"
    )


def _named(topology):
    """Atoms by the number of their residue and their name."""
    return {(atom.residue.index, atom.name): atom for atom in topology.atoms()}


def _state(residue, kind):
    """State of an amino acid of a type that its hydrogens show; None of the usual one."""
    there = {atom.name for atom in residue.atoms()}
    states = {
        "H": ("HIP" if "HE2" in there else "HID") if "HD1" in there else "HIE",
        "D": "ASH" if "HD2" in there else None,
        "E": "GLH" if "HE2" in there else None,
        "K": None if "HZ1" in there else "LYN",
    }
    return states.get(AMINO_ACIDS[kind])
