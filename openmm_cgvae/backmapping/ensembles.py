"""What becomes of several samples of a frame: one file, a file each, or the best of them."""

from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.output import complete_output
from openmm_cgvae.core.units import BOLTZMANN_KJ_PER_MOL_K
from openmm_cgvae.io.trajectory_files import TrajectoryWriter, write_topology_beside
from openmm_cgvae.metrics.contacts import close_pairs

__all__ = ["Overlaps", "best_of", "boltzmann_weights", "checked_ensemble", "ensemble_files", "ensemble_output"]

ENSEMBLES = ("together", "files", "best")
RANKINGS = ("energy", "clash")
# Heavy atoms more than 3 bonds apart that are nearer than this overlap: hydrogen bonds are longer.
CONTACT_NM = 0.26


def checked_ensemble(ensemble, rank_by, minimizer):
    """Return by what samples are ranked, or None where all are kept (`SettingsError` if it cannot be).

    Parameters
    ----------
    ensemble : {"together", "files", "best"}
    rank_by : {"energy", "clash"} or None
        Energy if there is a minimizer, else clash, if None.
    minimizer : Minimizer or None
    """
    if ensemble not in ENSEMBLES:
        raise SettingsError(f"ensemble={ensemble!r} given: one of {', '.join(ENSEMBLES)} is expected")
    if rank_by not in (None, *RANKINGS):
        raise SettingsError(f"rank_by={rank_by!r} given: one of {', '.join(RANKINGS)} is expected")
    if ensemble != "best":
        if rank_by is not None:
            raise SettingsError(f'rank_by={rank_by!r} given, of the best: give ensemble="best" (--ensemble best)')
        return None
    if rank_by == "energy" and minimizer is None:
        raise SettingsError("the best by energy asked for without a minimizer: give one (--minimize), or rank by clash")
    return rank_by or ("clash" if minimizer is None else "energy")


def ensemble_files(output, ensemble, n_samples):
    """The files that are written: the output, or ``aa-1.dcd``, ``aa-2.dcd``, ... of ``aa.dcd``."""
    path = Path(output)
    if ensemble != "files":
        return [path]
    width = len(str(n_samples))
    return [path.with_name(f"{path.stem}-{k + 1:0{width}d}{path.suffix}") for k in range(n_samples)]


@contextmanager
def ensemble_output(paths, topology, beside, complete):
    """Give a function that appends structures, the samples of a frame one after the other, to the files they belong to.

    Parameters
    ----------
    paths : sequence of path
        One for each sample of a frame, or one for all. They appear when they are complete.
    topology : openmm.app.Topology
    beside : bool
        Write the first frame of each as a PDB file beside it.
    complete : callable
        Called with the temporary names of all when they are whole.

    Yields
    ------
    callable
        Of positions (f, n, 3), times (f,) or None, lengths and angles (f, 3) or None.
    """
    with ExitStack() as stack:
        temporary = [stack.enter_context(complete_output(path)) for path in paths]
        with ExitStack() as files:
            pairs = list(zip(temporary, paths, strict=True))
            writers = [files.enter_context(TrajectoryWriter(own, topology, name=path)) for own, path in pairs]

            def write(*arrays):
                for k, writer in enumerate(writers):
                    writer.write(*(None if array is None else array[k :: len(writers)] for array in arrays))

            yield write
        for own, path in pairs if beside else ():
            write_topology_beside(own, topology, path)
        complete(*temporary)


class Overlaps:
    """Measures how deep heavy atoms of structures overlap: ``Overlaps(topology)(positions)`` in nm.

    Parameters
    ----------
    topology : openmm.app.Topology
    """

    def __init__(self, topology):
        atoms = list(topology.atoms())
        self._heavy = np.array([a.index for a in atoms if a.element is not None and a.element.atomic_number > 1])
        rows = np.array([[i.index, j.index] for i, j in topology.bonds()], dtype=np.int64).reshape(-1, 2)
        n = len(atoms)
        bonds = csr_array((np.ones(2 * len(rows)), (rows.ravel("F"), rows[:, ::-1].ravel("F"))), shape=(n, n))
        near = bonds + bonds @ bonds + bonds @ bonds @ bonds
        near = near.tocoo()
        self._n, self._bonded = n, np.unique(near.row * n + near.col)

    def __call__(self, positions, vectors=None):
        """Sum over overlapping pairs of how much nearer than 0.26 nm they are.

        Parameters
        ----------
        positions : numpy.ndarray, shape (f, n, 3)
            nm.
        vectors : numpy.ndarray, shape (f, 3, 3), optional
            Box vectors in nm.

        Returns
        -------
        numpy.ndarray, shape (f,)
        """
        return np.array([
            self._of_one(frame[self._heavy].astype(float), None if vectors is None else vectors[k])
            for k, frame in enumerate(positions)
        ])  # fmt: skip

    def _of_one(self, heavy, vectors):
        i, j, distances = close_pairs(heavy, CONTACT_NM, vectors)
        apart = ~np.isin(self._heavy[i] * self._n + self._heavy[j], self._bonded)
        return float((CONTACT_NM - distances[apart]).sum())


def best_of(arrays, scores):
    """Keep the sample of the lowest score of each frame.

    Parameters
    ----------
    arrays : dict
        Of a part: ``positions``, ``times``, ``lengths``, ``angles`` of every structure, and others, which stay.
    scores : numpy.ndarray, shape (frames, samples)

    Returns
    -------
    dict
        With ``chosen`` (frames,): which sample each is.
    """
    chosen = np.where(np.isfinite(scores), scores, np.inf).argmin(1)
    rows = np.arange(len(scores)) * scores.shape[1]
    kept = {name: arrays[name] for name in ("times", "lengths", "angles") if arrays[name] is not None}
    # A sample has the time of its frame, which is that of the first.
    kept = {name: array[rows] for name, array in kept.items()}
    return arrays | kept | {"positions": arrays["positions"][rows + chosen], "chosen": chosen}


def boltzmann_weights(energies, n_samples, temperature):
    """Weights (frames, samples) of the samples of each frame by their energies in kJ/mol; they sum up to 1."""
    energies = np.asarray(energies, dtype=float).reshape(-1, n_samples)
    energies = np.where(np.isfinite(energies), energies, np.inf)
    least = energies.min(1, keepdims=True)
    relative = np.exp(-(energies - np.where(np.isfinite(least), least, 0.0)) / (BOLTZMANN_KJ_PER_MOL_K * temperature))
    total = relative.sum(1, keepdims=True)
    return np.divide(relative, total, out=np.full_like(relative, 1 / n_samples), where=total > 0)
