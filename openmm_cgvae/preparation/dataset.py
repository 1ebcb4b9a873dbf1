"""From reference trajectories and a mapping to a dataset that needs nothing but torch and numpy."""

import logging

import numpy as np

from openmm_cgvae.core.errors import DataError, SettingsError
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.core.units import as_positions_nm
from openmm_cgvae.io.trajectory_files import TrajectoryReader
from openmm_cgvae.molecule.graph import BOND_FACTOR, MolecularGraph, signed_volume
from openmm_cgvae.molecule.spec import MoleculeSpec
from openmm_cgvae.molecule.topology import as_mdtraj_topology
from openmm_cgvae.training.dataset import Dataset

__all__ = ["molecule_spec", "prepare_dataset", "read_reference"]

logger = logging.getLogger(__name__)


def prepare_dataset(positions, runs, mapping, temperature=300.0, hops=2, atom_types="atom"):
    """Make a `Dataset`.

    Parameters
    ----------
    positions : numpy.ndarray, shape (frames, n, 3)
        Reference MD in nm, molecules whole.
    runs : int array, shape (frames,)
        Independent run of every frame.
    mapping : CGMapping
    temperature : float or None
        Temperature of the reference in K, for the potential of the CG system; None for no potential.
    hops : int
        Largest number of bonds between the pairs of the graph loss.
    atom_types : {"atom", "element"}
        What an atom's embedding stands for: the atom itself, or its element as in the paper.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If the reference is no valid MD of this molecule: broken molecules, or mixed handedness.
    """
    positions = np.ascontiguousarray(as_positions_nm(positions, mapping.n_atoms, "atoms"), dtype=np.float32)
    if hops < 1:
        raise SettingsError(f"hops={hops} given: 1 or more is expected, the bonds at least")
    if len(runs) != len(positions):
        raise DataError(f"{len(runs)} run numbers given for {len(positions)} frames: one each is expected")
    graph = MolecularGraph.from_topology(as_mdtraj_topology(mapping.topology))
    spec = molecule_spec(graph, mapping, positions, hops, atom_types)
    potential = None
    if temperature is not None:
        from openmm_cgvae.cg.boltzmann import bead_types, boltzmann_inversion

        beads = mapping.project(positions)
        potential = boltzmann_inversion(
            beads, mapping.bead_bonds, temperature, mapping.masses, types=bead_types(mapping)
        ).to_dict()
    description = {"mapping": mapping.to_dict(), "potential": potential, "temperature": temperature}
    return Dataset(positions, np.asarray(runs, dtype=np.int64), spec, description)


def read_reference(paths, topology, stride=1, run_frames=None, salvage=False):
    """Read reference trajectories into memory.

    Parameters
    ----------
    paths : sequence of path
        One or more trajectories, an independent run each.
    topology : mdtraj.Topology
    stride : int
        Use every stride-th frame.
    run_frames : int, optional
        Frames of each independent run, before the stride, where a file holds several one after the other.

    salvage : bool
        Use the complete frames of files that are cut off.

    Returns
    -------
    positions : numpy.ndarray, shape (frames, n, 3)
        float32, nm.
    runs : int array, shape (frames,)
        Independent run of every frame.
    """
    if run_frames is not None and run_frames < 1:
        raise SettingsError(f"run_frames={run_frames} given: 1 or more is expected")
    positions, runs, n_runs = [], [], 0
    for path in progress_bar(paths, "reading", unit="run", leave=False):
        frames = []
        for chunk in TrajectoryReader(path, topology, stride=stride, salvage=salvage):
            positions.append(chunk.positions)
            frames.append(chunk.frames)
        own = np.concatenate(frames)
        if run_frames is not None and (TrajectoryReader(path, topology, salvage=salvage).n_frames or 0) % run_frames:
            logger.warning(
                "frames of %s are no multiple of the %d a run: unless only the last run is short, runs are mixed",
                path,
                run_frames,
            )
        own = np.zeros_like(own) if run_frames is None else own // run_frames
        runs.append(own + n_runs)
        n_runs += int(own.max()) + 1
    positions = as_positions_nm(np.concatenate(positions), topology.n_atoms, "atoms")
    return positions, np.concatenate(runs)


def molecule_spec(graph, mapping, positions, hops=2, atom_types="atom"):
    """The index arrays of a molecule on its beads; see `prepare_dataset` for the parameters."""
    if atom_types == "element":
        types = np.unique(graph.atomic_numbers, return_inverse=True)[1]
    else:
        types = np.arange(graph.n_atoms)
    channels = np.zeros(graph.n_atoms, dtype=np.int64)
    for bead in mapping.beads:
        channels[list(bead)] = np.arange(len(bead))
    near = graph.pairs_within(3)
    return MoleculeSpec(
        atom_types=types.astype(np.int64),
        assignment=mapping.assignment,
        channels=channels,
        projection=mapping.matrix,
        atom_frames=np.array([_bonded_frame(graph, i) for i in range(graph.n_atoms)], dtype=np.int64),
        bead_frames=_nearest_beads(graph, mapping, 3),
        bead_axes=_nearest_beads(graph, mapping, 2),
        graph_pairs=graph.pairs_within(hops),
        equivalent_hydrogens=graph.equivalent_hydrogens,
        near_pairs=near,
        near_hops=_hops_of(graph, near),
        rigid_pairs=graph.rigid_pairs,
        contact_kinds=graph.contact_kinds,
        handedness=_reference_handedness(graph, positions),
        alike_pairs=_ordered_pairs(graph, mapping, positions),
    )


def _reference_handedness(graph, positions):
    _check_whole(graph, positions)
    signs = np.sign(signed_volume(positions, graph.stereocentres))
    mean = signs.mean(0)
    # A pyramidal inversion needs a broken bond, so anything but unanimity is a fault of the data.
    mixed = np.flatnonzero(np.abs(mean) < 1)
    if mixed.size:
        k = mixed[0]
        i = graph.stereocentres[k, 0]
        share = 50 * (1 - abs(mean[k]))
        raise DataError(
            f"{share:.2g} % of the reference frames have the other handedness at atom {i} ({graph.residues[i]} "
            f"{graph.names[i]}): one handedness throughout is expected; leave such frames out"
        )
    return mean


def _ordered_pairs(graph, mapping, positions):
    """`MolecularGraph.alike_pairs` as the spec has them; pairs that do exchange, or would move a bead, are left out."""
    rows = graph.alike_pairs
    mean = np.sign(signed_volume(positions, rows[:, :4])).mean(0)
    rows = np.where((mean < 0)[:, None], rows[:, [0, 1, 2, 4, 3]], rows)
    same_weights = mapping.fractions[rows[:, 3]] == mapping.fractions[rows[:, 4]]
    same_bead = mapping.assignment[rows[:, 3]] == mapping.assignment[rows[:, 4]]
    return rows[(np.abs(mean) == 1) & same_weights & same_bead]


def _check_whole(graph, positions):
    i, j = graph.bonds.T
    cutoffs = 2 * BOND_FACTOR * (graph.radii[i] + graph.radii[j])
    for start in range(0, len(positions), 10_000):
        chunk = positions[start : start + 10_000]
        broken = (np.linalg.norm(chunk[:, i] - chunk[:, j], axis=-1) > cutoffs).any(1)
        if broken.any():
            raise DataError(
                f"bonds of frame {start + int(np.argmax(broken))} are more than twice too long: the molecule is split "
                "over the periodic box (make it whole first), or the topology is of another molecule"
            )


def _bonded_frame(graph, atom):
    """Three more atoms along the bonds from `atom`, heavy ones first; short molecules repeat atoms."""
    path = [atom]
    while len(path) < 4:
        choices = [j for j in graph.neighbours[path[-1]] if j not in path]
        if not choices:
            # A dead end: take the nearest atom that is not in the path yet.
            order = np.argsort(graph.hops_from([atom]), kind="stable")
            choices = [int(j) for j in order if j not in path][:1] or [path[-1]]
        path.append(max(choices, key=lambda j: (len(graph.neighbours[j]) > 1, graph.atomic_numbers[j])))
    return path[1:]


def _hops_of(graph, near):
    """Number of bonds, 1 to 3, of pairs up to 3 bonds apart, shape (m,)."""
    two = set(map(tuple, graph.pairs_within(2).tolist()))
    one = set(map(tuple, graph.pairs_within(1).tolist()))
    return np.array([3 - (pair in two) - (pair in one) for pair in map(tuple, near.tolist())], dtype=np.int64)


def _nearest_beads(graph, mapping, count):
    """The `count` nearest other beads of every bead along bonds, shape (N, count); (0, count) where there are too few.

    Bead after bead, so that memory is linear.
    """
    if mapping.n_beads <= count:
        return np.zeros((0, count), dtype=np.int64)
    rows = []
    for k, bead in enumerate(mapping.beads):
        distance = np.full(mapping.n_beads, np.iinfo(np.int64).max)
        np.minimum.at(distance, mapping.assignment, graph.hops_from(bead))
        distance[k] = np.iinfo(np.int64).max
        rows.append(np.argsort(distance, kind="stable")[:count])
    return np.array(rows)
