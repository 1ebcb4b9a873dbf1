"""Evaluation on many proteins at once: each built from its beads, compared with the structure they were taken from."""

import time
from functools import partial

import numpy as np

from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.io.journal import Steps
from openmm_cgvae.metrics.deviations import diversity, protein_rmsd
from openmm_cgvae.metrics.proteins import protein_figures, protein_summary
from openmm_cgvae.preparation.structures import beads_of, heavy_atoms

__all__ = ["evaluate_proteins", "model_builder"]


def evaluate_proteins(chains, build, steps=None, client=None):
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
    client : distributed.Client, optional
        Of a Dask cluster, whose workers build the chains; `build` is pickled for them.

    Returns
    -------
    dict or None
        What `protein_summary` returns of the first sample of each chain; of several also ``rmsd_best``, the least RMSD
        of all heavy atoms, and ``diversity``. None if every chain is left out.
    """
    figures, lengths = [], []
    made = (steps or Steps()).each(partial(_of_chain, build), chains, client)
    made = progress_bar(made, total=len(chains), unit="chain", leave=False)
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
    return partial(_built, partial(bind, breaks="none", **options), mapping, samples, seed)


def _built(bind, mapping, samples, seed, chain):
    topology, beads = beads_of(chain, mapping)
    # The chains of the topology are the unbroken parts.
    sampler = bind(topology, positions=beads)
    started = time.process_time()
    positions = sampler.sample(beads[None], n_samples=samples, seed=seed)[0]
    seconds = (time.process_time() - started) / samples
    return *heavy_atoms(positions, sampler.topology), seconds


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
