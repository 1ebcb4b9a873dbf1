"""A prepared dataset: positions, runs, and the index arrays of the molecule, in one ``.npz`` file."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import UNREADABLE_ARCHIVE, DataError, OutputError
from openmm_cgvae.core.output import complete_output
from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["Dataset", "split_runs"]

FORMAT = "openmm_cgvae dataset 3"
# Fewer runs are cut into this many contiguous blocks in all, which stand in for runs.
MIN_RUNS = 5
N_BLOCKS = 20


@dataclass(frozen=True)
class Dataset:
    """All-atom frames of one molecule, ready to train on with torch and numpy alone.

    Parameters
    ----------
    positions : numpy.ndarray, shape (frames, n, 3)
        float32, nm.
    runs : int array, shape (frames,)
        Independent run of every frame.
    spec : MoleculeSpec
    description : dict
        ``mapping`` (`CGMapping.to_dict`), ``potential`` (`CGPotential.to_dict` or None), ``temperature`` (K).
    """

    positions: np.ndarray
    runs: np.ndarray
    spec: MoleculeSpec
    description: dict

    def __post_init__(self):
        if len(self.positions) < 2:
            raise DataError(f"{len(self.positions)} frames given: a dataset needs at least 2")
        finite = np.isfinite(self.positions).all(axis=(1, 2))
        if not finite.all():
            raise DataError(f"positions of frame {int(np.argmin(finite))} hold NaN or infinity: leave such frames out")

    @property
    def sha256(self):
        """Hash of positions and runs."""
        digest = hashlib.sha256(np.ascontiguousarray(self.positions))
        digest.update(np.ascontiguousarray(self.runs))
        return digest.hexdigest()

    def save(self, path):
        """Write the dataset; `path` ends in ``.npz``."""
        path = Path(path)
        if not path.parent.is_dir():
            raise OutputError(f"folder {path.parent} does not exist: create it first")
        with complete_output(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(
                file,
                format=np.array(FORMAT),
                positions=self.positions,
                runs=self.runs,
                description=np.array(json.dumps(self.description)),
                **self.spec.to_arrays(),
            )

    @classmethod
    def load(cls, path):
        """Read a dataset that `save` wrote; nothing is unpickled.

        Raises
        ------
        DataError
            If the file is missing or not a dataset.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                if str(arrays["format"]) != FORMAT:
                    raise DataError(f"{path} is a {arrays['format']}, {FORMAT!r} is expected: prepare it again")
                description = json.loads(str(arrays["description"]))
                return cls(arrays["positions"], arrays["runs"], MoleculeSpec.from_arrays(arrays), description)
        except FileNotFoundError as error:
            raise DataError(f"dataset {path} does not exist: make it with 'openmm-cgvae prepare'") from error
        except UNREADABLE_ARCHIVE as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} is not a dataset: what 'openmm-cgvae prepare' writes is expected") from error


def split_runs(runs, validation_fraction, test_fraction, seed):
    """Split frames into training, validation and test by whole runs, never by shuffled frames.

    Fewer than 5 runs are cut into some 20 contiguous blocks, which are then split instead.

    Parameters
    ----------
    runs : int array, shape (frames,)
    validation_fraction, test_fraction : float
        Part of the runs held out; at least one run each (none for a test fraction of 0).
    seed : int

    Returns
    -------
    train, validation, test : int arrays
        Frame indices.

    Raises
    ------
    DataError
        If nothing is left to train on.
    """
    if len(np.unique(runs)) < MIN_RUNS:
        runs = _blocks(np.unique(runs, return_inverse=True)[1])
    names = np.unique(runs)
    order = np.random.Generator(np.random.Philox(seed)).permutation(names)
    n_test = max(1, round(test_fraction * len(names))) if test_fraction > 0 else 0
    n_validation = max(1, round(validation_fraction * len(names)))
    if n_test + n_validation >= len(names):
        raise DataError(f"{len(names)} runs given, {n_test + n_validation} to be held out: give more runs or frames")
    parts = order[n_test + n_validation :], order[n_test : n_test + n_validation], order[:n_test]
    return tuple(np.flatnonzero(np.isin(runs, part)) for part in parts)


def _blocks(runs):
    """Number the contiguous blocks that runs numbered from 0 are cut into, shape (frames,)."""
    sizes = np.bincount(runs)
    each = -(-N_BLOCKS // len(sizes))
    place = np.zeros(len(runs), dtype=np.int64)
    for run, size in enumerate(sizes):
        place[runs == run] = np.arange(size)
    return runs * each + place * each // sizes[runs]
