"""Evaluation on many proteins at once: each built from its beads, compared with the structure they were taken from."""

import time

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.metrics.deviations import diversity, protein_rmsd
from openmm_cgvae.metrics.proteins import protein_figures, protein_summary
from openmm_cgvae.preparation.atomrecords import is_structure
from openmm_cgvae.preparation.crystalchains import chains_of_file
from openmm_cgvae.preparation.structures import beads_of, heavy_atoms
from openmm_cgvae.training.chains import PackedChains

__all__ = ["chains_of_paths", "evaluate_proteins", "model_builder"]


def chains_of_paths(paths, shortest):
    """Return the protein chains of PDB and mmCIF files, and those of the test split of packed chains.

    Raises
    ------
    DataError
        If a file is something else, or there is no chain of at least `shortest` residues.
    """
    chains = []
    for path in map(str, paths):
        if path.endswith(".npz"):
            chains += PackedChains.load(path).subset("test")
        elif is_structure(path):
            chains += chains_of_file(path, shortest=shortest, complete=0.0)[0]
        else:
            raise DataError(
                f"{path} given for a model of any protein: PDB or mmCIF files, or packed chains are expected"
            )
    if not chains:
        listed = ", ".join(map(str, paths))
        raise DataError(f"no protein chain of {shortest} residues or more with its backbone in {listed}")
    return chains


def evaluate_proteins(chains, build, progress=True):
    """Summarise how well chains are built.

    Parameters
    ----------
    chains : iterable of Chain
        What to compare with.
    build : callable
        Takes a `Chain`, returns samples (s, N, 14, 3) in Angstrom, which atoms they have (N, 14), and CPU seconds a
        sample or None; or None for a chain that is left out. `model_builder` makes one of a model.
    progress : bool

    Returns
    -------
    dict or None
        What `protein_summary` returns of the first sample of each chain; of several also ``rmsd_best``, the least RMSD
        of all heavy atoms, and ``diversity``. None if every chain is left out.
    """
    figures, lengths = [], []
    for chain in progress_bar(chains, unit="chain", leave=False, shown=progress):
        built = build(chain)
        if built is not None:
            figures.append(_figures(chain, *built))
            lengths.append(len(chain.residue_types))
    return protein_summary(figures, lengths) if figures else None


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
    """Figures of one chain."""
    types, atoms = chain.residue_types, chain.atoms
    figures = protein_figures(types, samples[0], atoms, chain.mask, chain.connected, mask)
    if seconds:
        figures["residues_per_second"] = (len(types), seconds)
    if len(samples) > 1:
        both = chain.mask & mask
        figures["rmsd_best"] = (float(protein_rmsd(types, samples, atoms, both)["all"].min()), 1)
        figures["diversity"] = (diversity(types, samples, atoms, both), 1)
    return figures
