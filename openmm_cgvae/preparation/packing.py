"""Packed chains of crystal structures and of molecular dynamics, clustered and split."""

import logging
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import DataError, SettingsError
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.formats.structures import load_topology
from openmm_cgvae.io.trajectory_files import TrajectoryReader
from openmm_cgvae.preparation.atomrecords import SUFFIXES, is_structure
from openmm_cgvae.preparation.clusters import sequence_clusters, split_clusters
from openmm_cgvae.preparation.crystalchains import chains_of_file
from openmm_cgvae.preparation.structures import chain_of, heavy_atoms
from openmm_cgvae.proteins.chains import Chain, PackedChains
from openmm_cgvae.training.dataset import split_runs

__all__ = ["Source", "pack", "read_sources", "sources_of"]

logger = logging.getLogger(__name__)

# Clusters from which on whole clusters are held out; of fewer, where there is MD, runs.
ENOUGH_CLUSTERS = 5
# Residues of MD, at least.
LEAST_RESIDUES = 3
PACKED = ".npz"
# Frames of a run that stand for it in validation.
FRAMES_EACH = 20


@dataclass(frozen=True)
class Source:
    """Where chains come from: a structure file, or a topology with its trajectories, an independent run each."""

    topology: Path
    trajectories: tuple = ()


def read_sources(path):
    """Return the `Source` objects of a folder of structures, or of a list of them and of packed chains.

    Parameters
    ----------
    path : path
        A folder; or a text file that has on each line a structure, a topology and trajectories of it, or packed chains
        (.npz), relative to its own folder. What follows a # is left out.

    Raises
    ------
    DataError
        If there is nothing, or a file is missing.
    """
    path = Path(path)
    if path.is_dir():
        sources = [Source(file) for file in sorted(path.iterdir()) if is_structure(file)]
        if not sources:
            raise DataError(f"folder {path} has no structures: files ending in {', '.join(SUFFIXES)} are expected")
        return sources
    if not path.is_file():
        raise DataError(f"{path} does not exist: a folder of structures, or a list of them and of runs, is expected")
    lines = [shlex.split(line, comments=True) for line in path.read_text().splitlines()]
    sources = [Source(path.parent / line[0], tuple(path.parent / p for p in line[1:])) for line in lines if line]
    missing = [p for source in sources for p in (source.topology, *source.trajectories) if not p.is_file()]
    if missing or not sources:
        raise DataError(f"{path}: {missing[0]} does not exist" if missing else f"{path} names no structure and no run")
    return sources


def sources_of(paths, topology=None):
    """Return the `Source` objects of a command line: runs of a topology, structures, or one folder or list of them.

    Raises
    ------
    SettingsError
        If there are trajectories without a topology.
    """
    paths = [Path(path) for path in paths]
    if topology is not None:
        return [Source(Path(topology), tuple(paths))]
    if all(is_structure(path) for path in paths):
        return [Source(path) for path in paths]
    if len(paths) == 1 and (paths[0].is_dir() or paths[0].suffix == ".txt"):
        return read_sources(paths[0])
    raise SettingsError("--top is missing: give the all-atom topology (PDB) of the trajectories")


def pack(sources, stride=1, run_frames=None, seed=0):
    """Read chains, cluster them by sequence at 40 % identity, and split them.

    Packed chains keep their clusters and splits; those of the other sources are not compared with them. Of crystal
    chains with the same sequence the one with the best resolution is kept. Whole clusters are held out; where there are
    fewer than 5, whole runs of the MD.

    Parameters
    ----------
    sources : sequence of Source
    stride : int
        Use every stride-th frame of a trajectory.
    run_frames : int, optional
        Frames of each independent run, before the stride, where a trajectory holds several one after the other.
    seed : int
        Of the split.

    Returns
    -------
    PackedChains

    Raises
    ------
    DataError
        If there are no chains, MD is of fewer than 3 residues, or nothing can be held out.
    """
    packed = [PackedChains.load(source.topology) for source in sources if source.topology.suffix == PACKED]
    others = [source for source in sources if source.topology.suffix != PACKED]
    return PackedChains.together([*packed, *([_packed(others, stride, run_frames, seed)] if others else [])])


def _packed(sources, stride, run_frames, seed):
    """What `pack` does with sources that are not packed yet."""
    structures = [source.topology for source in sources if not source.trajectories]
    bar = progress_bar(structures, unit="file", leave=False)
    crystals = _distinct([row for path in bar for row in _crystals(path)])
    frames, runs = _frames([source for source in sources if source.trajectories], stride, run_frames)
    chains = [chain for chain, _ in crystals] + frames
    if not chains:
        raise DataError("no protein chain found: chains of 30 residues or more, nearly complete, are expected")
    resolutions = np.array([resolution for _, resolution in crystals] + [np.nan] * len(frames))
    clusters = _clusters(chains)
    n_clusters = len(np.unique(clusters))
    splits = np.full(len(chains), "train", dtype="U10")
    if n_clusters >= ENOUGH_CLUSTERS or (not frames and n_clusters > 1):
        splits = split_clusters(clusters, seed=seed)
    elif frames:
        splits[len(crystals) + split_runs(runs, 0.1, 0.0, seed)[1]] = "validation"
    else:
        raise DataError("all chains are of one cluster of sequences: give others too, of which some can be held out")
    representative = _representative(clusters[: len(crystals)], resolutions[: len(crystals)], runs, splits)
    logger.info("%d chains in %d clusters", len(chains), n_clusters)
    return PackedChains.packed(chains, resolutions, splits, clusters, representative)


def _crystals(path):
    try:
        chains, resolution = chains_of_file(path)
    except DataError as error:
        # One of thousands of files.
        logger.warning("%s", error)
        return []
    return [(chain, resolution) for chain in chains]


def _distinct(rows):
    """One chain of each sequence, the one with the best resolution."""
    best = {}
    for chain, resolution in rows:
        key = chain.residue_types.tobytes()
        if key not in best or np.nan_to_num(resolution, nan=np.inf) < np.nan_to_num(best[key][1], nan=np.inf):
            best[key] = (chain, resolution)
    return list(best.values())


def _frames(sources, stride, run_frames):
    """Chains of all frames of all runs, and the run of each."""
    if run_frames is not None and run_frames < 1:
        raise SettingsError(f"run_frames={run_frames} given: 1 or more is expected")
    chains, runs = [], []
    for source in sources:
        topology = load_topology(source.topology)
        own = topology.to_openmm()
        for path in source.trajectories:
            first_run = 1 + max(runs, default=-1)
            for chunk in TrajectoryReader(path, topology, stride=stride):
                like = chain_of(own, chunk.positions[0])
                if len(like.residue_types) < LEAST_RESIDUES:
                    raise DataError(
                        f"{source.topology} has {len(like.residue_types)} amino acids: {LEAST_RESIDUES} or more are "
                        "expected, fewer have no orientation"
                    )
                atoms, mask = heavy_atoms(chunk.positions, own)
                for number, frame in zip(chunk.frames.tolist(), atoms.astype(np.float32), strict=True):
                    name = f"{source.topology.stem}/{Path(path).stem}:{number}"
                    chains.append(Chain(name, like.residue_types, frame, mask, like.connected))
                    runs.append(first_run + (number // run_frames if run_frames else 0))
    return chains, np.array(runs, dtype=np.int64)


def _clusters(chains):
    """Cluster of every chain; each sequence is looked at once."""
    keys = [chain.residue_types.tobytes() for chain in chains]
    first = {}
    for k, key in enumerate(keys):
        first.setdefault(key, k)
    found = sequence_clusters([chains[k].residue_types for k in first.values()])
    cluster = dict(zip(first, found.tolist(), strict=True))
    return np.array([cluster[key] for key in keys])


def _representative(clusters, resolutions, runs, splits):
    """One crystal a cluster, and some frames of every run and split."""
    chosen = np.zeros(len(splits), dtype=bool)
    order = np.argsort(np.nan_to_num(resolutions, nan=np.inf), kind="stable")
    chosen[order[np.unique(clusters[order], return_index=True)[1]]] = True
    for run in np.unique(runs):
        for split in np.unique(splits[len(clusters) :]):
            rows = len(clusters) + np.flatnonzero((runs == run) & (splits[len(clusters) :] == split))
            chosen[rows[:: max(1, len(rows) // FRAMES_EACH)]] = True
    return chosen
